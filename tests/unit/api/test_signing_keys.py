"""An endpoint's signing keys, through all that can be done with them."""

import base64
import hashlib

import pytest
from msgspec import UNSET, structs

from relay.api.public_keys import show_key
from relay.api.schemas.endpoint_parts import SecretRotateIn
from relay.api.schemas.endpoints import signatures_of
from relay.api.signing_keys import new_keys, resigned, rotated, show_secret
from relay.domain.model import ApplicationId, Endpoint, EndpointId
from relay.domain.signing import Version, new_private_key, new_secret, public_key, version_of
from relay.errors import Conflict, Invalid

SECRET, PRIVATE = new_secret(b"s" * 32), new_private_key(b"p" * 32)
NOW, DAY = 1_790_000_000_000, 86_400_000


def endpoint(secret: str | None = None, *versions: Version) -> Endpoint:
    keys = new_keys(secret, versions or None)
    return Endpoint(id=EndpointId("ep_1"), app_id=ApplicationId("app_1"), url="https://crm.example", keys=keys)


def rotate(before: Endpoint, *, key: str | None = None, grace_s: int | None = None, now_ms: int = NOW) -> Endpoint:
    body = SecretRotateIn(key=key, grace_period_seconds=UNSET if grace_s is None else grace_s)
    return rotated(before, body, now_ms=now_ms)


def kept(of: Endpoint) -> list[tuple[str, int | None]]:
    return [(version_of(key.key), key.expires_at_ms) for key in of.keys]


@pytest.mark.parametrize(
    ("secret", "versions", "expected"),
    [
        (None, (), ["v1"]),
        (SECRET, (), ["v1"]),
        (PRIVATE, (), ["v1a"]),
        (None, ("v1a", "v1"), ["v1", "v1a"]),
        (PRIVATE, ("v1", "v1a"), ["v1", "v1a"]),
        (SECRET, ("v1", "v1"), ["v1"]),
    ],
)
def test_a_new_endpoint_has_one_key_for_each_signature(
    secret: str | None, versions: tuple[Version, ...], expected: list[str]
) -> None:
    """The one that was given is among them, the others are made."""
    made = endpoint(secret, *versions)
    assert signatures_of(made) == expected
    assert secret is None or secret in [key.key for key in made.keys]
    assert len({key.key for key in endpoint(secret, *versions).keys + made.keys}) == 2 * len(expected) - bool(secret)


def test_a_secret_must_be_of_a_signature_that_was_asked_for() -> None:
    """Else it would be ignored, and its owner would verify with it."""
    with pytest.raises(Invalid, match=r"body\.secret"):
        endpoint(SECRET, "v1a")


def test_signatures_are_added_and_taken_away() -> None:
    """A key that stays is not touched; one that comes is new; those of what goes are gone, rotated ones too."""
    before = rotate(endpoint(SECRET))
    both = structs.replace(before, keys=resigned(before.keys, ["v1", "v1a"]))
    assert kept(both) == [("v1", None), ("v1a", None), ("v1", NOW + DAY)]
    assert set(before.keys) < set(both.keys)
    assert kept(structs.replace(both, keys=resigned(both.keys, ["v1a"]))) == [("v1a", None)]


def test_a_rotation_replaces_every_kind_of_key() -> None:
    """The old ones sign for a day, or for as long as was said."""
    before = endpoint(None, "v1", "v1a")
    after = rotate(before)
    assert kept(after) == [("v1", None), ("v1a", None), ("v1", NOW + DAY), ("v1a", NOW + DAY)]
    assert [key.key for key in after.keys[2:]] == [key.key for key in before.keys]
    assert kept(rotate(before, grace_s=0)) == [("v1", None), ("v1a", None)]


@pytest.mark.parametrize("grace_s", [0, 60, 7 * 86_400])
def test_a_rotation_leaves_the_grace_of_older_keys_alone(grace_s: int) -> None:
    """Neither a shorter grace period nor a longer one changes when a key expires that was rotated out before."""
    oldest = rotate(endpoint(SECRET), grace_s=3600)
    after = rotate(oldest, grace_s=grace_s, now_ms=NOW + 1000)
    assert {key.key: key.expires_at_ms for key in after.keys}[SECRET] == NOW + 3_600_000
    replaced = [key.expires_at_ms for key in after.keys if key.key == oldest.keys[0].key]
    assert replaced == ([NOW + 1000 + grace_s * 1000] if grace_s else [])


@pytest.mark.parametrize("old", [SECRET, PRIVATE])
def test_a_rotation_goes_back_to_a_key_that_still_signs(old: str) -> None:
    """The earlier key is current again, stands once, and the key that it replaces gets the grace period."""
    before = endpoint(old)
    bad = rotate(before, grace_s=3600)
    back = rotate(bad, key=old, grace_s=60, now_ms=NOW + 1000)
    assert [(key.key, key.expires_at_ms) for key in back.keys] == [(old, None), (bad.keys[0].key, NOW + 61_000)]
    assert rotate(back, key=bad.keys[0].key, now_ms=NOW + 2000).keys[0].key == bad.keys[0].key


def test_keys_are_the_same_however_they_are_written() -> None:
    """A private key with its public half and without it, and a secret with its prefix and without it."""
    seed_only = "whsk_" + base64.b64encode(b"p" * 32).decode()
    with pytest.raises(Invalid, match="already"):
        rotate(endpoint(PRIVATE), key=seed_only)
    back = rotate(rotate(endpoint(PRIVATE)), key=seed_only)
    assert [key.expires_at_ms for key in back.keys] == [None, NOW + DAY]
    with pytest.raises(Invalid, match="already"):
        rotate(endpoint(SECRET), key=SECRET.removeprefix("whsec_"))


def test_going_back_needs_no_room_for_another_key() -> None:
    """With as many keys as an endpoint can have, a rotation to one of them is possible, and to a new one is not."""
    full = endpoint(SECRET)
    for _ in range(4):
        full = rotate(full)
    with pytest.raises(Conflict, match="5 keys"):
        rotate(full)
    assert len(rotate(full, key=SECRET).keys) == 5
    assert len(rotate(full, grace_s=0).keys) == 5


def test_a_key_that_is_given_replaces_its_own_kind() -> None:
    """The other kind goes on as it is."""
    before = endpoint(None, "v1", "v1a")
    after = rotate(before, key=PRIVATE, grace_s=60)
    assert kept(after) == [("v1a", None), ("v1", None), ("v1a", NOW + 60_000)]
    assert (after.keys[0].key, after.keys[1]) == (PRIVATE, before.keys[0])


@pytest.mark.parametrize("key", [SECRET, PRIVATE])
def test_a_key_that_would_change_nothing_or_sign_nothing_is_refused(key: str) -> None:
    """One that it has, and one of a kind that it does not sign with."""
    with pytest.raises(Invalid, match=r"body\.key"):
        rotate(endpoint(SECRET), key=key)


def test_keys_of_each_kind_are_limited_by_themselves() -> None:
    """Five of a kind: the header has its bounds, and two kinds can be rotated as often as one."""
    both = endpoint(None, "v1", "v1a")
    for _ in range(4):
        both = rotate(both)
    assert len(both.keys) == 10
    with pytest.raises(Conflict):
        rotate(both)
    assert len(rotate(both, now_ms=NOW + DAY).keys) == 4


def test_what_is_shown_never_holds_a_private_key() -> None:
    """A shared secret is shown, of a pair its public half; where there are both, Svix's field has the secret."""
    assert structs.asdict(show_secret(endpoint(SECRET))) == {"key": SECRET, "public_key": None}
    public = public_key(PRIVATE)
    assert structs.asdict(show_secret(endpoint(PRIVATE))) == {"key": public, "public_key": public}
    shown = show_secret(endpoint(PRIVATE, "v1", "v1a"))
    assert (version_of(shown.key), shown.public_key) == ("v1", public)


def test_a_public_key_is_a_json_web_key() -> None:
    """With the thumbprint of RFC 8037's own example (A.3)."""
    raw = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    key = show_key("whpk_" + base64.b64encode(raw).decode())
    assert (key.kty, key.crv, key.x) == ("OKP", "Ed25519", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert len(base64.urlsafe_b64decode(key.kid + "=")) == hashlib.sha256().digest_size
