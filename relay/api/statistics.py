"""Statistics: how endpoints do over time, and which of them fail."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from relay.api.access import Reach, needs, own_application
from relay.api.dependencies import ApplicationGiven, ClockGiven, PrincipalGiven, StoresGiven
from relay.api.paging import LIMIT, LIMIT_AT_MOST
from relay.api.schemas.common import moment, ms
from relay.api.schemas.statistics import (
    AttemptStatsOut,
    FailingEndpointOut,
    FailingOut,
    HealthOut,
    HistoryOut,
    show_counts,
    show_health,
    show_history,
)
from relay.domain.model import Application, Endpoint, EndpointId, SourceUid
from relay.domain.names import NAME, UID_MOST
from relay.domain.principals import Resource
from relay.domain.tallies import KEPT, SUCCESS, UNIT_MS, Failing, Tally, Unit, summed, within, worst_first
from relay.errors import Fault, Invalid
from relay.store.queues import Queue
from relay.store.tallies import Pair
from relay.wiring import Stores

HOUR_MS = UNIT_MS["hour"]
MOST_FAILING = 2000
"""Pairs of an endpoint and a stream that are looked at, those with the newest failures."""
MINUTES_UP_TO = 3
"""Hours that are looked at minute by minute."""


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
        health = await health_of(stores, endpoint, streams, now_ms=clock.now_ms())
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
        return AttemptStatsOut(success=total.count(SUCCESS), fail=total.failed)


@get(
    "/stats/failing-endpoint",
    tags=["statistics"],
    summary="List failing endpoints",
    opt=needs(Resource.ENDPOINT, Reach.EVERY),
)
async def failing_endpoints(
    principal: PrincipalGiven,
    stores: StoresGiven,
    clock: ClockGiven,
    hours: Annotated[int, QueryParameter(ge=1, le=24, description="How many hours to look back")] = 1,
    limit: Annotated[
        int, QueryParameter(ge=1, le=LIMIT_AT_MOST, description="The maximum number of endpoints")
    ] = LIMIT,
    app: Annotated[str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME)] = None,
) -> FailingOut:
    """List the endpoints with a failed attempt in the last hours, worst first.

    Disabled endpoints come first, then those whose breaker is open, then those with the largest share of failed
    attempts. The relay looks at the 2,000 that failed last.
    """
    named = app or principal.application
    application = await own_application(principal, named, stores) if named else None
    streams = await _streams(stores, application)
    now_ms = clock.now_ms()
    since_ms = now_ms - hours * HOUR_MS
    found = await stores.statistics.tallies.failing(streams, since_ms=since_ms, most=MOST_FAILING)
    newest = sorted(found, key=lambda pair: -found[pair])[:MOST_FAILING]
    endpoints = await stores.endpoints.read({endpoint for endpoint, _ in newest})
    pairs = [pair for pair in newest if _is_shown(endpoints.get(pair[0]), application)]
    shown = await _ranked(stores, pairs, endpoints, since_ms=since_ms, hours=hours)
    chosen = {endpoint: endpoints[endpoint] for endpoint, _ in shown[:limit]}
    healths = await _healths(stores, pairs, chosen, now_ms=now_ms)
    last: dict[EndpointId, int] = {}
    for endpoint, stream in pairs:
        last[endpoint] = max(last.get(endpoint, 0), found[endpoint, stream])
    return FailingOut(
        data=[_show(chosen[each], tally, healths[each], last[each]) for each, tally in shown[:limit]],
        more=len(shown) > limit or len(found) > MOST_FAILING,
    )


async def health_of(stores: Stores, endpoint: Endpoint, streams: list[SourceUid], *, now_ms: int) -> HealthOut:
    """How an endpoint is doing now."""
    pairs = [(endpoint.id, stream) for stream in streams]
    condition = (await stores.statistics.conditions.read([endpoint.id]))[endpoint.id]
    queue = (await stores.statistics.queues.read(pairs)).get(endpoint.id, Queue())
    return show_health(endpoint, condition, queue, now_ms=now_ms)


async def _streams(stores: Stores, application: Application | None) -> list[SourceUid]:
    """The streams of an application, or of all."""
    if application is not None:
        return await stores.configuration.streams_of(application)
    return [*await stores.sources.uids(), *await stores.applications.posting()]


def _is_shown(endpoint: Endpoint | None, application: Application | None) -> bool:
    return endpoint is not None and (application is None or endpoint.app_id == application.id)


async def _ranked(
    stores: Stores, pairs: list[Pair], endpoints: dict[EndpointId, Endpoint], *, since_ms: int, hours: int
) -> list[tuple[EndpointId, Tally]]:
    """The endpoints that failed in a time, worst first, each with its attempts."""
    unit: Unit = "minute" if hours <= MINUTES_UP_TO else "hour"
    newest = hours * HOUR_MS // UNIT_MS[unit] + 1
    # The bucket in which the time begins is counted, so that no failure is left out.
    begin_ms = since_ms - since_ms % UNIT_MS[unit]
    conditions = await stores.statistics.conditions.read({endpoint for endpoint, _ in pairs})
    standing: dict[EndpointId, Failing] = {}
    for endpoint, buckets in (await stores.statistics.tallies.read(pairs, unit, newest=newest)).items():
        tally = summed(each for _, each in within(buckets, unit, since_ms=begin_ms, until_ms=2**53))
        is_open = conditions[endpoint].opens > 0
        standing[endpoint] = Failing(is_off=endpoints[endpoint].disabled, is_open=is_open, tally=tally)
    return [(each, standing[each].tally) for each in sorted(standing, key=lambda each: worst_first(standing[each]))]


async def _healths(
    stores: Stores, pairs: list[Pair], chosen: dict[EndpointId, Endpoint], *, now_ms: int
) -> dict[EndpointId, HealthOut]:
    conditions = await stores.statistics.conditions.read(chosen)
    queues = await stores.statistics.queues.read([pair for pair in pairs if pair[0] in chosen])
    return {
        each: show_health(endpoint, conditions[each], queues.get(each, Queue()), now_ms=now_ms)
        for each, endpoint in chosen.items()
    }


def _show(endpoint: Endpoint, tally: Tally, health: HealthOut, last_ms: int) -> FailingEndpointOut:
    return FailingEndpointOut(
        app_id=endpoint.app_id,
        endpoint_id=endpoint.id,
        endpoint_uid=endpoint.uid,
        description=endpoint.description,
        last_failed_at=moment(last_ms),
        attempts=show_counts(tally),
        health=health,
    )


def _check(since_ms: int, until_ms: int) -> None:
    if since_ms >= until_ms:
        raise Invalid(Fault(("query", "since"), "must be before `until`"))
