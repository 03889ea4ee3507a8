"""Time and chance, handed in wherever they are needed, so that tests can hold them still.

Every process goes by the clock of the Redis server: what one process writes down as due, another one reads.
"""

import asyncio
import platform
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from relay.domain.server_time import OFF_AFTER_MS, STEP_MS, corrected
from relay.errors import StoreRefused, StoreUnavailable
from relay.store.operations import Operations
from relay.store.server import Server

log = structlog.get_logger()

READ_EVERY_S = 2.0
FIRST_READ_RETRY_S = 0.2
"""How soon the server is asked again for its clock, while it was never read."""
OFF_DO = "synchronise the clock of this machine (chrony, systemd-timesyncd), or that of the machine of the Redis server"


class Clock:
    """The server's clock as far as it is known, and real chance. Until it was read, it is this machine's."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self.is_read = False
        """Whether the server was ever asked."""

    def now_ms(self) -> int:
        """Milliseconds of UTC since 1970."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000

    def jitter(self) -> float:
        """A random number from 0 to 1."""
        return random.random()

    def skew_ms(self) -> int:
        """How far this machine's clock is ahead of the server's; below 0: behind it."""
        return time.time_ns() // 1_000_000 - self.now_ms()

    def is_off(self) -> bool:
        """Whether the two clocks differ so much that one of them is wrong."""
        return self.is_read and abs(self.skew_ms()) > OFF_AFTER_MS

    def trouble(self) -> str | None:
        """What is wrong with the clocks, in words; None: nothing is."""
        if not self.is_off():
            return None
        return f"the clock of this machine differs by {self.skew_ms() / 1000:+.0f} s from that of the Redis server"

    async def read(self, server: Server) -> int:
        """Ask the server; gives the ms by which this clock was set back for that, or 0. Raises StoreUnavailable."""
        asked, before = time.monotonic_ns(), self._offset_ns
        told_us = await server.read_clock()
        answered = time.monotonic_ns()
        self._offset_ns = corrected(before, asked=asked, answered=answered, told=told_us * 1000)
        was_read, self.is_read = self.is_read, True
        back_ms = (before - self._offset_ns) // 1_000_000
        return back_ms if was_read and back_ms > STEP_MS else 0


async def keep_time(
    clock: Clock, server: Server, operations: Operations, *, set_back: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Follow the server's clock until cancelled. A clock that is wrong is logged and told to the operator.

    `set_back` is called when the server's clock was set back.
    """
    was_off = False
    while True:
        try:
            if back_ms := await clock.read(server):
                log.warning("server_clock_set_back", seconds=back_ms / 1000)
                if set_back is not None:
                    await set_back()
            if clock.is_off() != was_off:
                await _tell(clock, operations)
                was_off = clock.is_off()
        except (StoreUnavailable, StoreRefused) as error:
            log.debug("clock_not_read", error=str(error))
        await asyncio.sleep(READ_EVERY_S if clock.is_read else FIRST_READ_RETRY_S)


async def _tell(clock: Clock, operations: Operations) -> None:
    data = {"node": platform.node(), "skewSeconds": round(clock.skew_ms() / 1000)}
    if clock.is_off():
        log.error("clock_off", **data, do=OFF_DO)
        await operations.note("clock.off", data, now_ms=clock.now_ms())
    else:
        log.info("clock_right", **data)
        await operations.note("clock.right", data, now_ms=clock.now_ms())
