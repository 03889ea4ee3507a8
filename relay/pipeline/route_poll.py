"""One route within a slice: its state, its readings, what it wants next, and a page that was fetched ahead."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from relay.domain.model import Source
from relay.domain.polling import next_poll_ms
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Reading
from relay.domain.reading.trail import Step
from relay.domain.reading.turns import Turn
from relay.domain.route_state import Joined, RouteState
from relay.domain.server_time import STEP_MS
from relay.errors import RelayError
from relay.outbound.reports_api import Page
from relay.store.readings import Readings
from relay.store.routes import Routes, Token

AHEAD: Final = "ahead"
"""What the log calls the pages that move a route's cursor; readings have names of their own."""

Asked = tuple[int, int | None, int]
"""What a page was asked for: after, until, limit."""


@dataclass(slots=True)
class Budget:
    """When the budget of a source allows the next request of its readings."""

    due_ms: int = 0


@dataclass(slots=True)
class SourcePoll:
    """All routes of a source within a slice."""

    routes: dict[str, "RoutePoll"] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    looked_s: float = 0.0
    """When it was looked whether an operator did something, by the clock of the event loop."""


class RoutePoll:
    """One route within a slice."""

    def __init__(
        self,
        state: RouteState,
        token: Token,
        *,
        joined: Joined | None,
        places: dict[str, Place],
        budget: Budget,
        trail: list[Step] | None = None,
    ) -> None:
        self.state = msgspec.structs.replace(state, joined=joined)
        self.token = token
        self.ceiling: int | None = None
        self.places = places
        self.readings: dict[str, Reading] = {}
        """Those that have a place."""
        self.took_ms: dict[str, int] = {}
        """How long a page of each took last."""
        self.budget = budget
        self.trail = trail
        """The trail of the route; None: it is to be read again, because the cursor has moved."""
        self._ahead: tuple[Asked, asyncio.Task[Page]] | None = None

    def read_ahead(self, asked: Asked, page: Coroutine[Any, Any, Page]) -> None:
        """Fetch a page while the one before it is taken in."""
        self._ahead = asked, asyncio.create_task(page)

    async def take_ahead(self, asked: Asked) -> Page | None:
        """The page that was fetched ahead, if it is the one that is wanted. Raises what the fetch raised."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        if ahead[0] != asked:
            await cancelled(ahead[1])
            return None
        return await ahead[1]

    async def drop_ahead(self) -> None:
        """Forget a page that was fetched ahead: one request at a time is in flight for a source (H29)."""
        if self._ahead is not None:
            await cancelled(self._ahead[1])
            self._ahead = None

    async def save(self, routes: Routes, source: Source, **changes: int | str | None) -> None:
        """Change the route's state, here and in the store. Raises Fenced, or Astray."""
        self.state = msgspec.structs.replace(self.state, **changes)
        await routes.save(source.uid, self.state.route, changes, token=self.token)

    async def put(self, readings: Readings, source: Source, places: Mapping[str, Place | None]) -> None:
        """Change where readings are (None: forget one), here and in the store, with the budget. See Readings.save."""
        for name, place in places.items():
            if place is None:
                self.places.pop(name, None)
            else:
                self.places[name] = place
        await readings.save(source.uid, self.state.route, places, token=self.token, budget_ms=self.budget.due_ms)

    def follow(self, now_ms: int, *, poll_s: float) -> None:
        """Let no request come later than the intervals allow: one may have been made shorter since its time was set.

        If the clock was set back since the last request, the next one is due now: its time is not known any more.
        """
        state, last_ms = self.state, self.state.last_poll_at_ms or 0
        if last_ms - now_ms > STEP_MS:
            self.state = msgspec.structs.replace(state, last_poll_at_ms=now_ms, next_poll_at_ms=now_ms)
        elif not state.failures:
            latest_ms = last_ms + next_poll_ms(poll_s, jitter=1.0)
            self.state = msgspec.structs.replace(state, next_poll_at_ms=min(state.next_poll_at_ms, latest_ms))

    def turns(self, source: Source) -> list[Turn]:
        """The requests that the route wants, each with its time: none while it stands still."""
        route = self.state.route
        if source.paused or self.state.paused or self.state.unreadable:
            return []
        if self.state.failures and not self.tried_as_is(source):
            # The operator wrote the source since, and wants to know at once whether it works now.
            return [Turn(0, route)]
        if self._ahead is not None:
            return [Turn(-1, route)]
        forward = Turn(self.state.next_poll_at_ms, route)
        # While the upstream fails, one page is enough to find out that it works again.
        is_well = self.state.cursor is not None and not self.state.failures
        return [forward, *(self._turn(each, source.poll_interval_s) for each in self.readings.values() if is_well)]

    async def known_trail(self, readings: Readings, source: Source) -> list[Step]:
        """The trail of the route, in the order of time."""
        if self.trail is None:
            self.trail = await readings.trail(source.uid, self.state.route)
        return self.trail

    def due_ms(self, reading: Reading, *, poll_s: float) -> int:
        """When a reading wants its next page: a round begins with the poll that is nearest to its time.

        Then the source is at work anyway; to begin a slice for each would cost more than the readings themselves.
        """
        place, last_ms = self.places[reading.name], self.state.last_poll_at_ms or 0
        due_ms = place.due_ms
        if place.until is None and not reading.is_once:
            is_near = due_ms <= last_ms + poll_s * 1000 / 2
            due_ms = min(due_ms, last_ms) if is_near else max(due_ms, self.state.next_poll_at_ms)
        return max(due_ms, self.budget.due_ms) if reading.is_budgeted else due_ms

    def _turn(self, reading: Reading, poll_s: float) -> Turn:
        place, due_ms = self.places[reading.name], self.due_ms(reading, poll_s=poll_s)
        takes_ms = self.took_ms.get(reading.name, 0)
        return Turn(due_ms, self.state.route, reading.name, reading.patience_ms, takes_ms, place.due_ms)

    def tried_as_is(self, source: Source) -> bool:
        """Whether the source was not written since a request failed last, as far as this process knows."""
        return self.state.tried_as >= source.times_written


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended. Raises what it ended with, unless that is one of the relay's errors.

    A cancellation of the caller is not lost.
    """
    task.cancel()
    await asyncio.wait({task})
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, RelayError):
        raise error
