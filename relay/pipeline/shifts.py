"""When a slice ends, and how the next one takes its source over without a gap."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from relay.domain.model import SourceUid
from relay.domain.server_time import STEP_MS
from relay.pipeline.clock import Clock
from relay.store.routes import Routes, Token

log = structlog.get_logger()

SLICE_MS = 20_000
"""A slice ends after this, so that arq's jobs stay short: what arq believes of a killed worker lasts that long."""
OVERTIME_MS = 5_000
"""A slice that is over polls on for so long, until the next one asks for its source."""
LINGER_MS = 5_000
"""A slice that has nothing to ask for so long ends: to begin one costs as much as to wait for so long."""
ASK_AGAIN_S = 0.02
HandOn = Callable[[SourceUid], Awaitable[None]]
"""Enqueues the next slice of a source."""


@dataclass(slots=True)
class Shift:
    """The time in which one slice may poll its source."""

    uid: SourceUid
    token: Token
    ends_ms: int
    routes: Routes
    hand_on: HandOn | None
    is_offered: bool = False
    must_look: bool = False
    """The slice begins again with what the store says."""
    next_ms: int | None = None
    """When the next slice should run; None: whenever the lease would have run out."""

    async def is_over(self, now_ms: int, *, due_ms: int) -> bool:
        """Whether the slice has to end now; `due_ms` is when its source wants the next request.

        At the end of its time it offers the source, and enqueues the next slice.
        """
        if self.token.is_wanted:
            return True
        last_ms = self.ends_ms + (OVERTIME_MS if self.hand_on else 0)
        # A slice begins again when the clock was set back.
        if not self.ends_ms - SLICE_MS - STEP_MS <= now_ms < last_ms or due_ms > min(last_ms, now_ms + LINGER_MS):
            return True
        if now_ms < self.ends_ms:
            return False
        if self.hand_on is not None and not self.is_offered:
            self.is_offered = True
            await self.routes.offer(self.uid, lives_ms=2 * OVERTIME_MS)
            await self.hand_on(self.uid)
        self.token.is_wanted = await self.routes.is_wanted(self.uid)
        return self.token.is_wanted

    async def end(self) -> None:
        """Give the lease back, and say when the next slice should run: at once if an operator did something.

        A poller that takes over says itself when the source is due.
        """
        next_ms = None if self.token.is_wanted else self.next_ms
        await self.routes.give_back(self.uid, self.token, next_ms=next_ms)


async def take_over(routes: Routes, clock: Clock, uid: SourceUid, *, version: int) -> Token | None:
    """Take the lease of a source, at the latest when a slice that offers it has ended. None: another slice works."""
    gives_up_ms, is_handed_over = clock.now_ms() + OVERTIME_MS, False
    while (token := await routes.take(uid, version=version)) is None:
        if not await routes.is_offered(uid) or clock.now_ms() >= gives_up_ms:
            return None
        is_handed_over = True
        await asyncio.sleep(ASK_AGAIN_S)
    if is_handed_over:
        log.info("slice_taken_over", source=uid, token=token.number)
    else:
        log.debug("slice_begun", source=uid, token=token.number)
    return token
