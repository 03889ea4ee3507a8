"""Backfills of a source: read a range of rows once more, for chosen endpoints, for all, or for none."""

from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.dependencies import ClockGiven, StoresGiven
from relay.api.schemas.backfills import BackfillIn, BackfillOut, audience_of, show_backfill
from relay.api.schemas.common import ListOut
from relay.domain.model import EndpointId, Source, SourceUid
from relay.domain.names import source_uid
from relay.domain.principals import Resource
from relay.domain.reading.backfill import Backfill, BackfillReading
from relay.domain.reading.place import Place
from relay.errors import Conflict, Fault, Invalid, NotFound
from relay.wiring import Stores


class BackfillController(Controller):
    """`/api/v1/source/{uid}/backfill`."""

    path = "/source/{uid:str}/backfill"
    tags = ["backfill"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.SOURCE)

    @post("/", summary="Create a backfill")
    async def create_backfill(
        self, uid: FromPath[str], data: JSONBody[BackfillIn], stores: StoresGiven, clock: ClockGiven
    ) -> BackfillOut:
        """Read a range of rows from Infinity once more, and send them to chosen endpoints, to all, or to none.

        No cursor moves. The relay sends a row whether it still knows the row or not, so a backfill also replays events
        that the relay dropped. Rows have the `webhook-id` that they always have, so receivers recognise those that they
        know. Polls for new rows go first, and the requests count towards `RELAY_READING_REQUESTS_PER_HOUR`. A source
        can have 10 backfills that run.
        """
        source = await stores.sources.get(source_uid(uid))
        until = await _until(stores, source, data)
        await _check(stores, source, data)
        now_ms = clock.now_ms()
        made = await stores.backfills.create(
            source.uid,
            lambda new_id: Backfill(
                id=new_id,
                route=data.route,
                after=data.after_row_id or 0,
                since=data.since,
                until=until,
                until_day=data.until,
                endpoints=audience_of(data.endpoints),
                dry_run=data.dry_run,
                created_ms=now_ms,
            ),
            now_ms=now_ms,
        )
        await stores.routes.poll_at(source.uid, 0)
        return show_backfill(made, None)

    @get("/", summary="List backfills")
    async def list_backfills(self, uid: FromPath[str], stores: StoresGiven) -> ListOut[BackfillOut]:
        """List the backfills of a source, newest first: all that run, and those that ended last, 100 in total."""
        source = await stores.sources.get(source_uid(uid))
        places = (await stores.readings.load(source.uid)).of
        shown = [show_backfill(each, _place(each, places)) for each in await stores.backfills.all(source.uid)]
        return ListOut(data=shown, iterator=None, done=True)

    @get("/{backfill_id:str}", summary="Get a backfill")
    async def get_backfill(self, uid: FromPath[str], backfill_id: FromPath[str], stores: StoresGiven) -> BackfillOut:
        """Get a backfill with its progress."""
        return await _shown(stores, (await stores.sources.get(source_uid(uid))).uid, backfill_id)

    @delete("/{backfill_id:str}", summary="Cancel a backfill")
    async def cancel_backfill(
        self, uid: FromPath[str], backfill_id: FromPath[str], stores: StoresGiven, clock: ClockGiven
    ) -> None:
        """Cancel a backfill. Events that it has made stay. A backfill that has ended stays as it is."""
        source = await stores.sources.get(source_uid(uid))
        await cancel(stores, source.uid, backfill_id, now_ms=clock.now_ms())


async def cancel(stores: Stores, source: SourceUid, backfill_id: str, *, now_ms: int) -> None:
    """Cancel a backfill unless it has ended. Raises NotFound."""
    backfill = await stores.backfills.get(source, backfill_id)
    if backfill.state != "running":
        return
    place = _place(backfill, (await stores.readings.load(source)).of)
    ended = backfill.ended("cancelled", place, now_ms=now_ms)
    try:
        await stores.backfills.cancel(source, ended, before=backfill)
    except Conflict:
        # It ended a moment ago, or another request cancelled it.
        await stores.backfills.get(source, backfill_id)


async def _until(stores: Stores, source: Source, data: BackfillIn) -> int:
    """The last rowId of a backfill: the cursor of its route, unless it is given. Raises Invalid, or Conflict."""
    if data.route not in source.routes:
        fault = f"the source does not poll this route; it polls {', '.join(source.routes)}"
        raise Invalid(Fault(("body", "route"), fault))
    (state,) = await stores.routes.states(source.uid, [data.route])
    if state.cursor is None:
        raise Conflict(f"route {data.route} has not begun: create the backfill after its first poll")
    return state.cursor if data.until_row_id is None else min(data.until_row_id, state.cursor)


async def _check(stores: Stores, source: Source, data: BackfillIn) -> None:
    """Raise Invalid for a range without a beginning or with two ends, and for endpoints that do not get the source."""
    faults = []
    if (data.after_row_id is None) == (data.since is None):
        faults.append(Fault(("body", "afterRowId"), "send either `afterRowId` or `since`"))
    if data.until_row_id is not None and data.until is not None:
        faults.append(Fault(("body", "until"), "send either `untilRowId` or `until`"))
    if data.since is not None and data.until is not None and data.until < data.since:
        faults.append(Fault(("body", "until"), "must not be before `since`"))
    for at, endpoint_id in enumerate(data.endpoints if isinstance(data.endpoints, list) else ()):
        if not await _receives(stores, source.uid, EndpointId(endpoint_id)):
            fault = "is not the id of an endpoint that receives events of this source"
            faults.append(Fault(("body", "endpoints", at), fault))
    if faults:
        raise Invalid(*faults)


async def _receives(stores: Stores, source: SourceUid, endpoint_id: EndpointId) -> bool:
    try:
        endpoint = await stores.endpoints.named(endpoint_id)
        application = await stores.applications.get(endpoint.app_id)
    except NotFound:
        return False
    return source in await stores.configuration.sources_of(application)


async def _shown(stores: Stores, source: SourceUid, backfill_id: str) -> BackfillOut:
    places = (await stores.readings.load(source)).of
    # Read after its place: one that ended in between says itself how far it came.
    backfill = await stores.backfills.get(source, backfill_id)
    return show_backfill(backfill, _place(backfill, places))


def _place(backfill: Backfill, places: dict[str, dict[str, Place]]) -> Place | None:
    return places.get(backfill.route, {}).get(BackfillReading.of(backfill).name)
