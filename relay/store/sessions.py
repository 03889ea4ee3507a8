"""Sessions of the console: a random token in a browser's cookie, and the sealed API key that it stands for.

The store has only a digest of the token. A session ends an hour after its last use, eight hours after it began, or when
it is deleted.
"""

import hashlib
import secrets
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from relay.domain.model import Secret
from relay.errors import Unreadable
from relay.store import request_keys
from relay.store.vault import Vault

IDLE_MS = 3_600_000
LONGEST_MS = 8 * IDLE_MS
TOKEN_BYTES = 32


class _Kept(msgspec.Struct, frozen=True):
    key: str
    began_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended."""

    token: Secret
    """As in the cookie."""
    key: Secret
    """The API key."""
    began_ms: int


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._vault = vault

    async def begin(self, key: Secret, *, now_ms: int) -> Session:
        """A new session. Raises StoreUnavailable."""
        token = Secret(secrets.token_urlsafe(TOKEN_BYTES))
        name, kept = _name(token), msgspec.json.encode(_Kept(key.reveal(), now_ms))
        await self._redis.set(name, self._vault.seal(kept, name), px=IDLE_MS)
        return Session(token, key, now_ms)

    async def find(self, token: Secret, *, now_ms: int, extends: bool = True) -> Session | None:
        """The session of a token. None: it has ended. Raises StoreUnavailable.

        `extends`: this is a use of the session, so it lives another hour from now on.
        """
        name = _name(token)
        if (sealed := await self._redis.get(name)) is None:
            return None
        try:
            kept = msgspec.json.decode(self._vault.open(sealed.decode("ascii", "replace"), name), type=_Kept)
        except (Unreadable, msgspec.ValidationError):
            return None  # Another release wrote it, or RELAY_ENCRYPTION_KEY was replaced: sign in again.
        left_ms = kept.began_ms + LONGEST_MS - now_ms
        if left_ms <= 0:
            await self._redis.delete(name)
            return None
        if extends:
            await self._redis.pexpire(name, min(IDLE_MS, left_ms))
        return Session(token, Secret(kept.key), kept.began_ms)

    async def end(self, token: Secret) -> None:
        """End a session. Raises StoreUnavailable."""
        await self._redis.delete(_name(token))


def _name(token: Secret) -> str:
    return request_keys.session(hashlib.sha256(token.reveal().encode()).hexdigest())
