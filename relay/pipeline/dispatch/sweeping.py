"""Sweeps of all sources, gathered: those that are due at the same time share one round trip."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.pipeline.clock import Clock
from relay.store.lanes import Lanes, Sweep

TOGETHER = 100
"""Sweeps of one round trip: a few milliseconds of this process."""
Waiting = Mapping[SourceUid, asyncio.Future[Sweep]]


class Sweeping:
    """Sweeps sources. A quiet source costs little else, and there can be thousands."""

    def __init__(self, lanes: Lanes, clock: Clock, reports: Callable[[], Collection[str]] = tuple) -> None:
        """`reports` gives the types of operational events that operators want at the moment."""
        self._lanes = lanes
        self._clock = clock
        self._reports = reports
        self._waiting: dict[SourceUid, asyncio.Future[Sweep]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def sweep(self, source: SourceUid) -> Sweep:
        """Sweep a source, with all others that want it in this turn of the loop. Raises as Lanes.sweep does."""
        if not self._waiting:
            task = asyncio.create_task(self._run())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        future: asyncio.Future[Sweep] = asyncio.get_running_loop().create_future()
        self._waiting[source] = future
        return await future

    async def _run(self) -> None:
        waiting, self._waiting = list(self._waiting.items()), {}
        for first in range(0, len(waiting), TOGETHER):
            await self._sweep(dict(waiting[first : first + TOGETHER]))

    async def _sweep(self, waiting: Waiting) -> None:
        sources = list(waiting)
        try:
            found = await self._lanes.sweep_all(sources, now_ms=self._clock.now_ms(), reports=self._reports())
        except StoreUnavailable as error:
            # In a cluster it may be one node that is away: the sources of the others do not wait for it.
            found = [error] if len(sources) == 1 else await self._each_apart(sources)
        except Exception as error:  # noqa: BLE001 - those that wait raise it
            found = [error] * len(sources)
        for future, swept in zip(waiting.values(), found, strict=True):
            if future.done():
                continue  # Nobody waits any more.
            if isinstance(swept, Exception):
                future.set_exception(swept)
            else:
                future.set_result(swept)

    async def _each_apart(self, sources: list[SourceUid]) -> list[Sweep | Exception]:
        now_ms = self._clock.now_ms()
        sweeps = [self._lanes.sweep(source, now_ms=now_ms, reports=self._reports()) for source in sources]
        found = await asyncio.gather(*sweeps, return_exceptions=True)
        return [each if isinstance(each, Sweep | Exception) else RuntimeError(repr(each)) for each in found]
