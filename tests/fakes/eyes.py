"""A client that looks at everything that is stored, wherever it is: on one server, or on the nodes of a cluster."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Redis

from relay.store.cluster import ClusterRedis, servers
from relay.store.connection import connect

T = TypeVar("T")

OF_ALL = ("FLUSHDB", "FLUSHALL", "CONFIG SET", "SCRIPT FLUSH", "DBSIZE", "KEYS")


class ClusterEyes(ClusterRedis):
    """A cluster looks like one server to it."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] not in OF_ALL:
            return await super().execute_command(*args, **options)
        answers = [await node.execute_command(*args, **options) for node in await self.servers()]  # type: ignore[no-untyped-call]
        if isinstance(answers[0], list):
            return [each for answer in answers for each in answer]
        return sum(answers) if args[0] == "DBSIZE" else answers[0]

    async def scan_iter(self, *args: Any, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        for node in await self.servers():
            async for name in node.scan_iter(*args, **options):
                yield name


async def commands_of(redis: Redis, work: Callable[[], Awaitable[T]]) -> tuple[T, int]:
    """What some work gives, and how many commands the servers processed for it."""

    async def processed() -> int:
        return sum([(await node.info("stats"))["total_commands_processed"] for node in await servers(redis)])

    before = await processed()
    result = await work()
    return result, await processed() - before - len(await servers(redis))


def eyes(url: str) -> Redis:
    """A client whose errors are redis-py's own where there is one server."""
    return connect(url, server=Redis, cluster=ClusterEyes)
