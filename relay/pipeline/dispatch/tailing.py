"""The tail of a worker: attempts are published as they end, for as long as somebody listens."""

import asyncio

import structlog

from relay.domain.model import Attempt
from relay.domain.outcomes import Outcome
from relay.domain.sending.delivery import Delivery
from relay.domain.tail import Batch, Entry, entry_of
from relay.errors import StoreRefused, StoreUnavailable
from relay.store.tail import Tail

log = structlog.get_logger()

GATHER_S = 0.1
"""Attempts gather for so long: a thousand a second are ten messages."""
BATCH_MOST = 2_000
"""Attempts of one message: about 0.5 MB. Further ones are counted, and not shown."""
LIVES_S = 7.0
"""How long a notice counts. Listeners give one every two seconds, so three can be lost."""


class Tailing:
    """Gathers and publishes. Without listeners, an attempt costs one look at `is_wanted`."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self.is_wanted = False
        self._until_s = 0.0
        self._entries: list[Entry] = []
        self._lost = 0
        self._awake = asyncio.Event()

    def wanted(self) -> None:
        """Somebody listens."""
        self.is_wanted = True
        self._until_s = asyncio.get_running_loop().time() + LIVES_S

    def ended(self, delivery: Delivery, outcome: Outcome, attempt: Attempt, *, now_ms: int) -> None:
        """An attempt has ended."""
        endpoint = delivery.lane.machine.endpoint
        if endpoint is None or len(self._entries) >= BATCH_MOST:
            self._lost += 1
            return
        entry = entry_of(delivery.lane.source, endpoint, delivery.event, outcome, attempt, at_ms=now_ms)
        self._entries.append(entry)
        self._awake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._awake.wait()
            await asyncio.sleep(GATHER_S)
            self._awake.clear()
            batch, self._entries, self._lost = Batch(self._entries, self._lost), [], 0
            # Looked at here, so that an attempt costs no look at the clock.
            self.is_wanted = loop.time() < self._until_s
            try:
                await self._tail.publish(batch)
            except (StoreUnavailable, StoreRefused) as error:
                self._lost += len(batch.entries) + batch.lost
                log.warning("tail_not_published", error=str(error), attempts=len(batch.entries))
