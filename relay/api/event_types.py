"""Event types: the relay's own, which are read-only, and those that customers create."""

import re
from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from relay.api.access import Reach, needs
from relay.api.dependencies import ClockGiven, OnceGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.paging import read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.event_types import (
    OWN,
    EventTypeIn,
    EventTypeOut,
    EventTypePatch,
    EventTypeUpsertIn,
    show_custom,
    show_own,
)
from relay.api.typing_events import archived, new_type, patched, replaced
from relay.domain.custom_types import NAME_MOST, CustomType, is_own
from relay.domain.names import checked_name
from relay.domain.operational_types import TYPES, is_operational
from relay.domain.principals import Resource
from relay.store.event_types import EventTypes
from relay.store.records import Page

TYPE_NAME = re.compile(rf"[a-zA-Z0-9_.-]{{1,{NAME_MOST}}}")
MADE = {201: ResponseSpec(EventTypeOut, description="The new event type", generate_examples=False)}
ENOUGH = 250
"""Types that are read at once while archived ones are left out."""


class EventTypeController(Controller):
    """`/api/v1/event-type`, in Svix's shapes."""

    path = "/event-type"
    tags = ["event type"]  # noqa: RUF012 - the framework's own attribute
    # All applications have the same types, so only the operator writes them.
    opt = needs(Resource.EVENT_TYPE, Reach.OPERATOR)

    @get("/", summary="List event types", opt=needs(Resource.EVENT_TYPE, Reach.EVERY))
    async def list_event_types(
        self,
        principal: PrincipalGiven,
        stores: StoresGiven,
        paging: PagingGiven,
        include_archived: Annotated[bool, QueryParameter(description="Include archived types")] = False,
        with_content: Annotated[bool, QueryParameter(description="Include the schemas")] = False,
        include_operational: Annotated[
            bool, QueryParameter(description="Include the types of operational events")
        ] = False,
    ) -> ListOut[EventTypeOut]:
        """List all event types, those of the relay and those that you created, ordered by name.

        The types of operational events are among them only with `include_operational`, for keys of every application.
        """
        names = sorted((*OWN, *TYPES)) if include_operational and not principal.application else OWN

        async def read(*, after: str | None, limit: int, descending: bool) -> Page[str | CustomType]:
            custom = await _unarchived(stores.event_types, after, limit, descending=descending, all_=include_archived)
            own = [name for name in names if after is None or (name < after if descending else name > after)]
            both: list[str | CustomType] = [*own, *(each for each in custom.values if not is_own(each.name))]
            return Page(sorted(both, key=_name, reverse=descending)[:limit], custom.unreadable)

        def show(each: str | CustomType) -> EventTypeOut:
            if isinstance(each, str):
                return show_own(each, with_content=with_content)
            return show_custom(each, with_content=with_content)

        return await read_page(read, paging, key=_name, show=show, form=TYPE_NAME)

    @post("/", summary="Create an event type")
    async def create_event_type(
        self, data: JSONBody[EventTypeIn], stores: StoresGiven, clock: ClockGiven, once: OnceGiven
    ) -> EventTypeOut:
        """Create an event type, or replace an archived one of this name, which is then not archived any more."""
        new = new_type(data.name, data, now_ms=clock.now_ms())
        return show_custom(await stores.event_types.create(new, repeated=once is not None), with_content=True)

    @get("/{name:str}", summary="Get an event type", opt=needs(Resource.EVENT_TYPE, Reach.EVERY))
    async def get_event_type(self, principal: PrincipalGiven, name: FromPath[str], stores: StoresGiven) -> EventTypeOut:
        """Get an event type by its name, with its schemas."""
        if is_own(name) and not (principal.application and is_operational(name)):
            return show_own(name, with_content=True)
        return show_custom(await stores.event_types.get(name), with_content=True)

    @put("/{name:str}", summary="Replace or create an event type", responses=MADE)
    async def upsert_event_type(
        self, name: FromPath[str], data: JSONBody[EventTypeUpsertIn], stores: StoresGiven, clock: ClockGiven
    ) -> Response[EventTypeOut]:
        """Replace an event type (200), or create it (201). The relay's own types are read-only (409)."""
        checked, now_ms = checked_name(name, most=NAME_MOST, path=("path", "name")), clock.now_ms()

        def make(old: CustomType | None) -> CustomType:
            return new_type(checked, data, now_ms=now_ms) if old is None else replaced(old, data, now_ms=now_ms)

        written, new = await stores.event_types.put(checked, make)
        return Response(show_custom(written, with_content=True), status_code=201 if new else 200)

    @patch("/{name:str}", summary="Change an event type")
    async def patch_event_type(
        self, name: FromPath[str], data: JSONBody[EventTypePatch], stores: StoresGiven, clock: ClockGiven
    ) -> EventTypeOut:
        """Change the given fields. All others stay. The relay's own types are read-only (409)."""
        now_ms = clock.now_ms()
        changed = await stores.event_types.change(name, lambda old: patched(old, data, now_ms=now_ms))
        return show_custom(changed, with_content=True)

    @delete("/{name:str}", summary="Archive or delete an event type")
    async def delete_event_type(
        self,
        name: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        expunge: Annotated[bool, QueryParameter(description="Delete the type, and do not archive it")] = False,
    ) -> None:
        """Archive an event type, or with `expunge` delete it. Endpoints that select it still receive its messages.

        Other endpoints cannot select an archived type. `POST /event-type` unarchives it.
        """
        if expunge:
            await stores.event_types.expunge(name)
        else:
            now_ms = clock.now_ms()
            await stores.event_types.change(name, lambda old: archived(old, now_ms=now_ms))


async def _unarchived(
    types: EventTypes, after: str | None, limit: int, *, descending: bool, all_: bool
) -> Page[CustomType]:
    """Up to `limit` types that are not archived, or with `all_` of all."""
    found, unreadable = list[CustomType](), dict[str, str]()
    while len(found) < limit:
        page = await types.page(after=after, limit=limit if all_ else max(limit, ENOUGH), descending=descending)
        found += [each for each in page.values if all_ or not each.archived]
        unreadable |= page.unreadable
        if len(page.values) < (limit if all_ else max(limit, ENOUGH)):
            break
        after = page.values[-1].name
    return Page(found[:limit], unreadable)


def _name(each: str | CustomType) -> str:
    return each if isinstance(each, str) else each.name
