"""Upkeep: what nobody waits for. Old events and attempts go, and so does what is known of rows far behind."""

import structlog

from relay.domain.model import SourceUid
from relay.pipeline.clock import Clock
from relay.store.attempts import Attempts
from relay.store.retention import Retention

log = structlog.get_logger()


class Upkeep:
    """Keeps a source's part of the store within its limits."""

    def __init__(
        self,
        *,
        retention: Retention,
        attempts: Attempts,
        clock: Clock,
        retention_s: float,
        dead_retention_s: float,
        attempt_log_bytes: int,
    ) -> None:
        self._retention = retention
        self._attempts = attempts
        self._clock = clock
        self._retention_ms = round(retention_s * 1000)
        self._dead_retention_ms = round(dead_retention_s * 1000)
        self._attempt_log_bytes = attempt_log_bytes

    async def sweep(self, source: SourceUid, routes: tuple[str, ...]) -> None:
        """One round for one source; can be cut short anywhere and run twice at once."""
        now_ms = self._clock.now_ms()
        dead = await self._retention.forget_dead(source, before_ms=now_ms - self._dead_retention_ms)
        events = await self._retention.forget_events(source, before_ms=now_ms - self._retention_ms)
        rows = await self._retention.forget_rows(source, routes)
        shed = await self._attempts.shed(source, budget_bytes=self._attempt_log_bytes)
        if dead or events or rows or shed:
            log.info("upkeep", source=source, dead=dead, events=events, row_buckets=rows, attempt_bytes=shed)
