"""Tasks that aggregated statistics, with their results: the newest, for some days."""

from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from relay.errors import Unreadable
from relay.store import tally_keys
from relay.store.packing import Packing

UsageKind = Literal["application.stats", "event-type.aggregate"]
KEPT = 20
KEPT_MS = 7 * 86_400_000


class UsageTask(msgspec.Struct, frozen=True, array_like=True):
    """A task that has ended."""

    id: str
    kind: UsageKind
    updated_ms: int
    data: dict[str, Any]
    """The result, as responses show it."""


PACKING = Packing(UsageTask, version=1)


class UsageTasks:
    """The tasks that are kept."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, task: UsageTask) -> None:
        """Keep a task, and drop the oldest. Raises StoreUnavailable."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(tally_keys.USAGE, mapping={task.id: PACKING.pack(task)})
            pipe.pexpire(tally_keys.USAGE, KEPT_MS)
            await pipe.execute()
        tasks = await self.all()
        if old := [each.id for each in tasks[:-KEPT]]:
            await self._redis.hdel(tally_keys.USAGE, *old)  # type: ignore[misc]

    async def all(self) -> list[UsageTask]:
        """Those that are kept and can be read, the oldest first. Raises StoreUnavailable."""
        found: list[UsageTask] = []
        for packed in await self._redis.hvals(tally_keys.USAGE):  # type: ignore[misc]
            try:
                found.append(PACKING.unpack(packed))
            except Unreadable:
                continue  # Another release wrote it. It ends with the others.
        return sorted(found, key=lambda task: (task.updated_ms, task.id))
