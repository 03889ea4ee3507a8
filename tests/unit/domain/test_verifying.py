"""What is wrong with a callback is said exactly: each of these faults has its own words."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.model import SigningKey
from relay.domain.signing import Signer, public_key
from relay.domain.verifying import findings

NOW = 1_790_000_000
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
PRIVATE = "whsk_" + base64.b64encode(b"p" * 32).decode()
BODY = b'{"type":"call.created","data":{"name":"Z\xc3\xbcrich","n":1.10}}'


def signed(key: str = SECRET, body: bytes = BODY, **headers: str) -> dict[str, str]:
    """The headers of a callback."""
    signature = Signer([SigningKey(key=key)]).sign("msg_a", NOW, body, now_ms=NOW * 1000)
    return {"Webhook-Id": "msg_a", "Webhook-Timestamp": str(NOW), "Webhook-Signature": signature} | headers


def parts(key: str, headers: dict[str, str], body: bytes = BODY, now_s: int = NOW) -> list[str]:
    """What is wrong, as text."""
    return [f"{each.part}: {each.message}" for each in findings(key, headers, body, now_s=now_s)]


@given(st.binary(max_size=50), st.sampled_from([(SECRET, SECRET), (PRIVATE, PRIVATE), (PRIVATE, public_key(PRIVATE))]))
def test_what_the_relay_signs_is_verified(body: bytes, keys: tuple[str, str]) -> None:
    """With the shared secret, the private key and the public one, whatever the body."""
    assert parts(keys[1], signed(keys[0], body), body) == []


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_another_body_is_never_verified(body: bytes, other: bytes) -> None:
    """Whatever it is."""
    assert bool(parts(SECRET, signed(body=body), other)) is (body != other)


def test_several_signatures_are_one_that_fits() -> None:
    """As while a secret is rotated."""
    both = f"{signed(OTHER)['Webhook-Signature']} {signed()['Webhook-Signature']} v1a,AAAA"
    assert parts(SECRET, signed() | {"Webhook-Signature": both}) == []


@pytest.mark.parametrize(
    ("key", "change", "body", "says"),
    [
        ("nonsense", {}, BODY, "key: the secret must begin with whsec_ or whpk_"),
        ("whsec_!", {}, BODY, "key: the secret must be base64"),
        ("whsec_", {}, BODY, "key: the secret is empty"),
        ("whpk_QUFB", {}, BODY, "key: a public key has 32 bytes after whpk_, not 3"),
        (SECRET, {"Webhook-Id": ""}, BODY, "header: webhook-id is missing: the relay sends it with every callback"),
        (SECRET, {"Webhook-Id": "", "svix-id": "x"}, BODY, "header: webhook-id is missing: the request has svix-id"),
        (SECRET, {"Webhook-Signature": "abc"}, BODY, "signature: webhook-signature has no v1 signature"),
        (SECRET, {"Webhook-Signature": "v1,!"}, BODY, "it has v1 that is not base64"),
        (public_key(PRIVATE), {}, BODY, "has no v1a signature, which this key verifies; it has v1"),
        (OTHER, {}, BODY, "signature: no signature fits"),
        (SECRET, {"Webhook-Id": "msg_b"}, BODY, "signature: no signature fits"),
        (SECRET, {}, BODY + b"\n", "body: the body has a line feed at its end that was not signed"),
        (SECRET, {}, b"\xef\xbb\xbf" + BODY, "body: the body begins with a byte order mark"),
    ],
)
def test_each_fault_has_its_words(key: str, change: dict[str, str], body: bytes, says: str) -> None:
    """One fault, one finding."""
    (found,) = parts(key, signed() | change, body)
    assert says in found


@pytest.mark.parametrize("how", [{}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_a_body_that_was_parsed_and_written_again_is_recognised(how: dict[str, Any]) -> None:
    """The most frequent mistake of receivers: they verify what their framework made of the body."""
    sent = json.dumps({"a": "ü", "b": [1, 2]}, separators=(",", ":"), ensure_ascii=False).encode()
    body = json.dumps(json.loads(sent), **how).encode()
    if body == sent:
        return
    (found,) = parts(SECRET, signed(body=sent), body)
    assert "parsed and written again" in found


def test_a_timestamp_that_is_none_is_said_first() -> None:
    """The signature is over it, so that does not fit either."""
    first, second = parts(SECRET, signed() | {"Webhook-Timestamp": "soon"})
    assert first.startswith("timestamp: webhook-timestamp must be whole seconds")
    assert second.startswith("signature: no signature fits")


@pytest.mark.parametrize(("now_s", "says"), [(NOW + 301, "301 s ago"), (NOW - 301, "301 s ahead")])
def test_an_old_callback_is_said_to_be_old_and_checked_further(now_s: int, says: str) -> None:
    """Its age does not hide what else is wrong."""
    assert [says in each for each in parts(SECRET, signed(), now_s=now_s)] == [True]
    assert len(parts(OTHER, signed(), now_s=now_s)) == 2
    assert parts(SECRET, signed(), now_s=NOW + 300) == []


def test_a_sender_that_reads_the_standard_wrongly_is_recognised() -> None:
    """It used the text of the secret as the key."""
    as_text = base64.b64encode(base64.b64encode(b"s" * 32)).decode()
    (found,) = parts(SECRET, signed("whsec_" + as_text))
    assert "used the text after whsec_ as the key" in found
