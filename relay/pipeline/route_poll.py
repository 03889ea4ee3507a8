"""One route within a slice: its state, when it wants its next request, and a page that was fetched ahead."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec

from relay.domain.model import Joined, RouteState, Source
from relay.domain.polling import next_poll_ms
from relay.domain.server_time import STEP_MS
from relay.errors import RelayError
from relay.outbound.reports_api import Page
from relay.store.routes import Routes, Token

NEVER_MS = 2**62


class RoutePoll:
    """One route within a slice: its state, and where a reading of the rows behind its cursor stands."""

    def __init__(self, state: RouteState, token: Token, *, joined: Joined | None) -> None:
        self.state = msgspec.structs.replace(state, joined=joined)
        self.token = token
        self.ceiling: int | None = None
        self.overlap_ceiling: int | None = None
        self.overlap_failures = 0
        self._ahead: tuple[tuple[int, int, int | None], asyncio.Task[Page]] | None = None

    def read_ahead(self, key: tuple[int, int, int | None], page: Coroutine[Any, Any, Page]) -> None:
        """Fetch a page while the one before it is taken in. `key`: after, limit, until."""
        self._ahead = key, asyncio.create_task(page)

    async def take_ahead(self, key: tuple[int, int, int | None]) -> Page | None:
        """The page that was fetched ahead, if it is the one that is wanted. Raises what the fetch raised."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        if ahead[0] != key:
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

    def follow(self, now_ms: int, *, poll_s: float, overlap_s: float) -> None:
        """Let no request come later than the intervals allow: one may have been made shorter since its time was set.

        If the clock was set back since the last request, the next one is due now: its time is not known any more.
        """
        state, last_ms = self.state, self.state.last_poll_at_ms or 0
        if last_ms - now_ms > STEP_MS:
            self.state = msgspec.structs.replace(
                state, last_poll_at_ms=now_ms, next_poll_at_ms=now_ms, overlap_at_ms=now_ms
            )
        elif not state.failures:
            self.state = msgspec.structs.replace(
                state,
                next_poll_at_ms=min(state.next_poll_at_ms, last_ms + next_poll_ms(poll_s, jitter=1.0)),
                overlap_at_ms=min(state.overlap_at_ms, now_ms + next_poll_ms(overlap_s, jitter=1.0)),
            )

    def due_ms(self, source: Source) -> int:
        """When the route wants its next request. Of several that are due, the one that waits longest is served."""
        if source.paused or self.state.unreadable:
            return NEVER_MS
        if self.state.failures and not self.tried_as_is(source):
            # The operator wrote the source since, and wants to know at once whether it works now.
            return 0
        if self.state.state == "stopped":
            return self.state.next_poll_at_ms
        return min(self.forward_due_ms(), self.overlap_due_ms())

    def tried_as_is(self, source: Source) -> bool:
        """Whether the source was not written since a request failed last, as far as this process knows."""
        return self.state.tried_as >= source.times_written

    def forward_due_ms(self) -> int:
        """When the rows behind the cursor are to be asked for."""
        return self.state.next_poll_at_ms if self._ahead is None else -1

    def overlap_due_ms(self) -> int:
        """When the rows before the cursor are to be read again: not while the upstream fails, nor during a fetch."""
        if self.state.cursor is None or self.state.failures or self._ahead is not None:
            return NEVER_MS
        return self.state.overlap_at_ms


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended. Raises what it ended with, unless that is one of the relay's errors.

    A cancellation of the caller is not lost.
    """
    task.cancel()
    await asyncio.wait({task})
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, RelayError):
        raise error
