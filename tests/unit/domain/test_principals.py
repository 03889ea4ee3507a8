"""Scopes, tokens and addresses of callers."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from relay.domain.callers import UNKNOWN, caller
from relay.domain.principals import ADMIN, NAMED_ONLY, SCOPES, ApiKey, KeyId, Principal, Resource, granted, principal_of
from relay.domain.tokens import SECRETS_MOST, digest_of, is_valid, read_token, renewed, token_of

KEY = ApiKey(id=KeyId("key_" + "0" * 27), name="k", scopes=("read",), secrets=())
LETTERS = st.text("0123456789ABCXYZabcxyz", min_size=27, max_size=27)


@given(st.sets(st.sampled_from(SCOPES)), st.sets(st.sampled_from(SCOPES)))
def test_scopes_only_add(some: set[str], more: set[str]) -> None:
    """More scopes grant more, and no two scopes grant something that neither grants."""
    assert granted(some | more) == granted(some) | granted(more)


def test_general_scopes_leave_out_what_must_be_named() -> None:
    """A write includes the read; keys, secrets and the audit log are named or not had."""
    named = {f"{resource}:{action}" for resource in NAMED_ONLY for action in ("read", "write")}
    assert granted(["write"]) == set(SCOPES) - {"read", "write"} - named
    assert granted(["read"]) == {scope for scope in granted(["write"]) if scope.endswith(":read")}
    assert granted(SCOPES) == ADMIN.scopes == {s for s in SCOPES if ":" in s}
    assert granted(["of_a_newer_release:read", "read "]) == frozenset()


@given(st.sets(st.sampled_from(SCOPES)), st.sets(st.sampled_from(SCOPES)))
def test_a_principal_lacks_what_it_may_not(own: set[str], wanted: set[str]) -> None:
    """It lacks nothing exactly if it may do all that the scopes grant."""
    principal = Principal(id="p", name="p", scopes=granted(own))
    assert principal.missing(wanted) == sorted(each for each in granted(wanted) if not principal.may(each))


def test_a_key_makes_a_principal() -> None:
    """With its scopes, its application and its end."""
    key = structs.replace(KEY, app_id="app_1", expires_at_ms=5)
    assert principal_of(key) == Principal(
        id=KEY.id, name="k", scopes=granted(["read"]), application=key.app_id, expires_at_ms=5
    )
    assert Resource.KEY in NAMED_ONLY


@given(LETTERS, LETTERS)
def test_a_token_leads_to_its_key_and_its_secret(key: str, secret: str) -> None:
    """And to nothing if one character is another one."""
    token = token_of(KeyId(f"key_{key}"), secret)
    assert read_token(token) == (f"key_{key}", digest_of(secret))
    for at in (0, 4, 31, len(token) - 1):
        other = "1" if token[at] != "1" else "2"
        assert read_token(token[:at] + other + token[at + 1 :]) is None


@pytest.mark.parametrize("text", ["", "rlk_", "rlk_" + "é" * 62, "rlk_" + "a" * 61, "rlk_" + "a" * 63, "x" * 65_536])
def test_other_texts_are_no_tokens(text: str) -> None:
    """Whatever they are."""
    assert read_token(text) is None


@given(st.lists(st.integers(0, 100), min_size=1, max_size=SECRETS_MOST))
def test_a_replaced_token_works_for_its_own_grace_period(graces: list[int]) -> None:
    """Whatever is rotated afterwards, and whenever it is asked."""
    key, ends = renewed(KEY, "s0", grace_ms=0, now_ms=0), dict[str, int]()
    for number, grace in enumerate(graces):
        ends[f"s{number}"] = number + 1 + grace
        key = renewed(key, f"s{number + 1}", grace_ms=grace, now_ms=number + 1)
    now_ms = len(graces)
    for at_ms in range(now_ms, now_ms + 102):
        assert is_valid(key, digest_of(f"s{len(graces)}"), now_ms=at_ms)
        for secret, end_ms in ends.items():
            assert is_valid(key, digest_of(secret), now_ms=at_ms) == (end_ms > at_ms)
    assert not is_valid(structs.replace(key, expires_at_ms=now_ms), digest_of(f"s{len(graces)}"), now_ms=now_ms)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        (None, "", UNKNOWN),
        ("testclient", "6.6.6.6", UNKNOWN),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "not an address", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 10.0.0.3 , 10.0.0.2", "6.6.6.6"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.0.0.2", "10.0.0.2"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("203.0.113.1", "6.6.6.6", "203.0.113.1"),
        ("10.0.0.1", ", ".join(["6.6.6.6", *["10.0.0.2"] * 100]), "10.0.0.2"),
    ],
)
def test_only_trusted_proxies_say_who_called(peer: str | None, forwarded: str, address: str) -> None:
    """The last hop that is no trusted proxy is the caller."""
    assert caller(peer, forwarded, [ip_network("10.0.0.0/8")]) == address
