"""Event types: the relay's own catalogue. It is read-only."""

import re
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from relay.api.access import Reach, needs
from relay.api.dependencies import PagingGiven
from relay.api.paging import in_memory, read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.event_types import CATALOGUE, EventTypeOut
from relay.domain.principals import Resource
from relay.errors import NotFound

TYPE_NAME = re.compile(r"[a-z_]{1,64}\.[a-z_]{1,64}")


class EventTypeController(Controller):
    """`/api/v1/event-type`, in Svix's shapes."""

    path = "/event-type"
    tags = ["event type"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.EVENT_TYPE, Reach.EVERY)

    @get("/", summary="List event types")
    async def list_event_types(
        self,
        paging: PagingGiven,
        include_archived: Annotated[bool, QueryParameter(description="No effect, because no type is archived")] = False,
        with_content: Annotated[bool, QueryParameter(description="No effect, because types have no schemas")] = False,
    ) -> ListOut[EventTypeOut]:
        """List all event types that an endpoint can subscribe to, ordered by name."""
        del include_archived, with_content  # Svix's clients send them.
        return await read_page(in_memory(CATALOGUE), paging, key=lambda t: t.name, show=lambda t: t, form=TYPE_NAME)

    @get("/{name:str}", summary="Get an event type")
    async def get_event_type(self, name: FromPath[str]) -> EventTypeOut:
        """Get an event type by its name."""
        if name not in CATALOGUE:
            raise NotFound(f"there is no event type {name}")
        return CATALOGUE[name]
