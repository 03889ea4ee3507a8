"""Sending rights for lanes with a rate limit: fetched a tenth of a second's worth at a time."""

import asyncio
from collections.abc import Callable

import structlog

from relay.errors import StoreUnavailable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.dispatch.lane import HeldLane
from relay.store.rates import Rates

log = structlog.get_logger()

AT_ONCE_S = 0.1
STORE_RETRY_S = 0.5
LONGEST_WAIT_S = 1.0


class Rationing:
    """Gets rights for lanes that have none and want to send; one fetch at a time for each lane."""

    def __init__(self, *, rates: Rates, catalogue: Catalogue, to_send: Callable[[HeldLane], None]) -> None:
        self._rates = rates
        self._catalogue = catalogue
        self._to_send = to_send
        self._fetching: dict[HeldLane, asyncio.Task[None]] = {}

    def want(self, lane: HeldLane) -> None:
        """Fetch rights for a lane, if it has used up its own and has something to send."""
        if lane.rights == 0 and lane.queue and not lane.is_stopped and lane not in self._fetching:
            self._fetching[lane] = asyncio.create_task(self._fetch(lane))

    async def close(self) -> None:
        """Stop fetching."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, lane: HeldLane) -> None:
        try:
            await self._fetch_some(lane)
        finally:
            # Before the lane goes on: it may use up what it got, and want more, at once.
            del self._fetching[lane]
        self._to_send(lane)

    async def _fetch_some(self, lane: HeldLane) -> None:
        while lane.queue and not lane.is_stopped:
            limits = self._catalogue.limits(lane.endpoint)
            if not limits:
                lane.rights = None
                break
            wanted = max(1, min(len(lane.queue), int(min(limits.values()) * AT_ONCE_S)))
            try:
                given, wait_s = await self._rates.take(limits, wanted=wanted)
            except StoreUnavailable as error:
                log.warning("rights_not_fetched", endpoint=lane.endpoint.id, error=str(error))
                given, wait_s = 0, STORE_RETRY_S
            if given:
                lane.rights = given
                break
            await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))
