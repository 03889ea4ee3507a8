"""The tokens of API keys: `rlk_`, the letters of the key's id, a secret, and a checksum.

The id in the token makes the lookup one read. The prefix and the checksum let secret scanners find leaked tokens, and
let the API refuse a mistyped one without asking the store. Only a digest of the secret is kept. The secret has 160
random bits, so a plain SHA-256 is enough: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Sequence

from msgspec import structs

from relay.domain.principals import PORTAL_PREFIX, ApiKey, KeyId, KeySecret

PREFIX = "rlk_"
KEY_PREFIX = "key_"
"""How ids of keys begin."""
ID_PREFIXES = {PREFIX: KEY_PREFIX, "rlp_": PORTAL_PREFIX}
"""How tokens begin, and the ids of their keys: API keys, and those of subscribers in the portal."""
HINT_CHARS = 4
SECRETS_MOST = 5
"""Tokens of one key that work at a time: the current one, and those that were rotated out."""

_TOKEN = re.compile(r"(rlk_|rlp_)([0-9A-Za-z]{27})([0-9A-Za-z]{27})([0-9a-f]{8})")


def token_of(key: KeyId, secret: str) -> str:
    """The token of a key, from a secret of 27 letters and digits."""
    begins = {each: prefix for prefix, each in ID_PREFIXES.items()}
    body = begins[key[: len(KEY_PREFIX)]] + key[len(KEY_PREFIX) :] + secret
    return body + _checksum(body)


def read_token(token: str) -> tuple[KeyId, str] | None:
    """The id of the key, and the digest of the secret. None: it is not a token."""
    found = _TOKEN.fullmatch(token)
    if found is None or not hmac.compare_digest(_checksum(token[: found.start(4)]), found[4]):
        return None
    return KeyId(ID_PREFIXES[found[1]] + found[2]), digest_of(found[3])


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_valid(key: ApiKey, digest: str, *, now_ms: int) -> bool:
    """Whether a digest is that of a token of the key that works now. It takes the same time for every wrong digest."""
    if key.expires_at_ms is not None and key.expires_at_ms <= now_ms:
        return False
    same = [hmac.compare_digest(each.digest, digest) for each in key.secrets]
    return any(
        match and (each.expires_at_ms is None or each.expires_at_ms > now_ms)
        for match, each in zip(same, key.secrets, strict=True)
    )


def renewed(key: ApiKey, secret: str, *, grace_ms: int, now_ms: int) -> ApiKey:
    """A key with a new current secret. The one before works for `grace_ms` more, and older ones as long as they did."""
    kept = _after_rotation(key.secrets, until_ms=now_ms + grace_ms, now_ms=now_ms)
    return structs.replace(
        key,
        secrets=(KeySecret(digest=digest_of(secret)), *kept),
        hint=token_of(key.id, secret)[-HINT_CHARS:],
        updated_at_ms=now_ms,
    )


def _after_rotation(secrets: Sequence[KeySecret], *, until_ms: int, now_ms: int) -> list[KeySecret]:
    ending = [
        structs.replace(each, expires_at_ms=until_ms if each.expires_at_ms is None else each.expires_at_ms)
        for each in secrets
    ]
    return [each for each in ending if (each.expires_at_ms or 0) > now_ms]


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
