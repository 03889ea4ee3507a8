"""Sessions of the console: a random token in a browser's cookie, and the sealed API key that it stands for.

The store has only a digest of the token. A session ends an hour after its last use, eight hours after it began, or when
it is deleted. That of a subscriber, which began with a link to the portal, ends with the token of the link.
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
    link: str = ""
    ends_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended."""

    token: Secret
    """As in the cookie."""
    key: Secret
    """The API key."""
    began_ms: int
    link: str = ""
    """A digest of the link to the portal that it began with. Empty: it began with an API key."""


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._vault = vault

    async def begin(self, key: Secret, *, now_ms: int, link: str = "", ends_ms: int | None = None) -> Session:
        """A new session. Raises StoreUnavailable.

        `ends_ms`: it lives until then, used or not. None: as long as sessions of API keys do.
        """
        token = Secret(secrets.token_urlsafe(TOKEN_BYTES))
        name, kept = _name(token), msgspec.json.encode(_Kept(key.reveal(), now_ms, link, ends_ms))
        lives_ms = IDLE_MS if ends_ms is None else max(1, ends_ms - now_ms)
        await self._redis.set(name, self._vault.seal(kept, name), px=lives_ms)
        return Session(token, key, now_ms, link)

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
        left_ms = (kept.began_ms + LONGEST_MS if kept.ends_ms is None else kept.ends_ms) - now_ms
        if left_ms <= 0:
            await self._redis.delete(name)
            return None
        if extends and kept.ends_ms is None:
            await self._redis.pexpire(name, min(IDLE_MS, left_ms))
        return Session(token, Secret(kept.key), kept.began_ms, kept.link)

    async def end(self, token: Secret) -> None:
        """End a session. Raises StoreUnavailable."""
        await self._redis.delete(_name(token))


def _name(token: Secret) -> str:
    return request_keys.session(hashlib.sha256(token.reveal().encode()).hexdigest())
