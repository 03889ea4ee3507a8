"""How upkeep is put together."""

from relay.config import Settings
from relay.config.readings import plan_of
from relay.pipeline.backlogs import Backlogs
from relay.pipeline.clock import Clock
from relay.pipeline.freshness import FreshnessWatch
from relay.pipeline.pressure import Pressure
from relay.pipeline.upkeep import Limits, Upkeep
from relay.store.backlog import Backlog
from relay.store.chores import Chores
from relay.store.compaction import Compaction
from relay.store.moments import Moments
from relay.store.retention import Retention
from relay.store.rows import Rows
from relay.store.server import Server
from relay.wiring import Stores


def upkeep_of(settings: Settings, stores: Stores, pressure: Pressure, clock: Clock) -> Upkeep:
    """What keeps the store within its limits."""
    redis = stores.redis
    return Upkeep(
        server=Server(redis),
        clock=clock,
        pressure=pressure,
        chores=Chores(redis),
        retention=Retention(redis),
        compaction=Compaction(redis),
        rows=Rows(
            redis,
            plan=plan_of(settings),
            longest_s=settings.dead_retention_seconds,
            most_bytes=settings.known_rows_bytes,
        ),
        past=stores.past_events,
        attempts=stores.attempts,
        books=stores.books,
        audit=stores.audit,
        backlogs=Backlogs(
            backlog=Backlog(redis),
            operations=stores.operations,
            most_bytes=settings.endpoint_backlog_bytes,
            longest_s=settings.endpoint_backlog_seconds,
        ),
        freshness=FreshnessWatch(
            routes=stores.routes, operations=stores.operations, chores=Chores(redis), server=Server(redis)
        ),
        moments=Moments(redis),
        limits=Limits(
            retention_s=settings.retention_seconds,
            dead_retention_s=settings.dead_retention_seconds,
            attempt_log_bytes=settings.attempt_log_bytes,
            books_s=settings.books_seconds,
            books_bytes=settings.books_bytes,
            # A reading may be late by a quarter of its distance, and by more if its budget is short.
            past_s=1.5 * max(settings.change_schedule, default=0.0),
            past_bytes=settings.past_events_bytes,
        ),
    )
