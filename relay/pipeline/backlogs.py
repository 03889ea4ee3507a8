"""Backlogs: how much may wait for one endpoint. The oldest is dropped, and listed as undelivered with the reason."""

from collections import Counter
from collections.abc import Sequence
from math import ceil

import structlog

from relay.domain.model import EndpointId, SourceUid
from relay.pipeline.apart import ask_apart, each_apart
from relay.store.backlog import Backlog
from relay.store.operations import Operations

log = structlog.get_logger()

ROOM = 0.05
"""An endpoint over its budget gets down to so much below it, so that this is not done, and told, each time."""
Told = dict[EndpointId, Counter[str]]
"""What was dropped of each endpoint."""
FULL, TOO_OLD = "backlog_full", "backlog_too_old"


class Backlogs:
    """Keeps each endpoint's backlog, over all sources, within its bytes and its age."""

    def __init__(self, *, backlog: Backlog, operations: Operations, most_bytes: int, longest_s: float) -> None:
        self._backlog = backlog
        self._operations = operations
        self._most_bytes = most_bytes
        self._longest_ms = round(longest_s * 1000)

    async def trim(self, sources: Sequence[SourceUid], *, now_ms: int) -> None:
        """Keep all endpoints within their bytes. `now_ms` is the server's clock. Raises StoreUnavailable."""
        told: Told = {}
        over = await self._over_budget(sources)
        await each_apart("make_room", over, lambda source: self._make_room(source, over[source], now_ms, told))
        await self._say(told, now_ms)

    async def drop_old(self, sources: Sequence[SourceUid], *, now_ms: int) -> None:
        """Drop deliveries that have waited too long. `now_ms` is the server's clock. Raises StoreUnavailable."""
        told: Told = {}
        await each_apart("drop_old", sources, lambda source: self._drop_old(source, now_ms, told))
        await self._say(told, now_ms)

    async def _say(self, told: Told, now_ms: int) -> None:
        for endpoint, counts in told.items():
            data = {"endpointId": endpoint, **counts}
            log.warning("backlog_dropped", **data)
            await self._operations.note("endpoint.backlog_dropped", data, now_ms=now_ms)

    async def _over_budget(self, sources: Sequence[SourceUid]) -> dict[SourceUid, dict[EndpointId, int]]:
        """Bytes to let go: of each source as large a share as it has in what the endpoint keeps."""
        owed = await ask_apart("measure_backlogs", sources, self._backlog.all_owed)
        totals: Counter[EndpointId] = Counter()
        for sizes in owed.values():
            totals.update(sizes)
        target = self._most_bytes * (1 - ROOM)
        return {
            source: {
                endpoint: ceil(size * (1 - target / totals[endpoint]))
                for endpoint, size in sizes.items()
                if size and totals[endpoint] > self._most_bytes
            }
            for source, sizes in owed.items()
        }

    async def _make_room(self, source: SourceUid, wanted: dict[EndpointId, int], now_ms: int, told: Told) -> None:
        if not wanted:
            return
        dead = await self._backlog.drop_dead(source, wanted)
        for endpoint, size in wanted.items():
            done = dead[endpoint]
            _count(told, endpoint, given_up=done.deliveries, size=done.bytes)
            if done.bytes < size:
                waiting = await self._backlog.drop_waiting(
                    source, endpoint, reason=FULL, now_ms=now_ms, most_bytes=size - done.bytes
                )
                _count(told, endpoint, waiting=waiting.deliveries, size=waiting.bytes)

    async def _drop_old(self, source: SourceUid, now_ms: int, told: Told) -> None:
        below = await self._backlog.older_than(source, time_ms=now_ms - self._longest_ms)
        if not below:
            return
        for endpoint in await self._backlog.endpoints(source):
            old = await self._backlog.drop_waiting(source, endpoint, reason=TOO_OLD, now_ms=now_ms, below=below)
            _count(told, endpoint, too_old=old.deliveries, size=old.bytes)


def _count(
    told: Told,
    endpoint: EndpointId,
    *,
    given_up: int = 0,
    waiting: int = 0,
    too_old: int = 0,
    size: int,
) -> None:
    if given_up or waiting or too_old:
        counts = {"givenUp": given_up, "waiting": waiting, "tooOld": too_old, "bytes": size}
        told.setdefault(endpoint, Counter()).update(counts)
