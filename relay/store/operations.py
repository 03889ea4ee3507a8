"""Operational events: what the relay did on its own decision, for the operator to see. A short log, not a queue."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain.model import ApplicationId
from relay.store import keys, outbox_keys
from relay.store.scripts import script

KEPT = 10_000


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operational event. `position` orders them; newer ones are greater."""

    position: str
    at_ms: int
    kind: str
    """`endpoint.disabled`, …"""
    data: dict[str, Any]


class Operations:
    """The log."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.noted: Counter[str] = Counter()
        """What this process wrote down, by kind."""

    async def note(
        self, kind: str, data: dict[str, Any], *, now_ms: int, condition: tuple[str, str] = ("", "")
    ) -> None:
        """Write one down, also when the server is full. `data` holds ids and reasons, never row content.

        `condition` names something that lasts, and what holds of it now: if that held before, nothing is written.
        """
        args = [kind, now_ms, msgspec.json.encode(data), KEPT, *condition]
        self.noted[kind] += await script("note_operation")(self._redis, [keys.OPERATIONS, keys.STANDING], args)

    async def condition(self, name: str) -> str | None:
        """What holds of a condition; None: it was never noted."""
        held = await self._redis.hget(keys.STANDING, name)  # type: ignore[misc]
        return None if held is None else held.decode()

    async def holding(self, state: str, names: Sequence[str]) -> list[str]:
        """Those of some conditions that are in a state."""
        held = await self._redis.hmget(keys.STANDING, names)  # type: ignore[misc,arg-type]
        return [name for name, now in zip(names, held, strict=True) if now == state.encode()]

    async def conditions(self, prefix: str) -> dict[str, str]:
        """What holds of all conditions whose names begin so."""
        held: dict[bytes, bytes] = await self._redis.hgetall(keys.STANDING)  # type: ignore[misc]
        named = {name.decode("utf-8", "replace"): now.decode("utf-8", "replace") for name, now in held.items()}
        return {name: now for name, now in named.items() if name.startswith(prefix)}

    async def forget_conditions(self, names: Iterable[str]) -> None:
        """Forget conditions of what is not there any more."""
        if gone := list(names):
            await self._redis.hdel(keys.STANDING, *gone)  # type: ignore[misc]

    async def report_once(self, thing: str, kind: str, data: Mapping[str, str], *, now_ms: int) -> None:
        """Write down what is wrong with a thing, unless that was done and the thing was not written since.

        `thing` is `{kind}/{id}` of an object of the configuration, see relay.store.records.
        """
        names = [keys.config("reported"), keys.OPERATIONS]
        await script("report_once")(self._redis, names, [thing, kind, now_ms, msgspec.json.encode(data), KEPT])

    async def posted(self) -> str | None:
        """The position up to which the events are posts of the operator's application; None: none is."""
        position = await self._redis.get(outbox_keys.OPERATIONS_POSTED)
        return None if position is None else position.decode()

    async def set_posted(self, position: str) -> None:
        """Write down up to which position the events are posts."""
        await self._redis.set(outbox_keys.OPERATIONS_POSTED, position)

    async def pass_over(self, application: ApplicationId) -> None:
        """Post nothing of what was noted before, unless the operator's application has endpoints already."""
        names = [keys.config("index"), keys.OPERATIONS, outbox_keys.OPERATIONS_POSTED, outbox_keys.OUTBOX]
        await script("pass_over_operations")(self._redis, names, [f"endpoint/{application}"])

    async def page(self, *, after: str | None = None, limit: int, descending: bool = True) -> list[Operation]:
        """Up to `limit`, the newest first if `descending`, from behind the position `after` on."""
        behind = None if after is None else f"({after}"
        if descending:
            entries = await self._redis.xrevrange(keys.OPERATIONS, behind or "+", "-", count=limit)
        else:
            entries = await self._redis.xrange(keys.OPERATIONS, behind or "-", "+", count=limit)
        return read_operations(entries)


def read_operations(entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Operation]:
    """The operational events of the entries of a stream."""
    return [
        Operation(
            position=position.decode(),
            at_ms=int(fields[b"at"]),
            kind=fields[b"kind"].decode(),
            data=msgspec.json.decode(fields[b"data"]),
        )
        for position, fields in entries
    ]
