"""Measures by how much the event loop is late: what blocks it delays every callback and every answer."""

import asyncio

LOOK_S = 0.25
WINDOW_S = 10.0


class LoopLag:
    """The longest lag of the last one to two windows, so that a scrape in between sees it too."""

    def __init__(self) -> None:
        self._before = self._now = 0.0

    @property
    def seconds(self) -> float:
        """By how much the loop was late at most."""
        return max(self._before, self._now)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        window_ends = loop.time() + WINDOW_S
        while True:
            due = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            now = loop.time()
            self._now = max(self._now, now - due)
            if now >= window_ends:
                self._before, self._now, window_ends = self._now, 0.0, now + WINDOW_S
