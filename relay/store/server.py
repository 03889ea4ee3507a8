"""The server itself: its clock, and how much of its memory is used."""

import math
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from relay.domain.server_time import STEP_MS
from relay.store import keys
from relay.store.cluster import servers
from relay.store.scripts import script

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes that are used, and how many may be; a limit of 0 is none."""

    used: int
    limit: int


class Server:
    """What the server says of itself."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._refused = False

    async def now_ms(self) -> int:
        """The server's clock. Workers' clocks may be wrong, each in its own way."""
        seconds, micros = await self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def read_clock(self) -> int:
        """The server's clock in µs. If it was set back since anybody read it, what endpoints wait for is set back too.

        The times of a source's deliveries follow in its next sweep.
        """
        seconds, micros, _ = map(int, await script("read_clock")(self._redis, [keys.CLOCK, keys.CONDITIONS], [STEP_MS]))
        return seconds * 1_000_000 + micros

    async def memory(self) -> MemoryUse:
        """How much of its memory is used; in a cluster, of the fullest node's.

        A server that does not tell has no limit; that is logged once.
        """
        uses = [await self._memory_of(server) for server in await servers(self._redis)]
        return max(uses, key=lambda use: use.used / (use.limit or math.inf))

    async def _memory_of(self, redis: Redis) -> MemoryUse:
        try:
            told = await redis.info("memory")
        except ResponseError as error:
            if not self._refused:
                log.warning("memory_unknown", error=str(error), do="allow the relay's user the command INFO")
            self._refused = True
            return MemoryUse(0, 0)
        # What the limit is compared with: buffers of replicas and of the append-only file don't count.
        used = int(told.get("used_memory", 0)) - int(told.get("mem_not_counted_for_evict", 0))
        return MemoryUse(used, int(told.get("maxmemory", 0)))
