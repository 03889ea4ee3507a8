"""Messages: the events that an application can see."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, PagingGiven, StoresGiven
from relay.api.feeds import read_feed
from relay.api.paging import provide_newest_first
from relay.api.queries import split
from relay.api.schemas.common import ListOut, ms
from relay.api.schemas.messages import EmptyOut, MessageOut, show_message
from relay.api.visibility import EventItem, events_feed, find_event, reference, sight
from relay.domain.event_types import EVENT_TYPES
from relay.domain.model import StoredEvent
from relay.domain.principals import Resource
from relay.store import journal
from relay.store.journal import Change


class MessageController(Controller):
    """`/api/v1/app/{app_id}/msg`, in Svix's shapes."""

    path = "/app/{app_id:str}/msg"
    tags = ["message"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

    @get("/", summary="List messages")
    async def list_messages(
        self,
        application: ApplicationGiven,
        stores: StoresGiven,
        paging: PagingGiven,
        event_types: FromQuery[list[str] | None] = None,
        before: FromQuery[datetime | None] = None,
        after: FromQuery[datetime | None] = None,
        with_content: Annotated[bool, QueryParameter(description="Include the payloads")] = True,
    ) -> ListOut[MessageOut]:
        """List the events of the application's sources that pass its filter, newest first."""
        sees, types = sight(application), split(event_types)

        def wanted(event: StoredEvent) -> bool:
            return (not types or any(EVENT_TYPES[code] in types for code in event.types)) and sees(event)

        async def show(items: list[EventItem]) -> list[MessageOut]:
            return [show_message(item.value, with_content=with_content) for item in items]

        return await read_feed(
            events_feed(stores),
            await stores.configuration.sources_of(application),
            paging,
            show=show,
            wanted=wanted,
            after_ms=ms(after) if after else None,
            before_ms=ms(before) if before else None,
        )

    @get("/{msg_id:str}", summary="Get a message")
    async def get_message(
        self,
        application: ApplicationGiven,
        msg_id: FromPath[str],
        stores: StoresGiven,
        with_content: FromQuery[bool] = True,
    ) -> MessageOut:
        """Get one message, as long as the relay keeps it."""
        return show_message((await find_event(application, msg_id, stores)).value, with_content=with_content)

    @post("/{msg_id:str}/endpoint/{endpoint_id:str}/resend", summary="Resend a message", status_code=202)
    async def resend(
        self, application: ApplicationGiven, msg_id: FromPath[str], endpoint_id: FromPath[str], stores: StoresGiven
    ) -> EmptyOut:
        """Send a message to an endpoint again, whatever its status. Its id stays the same."""
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        item = await find_event(application, msg_id, stores)
        for name in (f"message/{item.value.id}", f"endpoint/{endpoint.id}"):
            journal.current().note(Change(name))
        await stores.undelivered.resend(item.source, endpoint.id, reference(item, endpoint))
        return EmptyOut()
