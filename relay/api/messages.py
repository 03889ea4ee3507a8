"""Messages: the events that an application can see."""

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from relay.api.access import Reach, needs
from relay.api.dependencies import (
    ApplicationGiven,
    ClockGiven,
    MessagesAsked,
    OnceGiven,
    PagingGiven,
    PostingGiven,
    StoresGiven,
)
from relay.api.feeds import read_feed
from relay.api.paging import provide_newest_first
from relay.api.queries import provide_message_query
from relay.api.replays import called
from relay.api.row_events import row_feed, streams_asked
from relay.api.schemas.common import ListOut
from relay.api.schemas.messages import EmptyOut, MessageOut, show_message
from relay.api.schemas.posts import MessageIn, payload_of
from relay.api.visibility import EventItem, events_feed, find_event, reference, sight
from relay.domain.envelope import is_expunged
from relay.domain.identity import posted_id
from relay.domain.operational import OPERATIONAL
from relay.domain.post import Post
from relay.domain.principals import Resource
from relay.domain.readers import privacy_of
from relay.errors import Conflict, NotFound
from relay.store import journal
from relay.store.identifiers import new_id
from relay.store.journal import Change


class MessageController(Controller):
    """`/api/v1/app/{app_id}/msg`, in Svix's shapes."""

    path = "/app/{app_id:str}/msg"
    tags = ["message"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

    @get(
        "/",
        summary="List messages",
        dependencies={"asked": Provide(provide_message_query, sync_to_thread=False)},
    )
    async def list_messages(
        self, application: ApplicationGiven, stores: StoresGiven, paging: PagingGiven, asked: MessagesAsked
    ) -> ListOut[MessageOut]:
        """List the application's posts, and the events of its sources that pass its filter, newest first.

        With `row_id`, the list has every message of the row that the relay keeps: one for each change.
        """
        sees, privacy = sight(application), privacy_of(application)
        has_rows = asked.row_id is not None

        async def show(items: list[EventItem]) -> list[MessageOut]:
            return [show_message(item.value, privacy, with_content=asked.with_content) for item in items]

        return await read_feed(
            events_feed(stores) if asked.row_id is None else row_feed(stores, asked.row_id),
            await streams_asked(application, stores, source=asked.source, has_rows=has_rows),
            paging,
            show=show,
            wanted=lambda event: asked.wants(event) and sees(event),
            after_ms=asked.after_ms,
            before_ms=asked.before_ms,
        )

    # Posts are data, and no changes that somebody made of the relay: the audit log would be full of them.
    @post("/", summary="Post a message", status_code=202, opt=needs(Resource.MESSAGE, audited=False, portal=False))
    async def post_message(
        self,
        application: ApplicationGiven,
        data: JSONBody[MessageIn],
        request: Request[Any, Any, Any],
        posting: PostingGiven,
        clock: ClockGiven,
        once: OnceGiven,
        with_content: Annotated[bool, QueryParameter(description="Include the payload")] = True,
    ) -> MessageOut:
        """Post a message to the application's endpoints. The relay has stored it with all deliveries when it answers.

        Endpoints receive it by its type, their channels and their filters. The application's filter is about rows, and
        has no effect here. If Redis is full, the answer is 503 with `Retry-After`, and the relay has stored nothing.
        """
        if application.id == OPERATIONAL:
            raise Conflict(f"the messages of {OPERATIONAL} are operational events: post to another application")
        own = data.event_id or None
        letters = once.letters if once else ""
        # No eventId begins like this, so none can take the id of another message.
        name = own or f" {letters or new_id('', now_ms=clock.now_ms())}"
        content = Post(
            event_type=data.event_type,
            event_id=own,
            channels=tuple(dict.fromkeys(data.channels)) if data.channels else None,
            tags=tuple(dict.fromkeys(data.tags)) if data.tags else None,
            request=letters,
        )
        payload = payload_of(await request.body())
        event = await posting.post(application, posted_id(application.id, name), content, payload)
        return show_message(event, privacy_of(application), with_content=with_content)

    @get("/{msg_id:str}", summary="Get a message")
    async def get_message(
        self,
        application: ApplicationGiven,
        msg_id: FromPath[str],
        stores: StoresGiven,
        with_content: FromQuery[bool] = True,
    ) -> MessageOut:
        """Get one message by its id, or a posted one by its `eventId`, as long as the relay keeps it."""
        item = await find_event(application, msg_id, stores)
        return show_message(item.value, privacy_of(application), with_content=with_content)

    @delete("/{msg_id:str}/content", summary="Expunge a message", opt=needs(Resource.MESSAGE, Reach.OPERATOR))
    async def expunge(self, application: ApplicationGiven, msg_id: FromPath[str], stores: StoresGiven) -> None:
        """Remove the row of a message for good, for every application.

        Its id, type and time stay. While an endpoint waits for the message, the API answers 409.
        """
        item = await find_event(application, msg_id, stores)
        if await stores.books.is_waited_for(item.source, item.place):
            raise Conflict(f"an endpoint still waits for message {msg_id}: wait until its deliveries have ended")
        journal.current().note(Change(f"message/{item.value.id}"))
        if not await stores.events.expunge(item.source, item.place, item.value.id):
            raise NotFound(f"the relay no longer keeps message {msg_id}")

    @post("/{msg_id:str}/endpoint/{endpoint_id:str}/resend", summary="Resend a message", status_code=202)
    async def resend(
        self, application: ApplicationGiven, msg_id: FromPath[str], endpoint_id: FromPath[str], stores: StoresGiven
    ) -> EmptyOut:
        """Send a message to an endpoint again, whatever its status. Its id stays the same."""
        endpoint = await called(application, endpoint_id, stores)
        item = await find_event(application, msg_id, stores)
        if is_expunged(item.value):
            raise Conflict(f"the content of message {msg_id} was expunged, so it cannot be sent again")
        for name in (f"message/{item.value.id}", f"endpoint/{endpoint.id}"):
            journal.current().note(Change(name))
        await stores.undelivered.resend(item.source, endpoint.id, reference(item, endpoint))
        return EmptyOut()
