"""The list of failing endpoints: those that failed lately, and those whose events wait and that are not paused."""

import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from litestar import get
from litestar.params import QueryParameter

from relay.api.access import Reach, needs, own_application
from relay.api.dependencies import ClockGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.paging import in_memory, read_page
from relay.api.schemas.common import ListOut, moment_or_none
from relay.api.schemas.statistics import FailingEndpointOut, show_counts, show_health
from relay.domain.breaking import WELL, Condition
from relay.domain.model import Application, Attempt, Endpoint, EndpointId, SourceUid
from relay.domain.names import NAME, UID_MOST
from relay.domain.principals import Resource
from relay.domain.tallies import UNIT_MS, Tally, Unit, summed, within
from relay.store.queues import Queue
from relay.store.tallies import Pair
from relay.wiring import Stores

HOUR_MS = UNIT_MS["hour"]
MOST = 2000
"""Pairs of an endpoint and a stream that are looked at for each reason: the newest failures, and parked lanes."""
MOST_OPEN = 500
"""Endpoints with open breakers that are looked at."""
MINUTES_UP_TO = 3
"""Hours that are looked at minute by minute."""
LOOKED_AT = 20
"""The newest attempts of a pair, among which the last failed one is sought."""
NEVER = 10**15 - 1
FORM = re.compile(r"\d{15}\.\d{15}\.[A-Za-z0-9_]{1,64}")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of the list."""

    endpoint: Endpoint
    pairs: list[Pair]
    condition: Condition
    queue: Queue
    last_failed_ms: int
    """0: not lately."""

    @property
    def key(self) -> str:
        """Sorts the worst first: by the oldest event that waits; without one, by the last failure, the newest first."""
        oldest_ms = self.queue.oldest.stored_at_ms if self.queue.oldest else NEVER
        return f"{oldest_ms:015}.{NEVER - self.last_failed_ms:015}.{self.endpoint.id}"


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
    paging: PagingGiven,
    hours: Annotated[int, QueryParameter(ge=1, le=24, description="How many hours to look back")] = 1,
    app: Annotated[str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME)] = None,
) -> ListOut[FailingEndpointOut]:
    """List endpoints that failed in the last hours, or for which the relay holds messages back, worst first.

    The endpoint with the oldest message that waits comes first. Endpoints without such a message follow, those that
    failed last first. An endpoint that is disabled, unfit or resting is listed as long as messages wait for it,
    whenever it failed. An endpoint that is paused is listed only if it failed in the last hours.
    An endpoint that changes its place between two requests can be on both pages, or on none.
    """
    named = app or principal.application
    application = await own_application(principal, named, stores) if named else None
    since_ms = clock.now_ms() - hours * HOUR_MS
    standings = {each.key: each for each in await _standings(stores, application, since_ms=since_ms)}
    page = await read_page(in_memory(standings), paging, key=lambda each: each.key, show=lambda each: each, form=FORM)
    shown = await _shown(stores, page.data, since_ms=since_ms, hours=hours, now_ms=clock.now_ms())
    return ListOut(data=shown, iterator=page.iterator, prev_iterator=page.prev_iterator, done=page.done)


async def _standings(stores: Stores, application: Application | None, *, since_ms: int) -> list[Standing]:
    streams = await streams_for(stores, application)
    failed, held = await _candidates(stores, streams, since_ms=since_ms)
    found = await stores.endpoints.read({endpoint for endpoint, _ in (*failed, *held)})
    known = {
        each: endpoint for each, endpoint in found.items() if application is None or endpoint.app_id == application.id
    }
    pairs = [pair for pair in dict.fromkeys((*failed, *held)) if pair[0] in known]
    queues = await stores.statistics.queues.read(pairs)
    conditions = await stores.statistics.conditions.read(queues)
    of_endpoint: dict[EndpointId, list[Pair]] = {}
    for pair in pairs:
        of_endpoint.setdefault(pair[0], []).append(pair)
    last = {each: max(failed.get(pair, 0) for pair in its) for each, its in of_endpoint.items()}
    return [
        Standing(
            endpoint=known[each],
            pairs=its,
            condition=conditions.get(each, WELL),
            queue=queues[each],
            last_failed_ms=last[each],
        )
        for each, its in of_endpoint.items()
        if last[each] or (queues[each].waiting and not _is_only_paused(known[each]))
    ]


def _is_only_paused(endpoint: Endpoint) -> bool:
    """Whether its messages wait only because somebody paused it: the endpoint itself did not fail."""
    return endpoint.paused and not endpoint.disabled


async def _candidates(
    stores: Stores, streams: Sequence[SourceUid], *, since_ms: int
) -> tuple[dict[Pair, int], list[Pair]]:
    """The pairs that failed lately, with the ms; and those for which events are held back."""
    statistics = stores.statistics
    found = await statistics.tallies.failing(streams, since_ms=since_ms, most=MOST)
    failed = dict(sorted(found.items(), key=lambda each: -each[1])[:MOST])
    parked = sorted(await statistics.held_back.parked(streams, most=MOST))[:MOST]
    are_open = await statistics.held_back.open(most=MOST_OPEN)
    return failed, [*parked, *sorted(await statistics.held_back.kept_in(streams, are_open))]


async def streams_for(stores: Stores, application: Application | None) -> list[SourceUid]:
    """The streams of an application, or of all."""
    if application is not None:
        return await stores.configuration.streams_of(application)
    return [*await stores.sources.uids(), *await stores.applications.posting()]


async def _shown(
    stores: Stores, page: Sequence[Standing], *, since_ms: int, hours: int, now_ms: int
) -> list[FailingEndpointOut]:
    pairs = [pair for each in page for pair in each.pairs]
    tallies = await _tallies(stores, pairs, since_ms=since_ms, hours=hours)
    attempts = await stores.attempts.newest(pairs, each=LOOKED_AT)
    owners = {each.endpoint.app_id: await stores.applications.owner_of(each.endpoint) for each in page}
    shown = []
    for each in page:
        failed = [one for pair in each.pairs for one in attempts[pair] if one.verdict not in ("delivered", "skipped")]
        last = max(failed, key=lambda one: one.started_at_ms, default=None)
        shown.append(_show(each, owners[each.endpoint.app_id], tallies[each.endpoint.id], last, now_ms=now_ms))
    return shown


async def _tallies(stores: Stores, pairs: Sequence[Pair], *, since_ms: int, hours: int) -> dict[EndpointId, Tally]:
    unit: Unit = "minute" if hours <= MINUTES_UP_TO else "hour"
    newest = hours * HOUR_MS // UNIT_MS[unit] + 1
    # The bucket in which the time begins is counted, so that no failure is left out.
    begin_ms = since_ms - since_ms % UNIT_MS[unit]
    return {
        endpoint: summed(tally for _, tally in within(buckets, unit, since_ms=begin_ms, until_ms=2**53))
        for endpoint, buckets in (await stores.statistics.tallies.read(pairs, unit, newest=newest)).items()
    }


def _show(
    standing: Standing, application: Application | None, tally: Tally, last: Attempt | None, *, now_ms: int
) -> FailingEndpointOut:
    endpoint = standing.endpoint
    return FailingEndpointOut(
        app_id=endpoint.app_id,
        endpoint_id=endpoint.id,
        endpoint_uid=endpoint.uid,
        description=endpoint.description,
        url_host=urlsplit(endpoint.url).netloc.rpartition("@")[2],
        last_failed_at=moment_or_none(standing.last_failed_ms or None),
        last_status=last.status if last else None,
        last_error=last.error if last else None,
        attempts=show_counts(tally),
        health=show_health(endpoint, application, standing.condition, standing.queue, now_ms=now_ms),
    )
