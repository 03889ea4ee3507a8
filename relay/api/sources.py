"""Sources: installations of Infinity, their routes, and the rows that the relay could not read."""

import re
from typing import Any

from litestar import Controller, Response, delete, get, post, put
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import structs

from relay.api.access import needs
from relay.api.deletions import delete_at_once, when_deleted
from relay.api.dependencies import ClockGiven, PagingGiven, StoresGiven
from relay.api.paging import in_memory, provide_newest_first, read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.routes import RouteOut
from relay.api.schemas.sources import (
    CursorIn,
    QuarantineOut,
    SourceIn,
    SourceOut,
    show_set_aside,
)
from relay.api.sourcing import put as put_source
from relay.api.steering import shown_route, shown_source
from relay.domain.model import Source
from relay.domain.names import SOURCE_UID_MOST, source_uid
from relay.domain.principals import Resource
from relay.errors import InUse, NotFound
from relay.pipeline.clock import Clock
from relay.store.routes import QUARANTINE_KEPT
from relay.wiring import Stores

SOURCE_UID = re.compile(rf"[a-zA-Z0-9_.-]{{1,{SOURCE_UID_MOST}}}")
BY_TIME = re.compile(r"[0-9]{15}-[^\x00-\x1f]{1,128}")
"""The key of a line that was set aside: the ms when it was seen, and its digest."""
MADE = {201: ResponseSpec(SourceOut, description="The new source", generate_examples=False)}

NAMED = 10
"""Applications in the message that a source is in use."""


class SourceController(Controller):
    """`/api/v1/source`."""

    path = "/source"
    tags = ["source"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.SOURCE)

    @get("/", summary="List sources")
    async def list_sources(self, stores: StoresGiven, clock: ClockGiven, paging: PagingGiven) -> ListOut[SourceOut]:
        """List all sources with the states of their routes, ordered by uid."""
        page = await read_page(stores.sources.page, paging, key=lambda s: s.uid, show=lambda s: s, form=SOURCE_UID)
        shown = [await shown_source(source, stores, clock) for source in page.data]
        return ListOut(
            data=shown,
            iterator=page.iterator,
            prev_iterator=page.prev_iterator,
            done=page.done,
            unreadable=page.unreadable,
        )

    @put("/{uid:str}", summary="Create or change a source", responses=MADE)
    async def put_source(
        self, uid: FromPath[str], data: JSONBody[SourceIn], stores: StoresGiven, clock: ClockGiven
    ) -> Response[SourceOut]:
        """Create a source (201) or replace its settings (200). No cursor moves.

        Defaults: `version` is `v2.1`, `pollIntervalSeconds` is 60, `batchSize` is 1000, and `startRowId` is null, which
        means rows that appear from now on. `name` defaults to the uid. The response shows the values that apply.

        Routes: `all`, `calls`, `users`, `goals`, `transactions`, `callsGoalsTransactions`, `touchPoints`, `visits`,
        `itemisedCalls`. For most CRMs, use `callsGoalsTransactions`.

        If you omit credentials, they stay. You must send them again if `baseUrl` changes to another scheme, host or
        port, because the relay would send them there. A complete `PUT` replaces a source that cannot be read. After a
        deletion, the uid is taken for a while: the API answers 409 (`being_deleted`), and you can retry.
        """
        checked, now_ms = source_uid(uid), clock.now_ms()

        def replacement() -> Source:
            # The relay no longer knows how often it was written.
            return structs.replace(put_source(data, checked, None, now_ms=now_ms), times_written=now_ms)

        source, new = await when_deleted(
            stores,
            lambda: stores.sources.put(
                checked, lambda old: put_source(data, checked, old, now_ms=now_ms), replacement=replacement
            ),
        )
        return Response(await shown_source(source, stores, clock), status_code=201 if new else 200)

    @get("/{uid:str}", summary="Get a source")
    async def get_source(self, uid: FromPath[str], stores: StoresGiven, clock: ClockGiven) -> SourceOut:
        """Get a source with the states of its routes, without its secrets."""
        return await shown_source(await stores.sources.get(source_uid(uid)), stores, clock)

    @delete("/{uid:str}", summary="Delete a source")
    async def delete_source(self, uid: FromPath[str], stores: StoresGiven) -> None:
        """Delete a source with its cursors, events, attempts and pending deliveries.

        The API answers 409 (`in_use`) if applications name the source in `sources`, because they would see the events
        of the next source with this uid. Remove it from their `sources`, or delete them, and then delete the source.
        """
        checked = source_uid(uid)
        if checked in await stores.sources.uids() and (names := await stores.applications.naming(checked)):
            raise InUse(_in_use(checked, names))
        await stores.sources.delete(checked)
        await delete_at_once(stores)

    @get("/{uid:str}/route/{route:str}", summary="Get a route's state")
    async def get_route(
        self, uid: FromPath[str], route: FromPath[str], stores: StoresGiven, clock: ClockGiven
    ) -> RouteOut:
        """Get the state of one route, and the result of its last poll."""
        return await _route(uid, route, stores, clock)

    @put("/{uid:str}/route/{route:str}/cursor", summary="Move a route's cursor")
    async def move_cursor(
        self, uid: FromPath[str], route: FromPath[str], data: JSONBody[CursorIn], stores: StoresGiven, clock: ClockGiven
    ) -> RouteOut:
        """Move a route backwards or forwards. It continues with the rows after `rowId` at once.

        Rows that the relay still knows do not become events again. Older rows are sent again, with the same
        `webhook-id` if they have not changed. Rows between the old cursor and a later one are skipped.
        """
        await _route(uid, route, stores, clock)
        await stores.routes.move(source_uid(uid), route, data.row_id, now_ms=clock.now_ms())
        return await _route(uid, route, stores, clock)

    @post("/{uid:str}/pause", summary="Pause a source", status_code=200)
    async def pause(self, uid: FromPath[str], stores: StoresGiven, clock: ClockGiven) -> SourceOut:
        """Stop polling. Stored events are still delivered."""
        return await _set_paused(uid, stores, clock, paused=True)

    @post("/{uid:str}/resume", summary="Resume a source", status_code=200)
    async def resume(self, uid: FromPath[str], stores: StoresGiven, clock: ClockGiven) -> SourceOut:
        """Continue polling from the cursors."""
        return await _set_paused(uid, stores, clock, paused=False)

    @get(
        "/{uid:str}/quarantine",
        summary="List rows that could not be read",
        dependencies={"paging": Provide(provide_newest_first, sync_to_thread=False)},
    )
    async def quarantine(self, uid: FromPath[str], stores: StoresGiven, paging: PagingGiven) -> QuarantineOut:
        """List rows that were set aside, newest first. They do not delay other rows, and no callback has them.

        The relay keeps the newest 1,000 rows. `total` counts all of them.
        """
        source = await stores.sources.get(source_uid(uid))
        lines = {_by_time(line): line for line in await stores.routes.quarantined(source.uid, QUARANTINE_KEPT)}
        page = await read_page(in_memory(lines), paging, key=_by_time, show=show_set_aside, form=BY_TIME)
        return QuarantineOut(
            data=page.data,
            iterator=page.iterator,
            prev_iterator=page.prev_iterator,
            done=page.done,
            total=await stores.routes.quarantined_total(source.uid),
        )


def _in_use(uid: str, names: list[str]) -> str:
    listed, more = ", ".join(names[:NAMED]), len(names) - NAMED
    listed += f" and {more} more" if more > 0 else ""
    subject = "1 application names" if len(names) == 1 else f"{len(names)} applications name"
    return (
        f"{subject} source {uid} in `sources`: {listed}. Remove it from their `sources`, or delete them, and then "
        "delete the source"
    )


async def _route(uid: str, route: str, stores: Stores, clock: Clock) -> RouteOut:
    source = await stores.sources.get(source_uid(uid))
    if route not in source.routes:
        raise NotFound(f"source {uid} has no route {route}; it has {', '.join(source.routes)}")
    return await shown_route(source, route, stores, clock)


def _by_time(line: dict[str, Any]) -> str:
    return f"{line['seenAtMs']:015d}-{line['digest']}"


async def _set_paused(uid: str, stores: Stores, clock: Clock, *, paused: bool) -> SourceOut:
    now_ms = clock.now_ms()
    source = await stores.sources.change(
        source_uid(uid),
        lambda source: structs.replace(
            source, paused=paused, times_written=source.times_written + (not paused), updated_at_ms=now_ms
        ),
    )
    return await shown_source(source, stores, clock)
