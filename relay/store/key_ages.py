"""Since when the keys of RELAY_ENCRYPTION_KEY have been in use, so that an operator sees when to change the key."""

from redis.asyncio import Redis

from relay.store import keys
from relay.store.server import Server
from relay.store.vault import Vault

KEPT = keys.config("encryption-keys")
"""zset: id of a key of RELAY_ENCRYPTION_KEY → ms when a process first encrypted with it. Kept, the last 64."""
MOST_KEYS = 64


class KeyAges:
    """Notes the key that encrypts now. A key that was noted keeps its time, also if another one was used in between."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._server = Server(redis)
        self._key = vault.sealing

    async def note(self) -> None:
        """A process encrypts with the key from now on. Raises StoreUnavailable."""
        now_ms = await self._server.now_ms()
        await self._redis.zadd(KEPT, {self._key: now_ms}, nx=True)
        await self._redis.zremrangebyrank(KEPT, 0, -MOST_KEYS - 1)

    async def since_ms(self) -> int | None:
        """When the key was first used; None: no process has noted it. Raises StoreUnavailable."""
        since_ms = await self._redis.zscore(KEPT, self._key)
        return None if since_ms is None else int(since_ms)
