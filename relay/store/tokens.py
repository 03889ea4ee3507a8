"""Access tokens that workers have in common, sealed, and the right to get one."""

import hashlib
import hmac
import uuid

import msgspec
from redis.asyncio import Redis

from relay.domain.credentials import OAuth2
from relay.errors import Unreadable
from relay.store import token_keys
from relay.store.scripts import script
from relay.store.vault import Vault

GETTING_S = 60
"""How long the right to get a token lives: more than the requests for one take."""
NAME_CHARS = 32


class SharedTokens:
    """All of them, by the names of their credentials."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis, self._vault = redis, vault
        self._key = vault.derived("tokens")[0]

    def name_of(self, auth: msgspec.Struct) -> str:
        """A short name of credentials, which says nothing of them.

        A refresh token keeps its name when the server replaces it. Client secrets may be weak, so that their digest
        needs a key. The others are not, and do without, so that workers with different encryption keys agree.
        """
        fields = {name: getattr(auth, name) for name in auth.__struct_fields__ if name != "refresh_token"}
        text = msgspec.json.encode([type(auth).__name__, fields], order="sorted")
        digest = hmac.new(self._key if isinstance(auth, OAuth2) else b"", text, hashlib.sha256)
        return digest.hexdigest()[:NAME_CHARS]

    async def find(self, name: str) -> tuple[bytes, float] | None:
        """The token, and how many seconds it is still fresh; None: there is none that can be read.

        Raises StoreUnavailable.
        """
        key = token_keys.token(name)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.get(key)
            pipe.pttl(key)
            sealed, left_ms = await pipe.execute()
        if sealed is None or left_ms <= 0:
            return None
        try:
            return self._vault.open(sealed.decode("ascii", "replace"), _context(name)), left_ms / 1000
        except Unreadable:
            return None

    async def put(self, name: str, token: bytes, *, fresh_s: float) -> None:
        """Keep a token for as long as it is fresh. Raises StoreUnavailable."""
        sealed = self._vault.seal(token, _context(name))
        await self._redis.set(token_keys.token(name), sealed, px=max(1, round(fresh_s * 1000)))

    async def begin(self, name: str) -> str | None:
        """Take the right to get a token; None: another worker has it. Raises StoreUnavailable."""
        holder = uuid.uuid4().hex
        taken = await self._redis.set(token_keys.getting(name), holder, nx=True, px=GETTING_S * 1000)
        return holder if taken else None

    async def end(self, name: str, holder: str) -> None:
        """Give the right back. Raises StoreUnavailable."""
        await script("end_getting")(self._redis, [token_keys.getting(name)], [holder])


def _context(name: str) -> str:
    return f"token|{name}"
