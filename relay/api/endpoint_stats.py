"""How an endpoint's deliveries do, counted from the attempts that are kept."""

from collections import Counter
from datetime import datetime

from litestar import get
from litestar.params import FromPath, FromQuery

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, StoresGiven
from relay.api.feeds import read_feed
from relay.api.paging import Paging
from relay.api.schemas.common import ms
from relay.api.schemas.messages import CANCELED, FAIL, PENDING, SENDING, SUCCESS, delivery_status
from relay.api.schemas.statistics import EndpointStatsOut
from relay.api.statistics import health_of
from relay.api.visibility import AttemptItem, attempts_feed
from relay.domain.principals import Resource

LOOKED_AT = 5_000
"""Attempts that one request counts, at most."""


@get(
    "/app/{app_id:str}/endpoint/{endpoint_id:str}/stats",
    tags=["endpoint"],
    summary="Count an endpoint's deliveries",
    opt=needs(Resource.ENDPOINT),
)
async def endpoint_stats(
    application: ApplicationGiven,
    endpoint_id: FromPath[str],
    stores: StoresGiven,
    clock: ClockGiven,
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
) -> EndpointStatsOut:
    """Count events that were attempted between `since` and `until`, by their last attempt in that time.

    The relay looks at the newest 5,000 attempts that it still keeps. `sending` counts events that wait for the endpoint
    or are being sent now, whatever the range.
    """
    endpoint = await stores.endpoints.get(application.id, endpoint_id)
    sources = await stores.configuration.streams_of(application)

    async def read(items: list[AttemptItem]) -> list[AttemptItem]:
        return items

    page = await read_feed(
        attempts_feed(stores, endpoint),
        sources,
        Paging(limit=LOOKED_AT, descending=True),
        show=read,
        after_ms=ms(since) if since else None,
        before_ms=ms(until) if until else None,
        most=LOOKED_AT,
    )
    counts = _last_of_each(page.data)
    waiting = [await stores.lanes.waiting(source, [endpoint.id]) for source in sources]
    return EndpointStatsOut(
        success=counts[SUCCESS],
        pending=counts[PENDING],
        fail=counts[FAIL],
        canceled=counts[CANCELED],
        sending=counts[SENDING] + sum(map(sum, waiting)),
        complete=page.done,
        health=await health_of(stores, application, endpoint, sources, now_ms=clock.now_ms()),
    )


def _last_of_each(items: list[AttemptItem]) -> Counter[int]:
    """How many deliveries have which status: their newest attempts come first."""
    last = {(item.source, item.value.seq): item.value for item in reversed(items)}
    return Counter(delivery_status(attempt) for attempt in last.values())
