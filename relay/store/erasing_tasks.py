"""Tasks that erase people, as the store keeps them. The identity is sealed, and goes when the task ends."""

from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from relay.domain.erasing_task import Asked, Task
from relay.errors import Conflict, Unreadable
from relay.store.erasing_keys import ERASING
from relay.store.packing import Packing
from relay.store.scripts import script
from relay.store.vault import Vault

KEPT = 100
"""Tasks that have ended and are listed."""
KEPT_MS = 7 * 86_400_000
PACKING = Packing(Task, version=2, before={1: msgspec.msgpack.Decoder(Task).decode})


class ErasingTasks:
    """All tasks."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._vault = vault

    def sealed(self, task_id: str, asked: Asked) -> str:
        """An identity as a task keeps it."""
        return self._vault.seal(msgspec.json.encode(asked), _context(task_id))

    def opened(self, task: Task) -> Asked:
        """The identity that a task is about. Raises Unreadable."""
        return msgspec.json.decode(self._vault.open(task.sealed, _context(task.id)), type=Asked)

    async def all(self) -> list[Task]:
        """Those that are kept and can be read, the oldest first. Raises StoreUnavailable."""
        found = list[Task]()
        for packed in await self._redis.hvals(ERASING):  # type: ignore[misc]
            with suppress(Unreadable):
                found.append(PACKING.unpack(packed))
        return sorted(found, key=lambda task: (task.created_ms, task.id))

    async def create(self, task: Task) -> Task:
        """Begin a task; gives the one that is there, if it was begun before. Raises StoreUnavailable."""
        if await self._redis.hsetnx(ERASING, task.id, PACKING.pack(task)):  # type: ignore[misc,arg-type]
            return task
        return next((each for each in await self.all() if each.id == task.id), task)

    async def advance(self, before: Task, after: Task) -> None:
        """Write down how far a task has come. Raises Conflict if it is not as it was `before`, or StoreUnavailable."""
        stored = await self._redis.hget(ERASING, before.id)  # type: ignore[misc]
        args = [before.id, PACKING.as_stored(before, stored), PACKING.pack(after)]
        if not await script("replace_field")(self._redis, [ERASING], args):
            raise Conflict(f"task {before.id} was changed by another worker or request")

    async def trim(self, *, now_ms: int) -> None:
        """Forget tasks that ended long ago, and the oldest of those that are too many. Raises StoreUnavailable."""
        ended = [task for task in await self.all() if task.phase != "running"]
        over = [task.id for task in ended if task.updated_ms < now_ms - KEPT_MS] + [task.id for task in ended[:-KEPT]]
        if over:
            await self._redis.hdel(ERASING, *over)  # type: ignore[misc]


def _context(task_id: str) -> str:
    return f"erasing|{task_id}"
