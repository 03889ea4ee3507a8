"""Attempts over time: of everything, a source, or an application."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.params import FromQuery, QueryParameter

from relay.api.access import Reach, needs, own_application
from relay.api.dependencies import ClockGiven, PrincipalGiven, StoresGiven
from relay.api.failing import streams_for
from relay.api.schemas.common import ms
from relay.api.schemas.history import AllHistoryOut, show_all_history
from relay.domain.model import Application, SourceUid
from relay.domain.names import NAME, SOURCE_UID_MOST, UID_MOST
from relay.domain.principals import Resource
from relay.domain.tallies import EVERY, KEPT, UNIT_MS, Buckets, Unit, merge_into, within
from relay.errors import Fault, Invalid, NotFound
from relay.store.tallies import Pair
from relay.wiring import Stores

PAIRS_MOST = 1_000
"""Pairs of an endpoint and a stream, or streams, that one request reads."""
HOUR_MS = UNIT_MS["hour"]


@get("/stats/history", tags=["statistics"], summary="Get attempts over time", opt=needs(Resource.ENDPOINT, Reach.EVERY))
async def history(
    principal: PrincipalGiven,
    stores: StoresGiven,
    clock: ClockGiven,
    unit: Annotated[Unit, QueryParameter(description="How long each bucket is")] = "minute",
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
    source: Annotated[str | None, QueryParameter(min_length=1, max_length=SOURCE_UID_MOST, pattern=NAME)] = None,
    app: Annotated[str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME)] = None,
) -> AllHistoryOut:
    """Get the attempts in each minute, or hour, by their status and duration: all, or those of a source or application.

    Without `since`, the response has the last hour by minutes, or the last day by hours. The relay keeps the newest 180
    minutes with attempts and the newest 336 hours with attempts. An endpoint has a history of its own.
    """
    until_ms = ms(until) if until else clock.now_ms()
    since_ms = ms(since) if since else until_ms - (HOUR_MS if unit == "minute" else 24 * HOUR_MS)
    if since_ms >= until_ms:
        raise Invalid(Fault(("query", "since"), "must be before `until`"))
    named = app or principal.application
    application = await own_application(principal, named, stores) if named else None
    streams = await streams_for(stores, application)
    if source is not None:
        if application is None and source not in streams:
            raise NotFound(f"there is no source {source}")
        streams = [each for each in streams if each == source]
    pairs = await _pairs(stores, application, streams)
    newest = min(KEPT[unit], (clock.now_ms() - since_ms) // UNIT_MS[unit] + 2)
    found: Buckets = {}
    for buckets in (await stores.statistics.tallies.read(pairs[:PAIRS_MOST], unit, newest=max(1, newest))).values():
        merge_into(found, buckets.items())
    return show_all_history(
        within(found, unit, since_ms=since_ms, until_ms=until_ms),
        unit=unit, since_ms=since_ms, until_ms=until_ms, complete=len(pairs) <= PAIRS_MOST,
    )  # fmt: skip


async def _pairs(stores: Stores, application: Application | None, streams: Sequence[SourceUid]) -> list[Pair]:
    """What is counted: whole streams, or the endpoints of an application. One more than is read, if there are more."""
    if application is None:
        return [(EVERY, stream) for stream in streams[: PAIRS_MOST + 1]]
    endpoints = await stores.endpoints.ids(application.id, limit=PAIRS_MOST + 1)
    return [(endpoint, stream) for endpoint in endpoints for stream in streams][: PAIRS_MOST + 1]
