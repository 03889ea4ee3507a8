"""What follows when the upstream gave no page: when its route asks again, for how much, and what is said of it."""

import structlog
from msgspec.structs import replace

from relay.domain.model import Source
from relay.domain.polling import TRY_MORE_MS, backoff_ms, refused_ms
from relay.domain.reading.plan import Reading
from relay.errors import LimitRefused, Refused, Retriable, UpstreamError
from relay.pipeline.clock import Clock
from relay.pipeline.route_poll import AHEAD, RoutePoll
from relay.store.operations import Operations
from relay.store.readings import Readings
from relay.store.routes import Routes

log = structlog.get_logger()

SMALLEST_LIMIT = 2
"""A page of one row cannot show whether the upstream sorts."""
LESS_AFTER_MS = 1000


class Setbacks:
    """Notes each in the state of its route."""

    def __init__(self, *, routes: Routes, readings: Readings, operations: Operations, clock: Clock) -> None:
        self._routes = routes
        self._readings = readings
        self._operations = operations
        self._clock = clock

    async def limit_refused(
        self, source: Source, poll: RoutePoll, error: LimitRefused, reading: Reading | None
    ) -> None:
        """Ask for half as many rows from now on (H7)."""
        limit = poll.state.limit or source.batch_size
        if limit <= SMALLEST_LIMIT:
            await self.failed(source, poll, error, reading)
            return
        soon_ms = self._clock.now_ms() + LESS_AFTER_MS
        changes = {
            "limit": max(SMALLEST_LIMIT, limit // 2),
            "limit_until_ms": self._clock.now_ms() + TRY_MORE_MS,
        }
        if reading is None:
            changes["next_poll_at_ms"] = soon_ms
        else:
            place = poll.places[reading.name]
            await poll.put(self._readings, source, {reading.name: replace(place, due_ms=soon_ms)})
        await self._note(source, poll, error, reading=reading, **changes)

    async def refused(self, source: Source, poll: RoutePoll, error: Refused) -> None:
        """Ask rarely from now on, until the source is written again; and say so once."""
        refusals = poll.state.failures + 1 if poll.state.state == "stopped" and poll.tried_as_is(source) else 1
        now_ms, wait_ms = self._clock.now_ms(), refused_ms(refusals, jitter=self._clock.jitter())
        if refusals == 1:
            data = {"source": source.uid, "route": poll.state.route, "reason": str(error)}
            await self._operations.note("source.unauthorized", data, now_ms=now_ms)
            log.warning("route_stopped", **data, next_in_s=wait_ms / 1000, do="see docs/runbook.md, A route is stopped")
        next_ms = now_ms + wait_ms
        changes = {"failures": refusals, "next_poll_at_ms": next_ms}
        await self._note(source, poll, error, reading=None, state="stopped", **changes)

    async def failed(self, source: Source, poll: RoutePoll, error: UpstreamError, reading: Reading | None) -> None:
        """Wait longer after each failure in a row.

        A reading behind the cursor counts its own failures, which pages ahead of the cursor do not end, and keeps
        these pages waiting only if the upstream asked for a pause.
        """
        now_ms, asked_s = self._clock.now_ms(), error.retry_after_s if isinstance(error, Retriable) else None
        if reading is not None:
            place = poll.places[reading.name]
            wait_ms = backoff_ms(place.failures + 1, retry_after_s=asked_s, jitter=self._clock.jitter())
            place = replace(place, failures=place.failures + 1, due_ms=now_ms + wait_ms)
            await poll.put(self._readings, source, {reading.name: place})
            if asked_s is None:
                await self._note(source, poll, error, reading=reading)
                return
        failures = poll.state.failures + 1 if poll.tried_as_is(source) else 1
        wait_ms = backoff_ms(failures, retry_after_s=asked_s, jitter=self._clock.jitter())
        changes = {"failures": failures, "next_poll_at_ms": now_ms + wait_ms}
        await self._note(source, poll, error, reading=reading, state="failing", **changes)

    async def _note(
        self, source: Source, poll: RoutePoll, error: Exception, *, reading: Reading | None, **changes: int | str
    ) -> None:
        now_ms, next_ms = self._clock.now_ms(), changes.get("next_poll_at_ms")
        log.warning(
            "poll_failed",
            source=source.uid,
            route=poll.state.route,
            reading=AHEAD if reading is None else reading.name,
            kind=type(error).__name__,
            error=str(error),
            failures=changes.get("failures", poll.state.failures),
            next_in_s=(next_ms - now_ms) / 1000 if isinstance(next_ms, int) else None,
        )
        changes |= {"last_error": str(error), "last_error_at_ms": now_ms, "last_poll_at_ms": now_ms}
        await poll.save(self._routes, source, tried_as=source.times_written, **changes)
