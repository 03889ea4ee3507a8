"""How an endpoint's deliveries do, counted from the attempts that are kept."""

from collections import Counter
from datetime import datetime

from litestar import get
from litestar.params import FromPath, FromQuery

from relay.api import feeds
from relay.api.dependencies import ApplicationGiven, StoresGiven
from relay.api.feeds import FeedPage, newest_first
from relay.api.schemas.common import ms
from relay.api.schemas.messages import FAIL, PENDING, SENDING, SUCCESS, EndpointStatsOut, delivery_status
from relay.domain.model import Attempt


@get("/app/{app_id:str}/endpoint/{endpoint_id:str}/stats", tags=["endpoint"], summary="Count an endpoint's deliveries")
async def endpoint_stats(
    application: ApplicationGiven,
    endpoint_id: FromPath[str],
    stores: StoresGiven,
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
) -> EndpointStatsOut:
    """Count events that were attempted between `since` and `until`, by their last attempt in that time.

    The relay looks at the newest 5,000 attempts that it still keeps. `sending` counts events that wait for the endpoint
    or are being sent now, whatever the range.
    """
    endpoint = await stores.endpoints.get(application.id, endpoint_id)
    sources = await stores.configuration.sources_of(application)
    until_ms = ms(until) if until else None
    page = await newest_first(
        sources,
        lambda source, position, limit: stores.attempts.of_endpoint(source, endpoint.id, before=position, limit=limit),
        iterator=None,
        limit=feeds.READ_AT_MOST,
        at_ms=lambda attempt: attempt.started_at_ms,
        wanted=lambda attempt: until_ms is None or attempt.started_at_ms < until_ms,
        since_ms=ms(since) if since else None,
    )
    counts = _last_of_each(page)
    waiting = [await stores.lanes.waiting(source, [endpoint.id]) for source in sources]
    return EndpointStatsOut(
        success=counts[SUCCESS],
        pending=counts[PENDING],
        fail=counts[FAIL],
        sending=counts[SENDING] + sum(map(sum, waiting)),
        complete=page.done,
    )


def _last_of_each(page: FeedPage[Attempt]) -> Counter[int]:
    """How many deliveries have which status: their newest attempts come first."""
    last = {(item.source, item.value.seq): item.value for item in reversed(page.items)}
    return Counter(delivery_status(attempt) for attempt in last.values())
