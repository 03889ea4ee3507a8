"""Whether Redis takes what a worker writes: a server that answers may be a replica, or be full."""

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from relay.cli.diagnosing import Wrong
from relay.config import Settings, variable
from relay.store.cluster import servers
from relay.store.server import MemoryUse, Server


async def check_writes(redis: Redis, settings: Settings) -> list[Wrong]:
    """A finding for a server that takes no writes, or has no room for events. Raises StoreUnavailable."""
    found = [wrong for server in await servers(redis) if (wrong := await _replica(server))]
    if full := no_room(await Server(redis).memory(), settings.memory_stop_share):
        found.append(full)
    return found


async def _replica(server: Redis) -> Wrong | None:
    try:
        told = await server.info("replication")
    except ResponseError:
        return None  # The user may not ask. Other findings say so.
    if told.get("role") not in ("slave", "replica"):
        return None
    text = "the server is a replica, so it takes no writes, and nothing is polled or sent"
    return Wrong(area="Redis", state="failed", text=text, do=f"set {variable('redis_url')} to the primary")


def no_room(use: MemoryUse, stop_share: float) -> Wrong | None:
    """A finding for a server on which no source is polled, because its memory is used up. Pure."""
    if not use.limit or use.used < use.limit * stop_share:
        return None
    text = f"{use.used / use.limit:.0%} of maxmemory is used, and no source is polled from {stop_share:.0%}"
    return Wrong(area="Redis memory", state="failed", text=text, do="raise maxmemory, or delete what is not needed")
