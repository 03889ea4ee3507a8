"""What both kinds of processes say of themselves."""

import asyncio
from importlib.metadata import version

from prometheus_client import ProcessCollector, generate_latest

from relay.domain.operational import ABOUT_ATTEMPTS
from relay.domain.operational_types import TYPES
from relay.errors import StoreRefused, StoreUnavailable
from relay.metrics.looping import LoopLag
from relay.metrics.sheet import Sheet
from relay.store.operations import Operations
from relay.store.server import Server

ANSWER_WITHIN_S = 1.0
"""A server that takes longer counts as down, and the scrape does not wait for it."""
_CPU_AND_MEMORY = ProcessCollector(registry=None)
WITH_THEIR_CAUSE = ABOUT_ATTEMPTS | {
    "endpoint.created", "endpoint.updated", "endpoint.deleted", "endpoint.disabled", "endpoint.enabled",
}  # fmt: skip
"""Written by the script that makes the change, so that no process counts them."""
KINDS = tuple(sorted(TYPES.keys() - WITH_THEIR_CAUSE))
"""Operational events that are shown before the first one: `increase` does not see a counter that begins with 1."""


class ProcessMetrics:
    """Its version, its event loop, its use of the machine, and whether it reaches Redis."""

    def __init__(self, process: str, server: Server, operations: Operations, lag: LoopLag) -> None:
        """`process`: `worker` or `api`."""
        self._process = process
        self._server = server
        self._operations = operations
        self._lag = lag

    async def fill(self, sheet: Sheet) -> int | None:
        """Add the samples. Gives the server's clock in ms; None: it does not answer."""
        sheet.put("relay_build_info", 1, self._process, version("infinity-event-relay"))
        sheet.put("relay_event_loop_lag_seconds", self._lag.seconds)
        noted = self._operations.noted
        for kind in (*KINDS, *(noted.keys() - set(KINDS))):
            sheet.put("relay_operational_events_total", noted[kind], kind)
        now_ms = None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                now_ms = await self._server.now_ms()
        except (TimeoutError, StoreUnavailable, StoreRefused):
            pass
        sheet.put("relay_redis_up", int(now_ms is not None))
        return now_ms


def cpu_and_memory() -> bytes:
    """The metrics of the operating system, `process_…`, in the text format."""
    return generate_latest(_CPU_AND_MEMORY)
