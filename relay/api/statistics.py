"""Statistics: how endpoints do over time."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, StoresGiven
from relay.api.schemas.common import ms
from relay.api.schemas.statistics import (
    AttemptStatsOut,
    HealthOut,
    HistoryOut,
    show_health,
    show_history,
)
from relay.domain.model import Application, Endpoint, SourceUid
from relay.domain.principals import Resource
from relay.domain.tallies import KEPT, UNIT_MS, Unit, summed, within
from relay.errors import Fault, Invalid
from relay.store.queues import Queue
from relay.wiring import Stores

HOUR_MS = UNIT_MS["hour"]


class StatisticsController(Controller):
    """Statistics of one endpoint."""

    path = "/app/{app_id:str}/endpoint/{endpoint_id:str}"
    tags = ["statistics"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.ENDPOINT)

    @get("/history", summary="Get an endpoint's attempts over time")
    async def endpoint_history(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        unit: Annotated[Unit, QueryParameter(description="How long each bucket is")] = "minute",
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
    ) -> HistoryOut:
        """Get the attempts of an endpoint in each minute, or hour, by their status and duration.

        The relay keeps the newest 180 minutes with attempts and the newest 336 hours with attempts, for each source.
        Without `since`, the response has the last hour by minutes, or the last day by hours.
        """
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        until_ms = ms(until) if until else clock.now_ms()
        since_ms = ms(since) if since else until_ms - (HOUR_MS if unit == "minute" else 24 * HOUR_MS)
        _check(since_ms, until_ms)
        streams = await stores.configuration.streams_of(application)
        pairs = [(endpoint.id, stream) for stream in streams]
        found = (await stores.statistics.tallies.read(pairs, unit, newest=KEPT[unit])).get(endpoint.id, {})
        buckets = within(found, unit, since_ms=since_ms, until_ms=until_ms)
        health = await health_of(stores, application, endpoint, streams, now_ms=clock.now_ms())
        return show_history(buckets, health, unit=unit, since_ms=since_ms, until_ms=until_ms)

    @get("/attempt-stats", summary="Count an endpoint's attempts")
    async def endpoint_attempt_stats(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
    ) -> AttemptStatsOut:
        """Count the attempts of an endpoint in the hours that begin between `since` and `until`.

        Without `since`, the relay counts the last 14 days.
        """
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        until_ms = ms(until) if until else clock.now_ms()
        since_ms = ms(since) if since else until_ms - KEPT["hour"] * HOUR_MS
        _check(since_ms, until_ms)
        pairs = [(endpoint.id, stream) for stream in await stores.configuration.streams_of(application)]
        found = (await stores.statistics.tallies.read(pairs, "hour", newest=KEPT["hour"])).get(endpoint.id, {})
        total = summed(each for _, each in within(found, "hour", since_ms=since_ms, until_ms=until_ms))
        return AttemptStatsOut(success=total.succeeded, fail=total.failed)


async def health_of(
    stores: Stores, application: Application, endpoint: Endpoint, streams: list[SourceUid], *, now_ms: int
) -> HealthOut:
    """How an endpoint is doing now."""
    pairs = [(endpoint.id, stream) for stream in streams]
    condition = (await stores.statistics.conditions.read([endpoint.id]))[endpoint.id]
    queue = (await stores.statistics.queues.read(pairs)).get(endpoint.id, Queue())
    return show_health(endpoint, application, condition, queue, now_ms=now_ms)


def _check(since_ms: int, until_ms: int) -> None:
    if since_ms >= until_ms:
        raise Invalid(Fault(("query", "since"), "must be before `until`"))
