"""Secrets at rest, in AES-256-GCM envelopes. The keys come from the settings and never stand in Redis."""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.domain.model import Secret
from relay.errors import SealedByAnother, Unreadable

FORMAT = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12


class Vault:
    """Seals texts under the first of a ring of keys, and opens what any of them has sealed.

    Each text has a random key of its own, which the ring's key wraps. Both are bound to a `context` such as
    `endpoint|ep_…|keys`, so that a sealed text opens only where it was put. Rotation is online: put a new key first,
    keep the old one behind it until everything has been saved once more.
    """

    def __init__(self, ring: Sequence[Secret]) -> None:
        """Take keys of 32 bytes in base64, the sealing one first. Raises ValueError when there is none, or another."""
        keys = [base64.b64decode(key.reveal(), validate=True) for key in ring]
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError("the vault needs keys of 32 bytes in base64")
        self._ring = {key_id(key): AESGCM(key) for key in keys}
        self._keys = tuple(keys)
        self._sealing = key_id(keys[0])

    def seal(self, text: bytes, context: str) -> str:
        """Seal a text: `v1.{key id}.{wrapped key}.{sealed text}`, base64url."""
        bound = context.encode()
        own_key = AESGCM.generate_key(KEY_BYTES * 8)
        wrapped = _encrypt(self._ring[self._sealing], own_key, bound)
        return ".".join((FORMAT, self._sealing, _text(wrapped), _text(_encrypt(AESGCM(own_key), text, bound))))

    @property
    def sealing(self) -> str:
        """The id of the key that seals now."""
        return self._sealing

    def is_current(self, sealed: str) -> bool:
        """Whether a text is sealed under the key that seals now: others want to be saved once more."""
        return sealed.startswith(f"{FORMAT}.{self._sealing}.")

    def derived(self, purpose: str) -> list[bytes]:
        """Keys of 32 bytes for another purpose, one for each key of the ring, the one that signs first (RFC 5869)."""
        label = f"relay|{purpose}".encode()
        return [HKDF(SHA256(), length=KEY_BYTES, salt=None, info=label).derive(key) for key in self._keys]

    def open(self, sealed: str, context: str) -> bytes:
        """Give the plain text. Raises SealedByAnother when no key of the ring has sealed it, and Unreadable when it was
        changed, or sealed in another context."""
        bound = context.encode()
        try:
            version, sealed_by, wrapped, text = sealed.split(".")
            if version != FORMAT:
                raise ValueError(version)
            own_key = _decrypt(self._ring[sealed_by], _bytes(wrapped), bound)
            return _decrypt(AESGCM(own_key), _bytes(text), bound)
        except KeyError:
            raise SealedByAnother(f"{context} is sealed with a key that is not in RELAY_ENCRYPTION_KEY") from None
        except (InvalidTag, ValueError):
            raise Unreadable(f"{context} was changed in the store: its seal is broken") from None


def key_id(key: bytes) -> str:
    """A short name of a key, which says nothing of it."""
    return hashlib.sha256(b"relay vault key" + key).hexdigest()[:8]


def _encrypt(cipher: AESGCM, text: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, text, bound)


def _decrypt(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode()


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
