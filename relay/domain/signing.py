"""Standard Webhooks signatures 1.0: `v1` (HMAC-SHA256) and `v1a` (Ed25519) over `id.timestamp.body`.

Keys are the texts that subscribers hold: `whsec_` (a shared secret) or `whsk_` (a private key, whose public half
`whpk_` the subscriber verifies with).
"""

import base64
import binascii
import hashlib
import hmac
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.domain.hashing import feed
from relay.domain.model import SigningKey
from relay.errors import Fault, Invalid

SECRET_PREFIX = "whsec_"  # noqa: S105
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"

Version = Literal["v1", "v1a"]
"""Of a signature: HMAC-SHA256, or Ed25519."""

_SECRET_BYTES = range(24, 65)
"""Standard Webhooks 1.0: a secret has 24 to 64 bytes."""

_NEVER = 2**63

_Sign = Callable[[bytes, bytes], str]
"""(`id.timestamp.`, body) to one item of the header."""


def new_secret(random: bytes) -> str:
    """Make a shared secret of random bytes (24 to 64; 32 are right)."""
    if len(random) not in _SECRET_BYTES:
        raise ValueError("a secret has 24 to 64 bytes")
    return SECRET_PREFIX + base64.b64encode(random).decode()


def new_private_key(random: bytes) -> str:
    """Make an Ed25519 private key of 32 random bytes: the seed and the public key, as Standard Webhooks writes it."""
    public = Ed25519PrivateKey.from_private_bytes(random).public_key().public_bytes_raw()
    return PRIVATE_PREFIX + base64.b64encode(random + public).decode()


def public_key(key: str) -> str:
    """The `whpk_…` that verifies what a `whsk_…` signs. Raises Invalid."""
    return PUBLIC_PREFIX + base64.b64encode(_private_key(key).public_key().public_bytes_raw()).decode()


def version_of(key: str) -> Version:
    """Which signatures a key makes.

    >>> version_of("whsk_…"), version_of("whsec_…")
    ('v1a', 'v1')
    """
    return "v1a" if key.startswith(PRIVATE_PREFIX) else "v1"


def check_key(key: str, *, path: tuple[str | int, ...] = ("body", "key")) -> None:
    """Raise Invalid, pointing to `path`, unless `key` is a usable `whsec_…` or `whsk_…`. Says nothing of its bytes."""
    try:
        _signing(key)
    except Invalid as error:
        raise Invalid(*(Fault(path, fault.message) for fault in error.faults)) from None


def is_same_key(one: str, other: str) -> bool:
    """Whether two keys sign alike, however they are written. Raises Invalid.

    >>> secret = "whsec_" + "QUFB" * 8
    >>> is_same_key(secret, secret), is_same_key(secret, "whsec_" + "QUFC" * 8)
    (True, False)
    """
    if version_of(one) != version_of(other):
        return False
    if version_of(one) == "v1a":
        return public_key(one) == public_key(other)
    return hmac.compare_digest(_secret(one), _secret(other))


class Signer:
    """The prepared keys of one endpoint: decoded once, with the HMAC state that every signature starts from.

    Raises Invalid if a key is not usable or there is none.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._keys = tuple(
            (_NEVER if key.expires_at_ms is None else key.expires_at_ms, _signing(key.key)) for key in keys
        )
        if not self._keys:
            raise Invalid(Fault(("keys",), "an endpoint needs at least one signing key"))

    def sign(self, message_id: str, timestamp_s: int, body: bytes, *, now_ms: int) -> str:
        """Give the value of `webhook-signature`: one item for each key that has not expired, the current one first."""
        prefix = f"{message_id}.{timestamp_s}.".encode()
        return " ".join([sign(prefix, body) for expires_at_ms, sign in self._keys if now_ms < expires_at_ms])


def _signing(key: str) -> _Sign:
    if key.startswith(PRIVATE_PREFIX):
        return _ed25519(_private_key(key))
    if key.startswith(SECRET_PREFIX):
        return _hmac(_secret(key))
    raise Invalid(Fault(("key",), f"must start with {SECRET_PREFIX} or {PRIVATE_PREFIX}"))


def _hmac(secret: bytes) -> _Sign:
    state = hmac.new(secret, digestmod=hashlib.sha256)

    def sign(prefix: bytes, body: bytes) -> str:
        mac = state.copy()
        mac.update(prefix)
        feed(mac, body)
        return "v1," + b2a_base64(mac.digest(), newline=False).decode()

    return sign


def _ed25519(private: Ed25519PrivateKey) -> _Sign:
    def sign(prefix: bytes, body: bytes) -> str:
        return "v1a," + b2a_base64(private.sign(prefix + body), newline=False).decode()

    return sign


def _secret(key: str) -> bytes:
    raw = _decode(key.removeprefix(SECRET_PREFIX))
    if len(raw) not in _SECRET_BYTES:
        raise Invalid(Fault(("key",), f"must hold 24 to 64 bytes after {SECRET_PREFIX}"))
    return raw


def _private_key(key: str) -> Ed25519PrivateKey:
    raw = _decode(key.removeprefix(PRIVATE_PREFIX))
    if len(raw) not in (32, 64):
        raise Invalid(Fault(("key",), f"must hold 32 or 64 bytes after {PRIVATE_PREFIX}: the seed, and the public key"))
    private = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if raw[32:] not in (b"", private.public_key().public_bytes_raw()):
        raise Invalid(Fault(("key",), "its last 32 bytes must be the public key of its first 32"))
    return private


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(Fault(("key",), "must be base64 after its prefix")) from None
