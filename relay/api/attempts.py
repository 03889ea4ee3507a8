"""Attempts: each HTTP try of a delivery, and what became of deliveries."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from relay.api.dependencies import ApplicationGiven, AttemptsAsked, PagingGiven, StoresGiven
from relay.api.feeds import FeedPage, newest_first
from relay.api.paging import Paging
from relay.api.queries import AttemptQuery
from relay.api.schemas.common import ListOut
from relay.api.schemas.messages import (
    AttemptedMessageOut,
    AttemptOut,
    DestinationOut,
    attempt_status,
    delivery_status,
    id_of_attempt,
    show_attempt,
    show_attempted,
    show_destination,
)
from relay.api.visibility import are_last, attempts_of, events_of, find_event
from relay.domain.model import Application, Attempt, Endpoint
from relay.domain.names import NAME, UID_MOST
from relay.errors import NotFound
from relay.wiring import Stores


class AttemptController(Controller):
    """Svix's paths of attempts, all below `/api/v1/app/{app_id}`."""

    path = "/app/{app_id:str}"
    tags = ["attempt"]  # noqa: RUF012 - the framework's own attribute

    @get("/attempt/endpoint/{endpoint_id:str}", summary="List attempts by endpoint")
    async def list_by_endpoint(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        paging: PagingGiven,
        asked: AttemptsAsked,
        with_msg: FromQuery[bool] = False,
    ) -> ListOut[AttemptOut]:
        """List the attempts of an endpoint, newest first, as long as they and their events are kept."""
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        page = await _of_endpoint(application, endpoint, stores, paging, asked, by_itself=True)
        events = await events_of(page.items, stores)
        shown = [
            show_attempt(item.value, event, endpoint, with_content=asked.with_content, with_msg=with_msg)
            for item, event in zip(page.items, events, strict=True)
            if event is not None
        ]
        return ListOut(data=shown, iterator=page.iterator, done=page.done)

    @get("/attempt/msg/{msg_id:str}", summary="List attempts by message")
    async def list_by_message(
        self,
        application: ApplicationGiven,
        msg_id: FromPath[str],
        stores: StoresGiven,
        paging: PagingGiven,
        asked: AttemptsAsked,
        endpoint_id: Annotated[
            str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME, description="Id or uid")
        ] = None,
    ) -> ListOut[AttemptOut]:
        """List the attempts to send a message to the application's endpoints, newest first."""
        item = await find_event(application, msg_id, stores)
        only = await stores.endpoints.get(application.id, endpoint_id) if endpoint_id else None
        attempts = [
            (attempt, endpoint)
            for attempt, endpoint in await attempts_of(item, application, stores)
            if asked.wants(attempt)
            and asked.status in (None, attempt_status(attempt))
            and (only is None or attempt.endpoint_id == only.id)
        ]
        ids = [id_of_attempt(attempt, item.value.id) for attempt, _ in attempts]
        first = ids.index(paging.iterator) + 1 if paging.iterator in ids else 0
        page = attempts[first : first + paging.limit]
        last = first + len(page)
        return ListOut(
            data=[
                show_attempt(attempt, item.value, endpoint, with_content=asked.with_content)
                for attempt, endpoint in page
            ],
            iterator=ids[last - 1] if last else None,
            done=last == len(attempts),
        )

    @get("/msg/{msg_id:str}/attempt/{attempt_id:str}", summary="Get an attempt")
    async def get_attempt(
        self,
        application: ApplicationGiven,
        msg_id: FromPath[str],
        attempt_id: FromPath[str],
        stores: StoresGiven,
        expanded_statuses: FromQuery[bool] = False,
    ) -> AttemptOut:
        """Get one attempt."""
        del expanded_statuses  # Svix's clients send it; statuses are always complete.
        item = await find_event(application, msg_id, stores)
        for attempt, endpoint in await attempts_of(item, application, stores):
            if id_of_attempt(attempt, item.value.id) == attempt_id:
                return show_attempt(attempt, item.value, endpoint, with_content=True)
        raise NotFound(f"message {msg_id} has no attempt {attempt_id}, or not any more")

    @get("/msg/{msg_id:str}/endpoint", summary="List a message's endpoints")
    async def list_destinations(
        self, application: ApplicationGiven, msg_id: FromPath[str], stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[DestinationOut]:
        """List the application's endpoints that a message was sent to, with its status at each."""
        item = await find_event(application, msg_id, stores)
        attempts = await attempts_of(item, application, stores)
        last = {endpoint.id: (endpoint, attempt) for attempt, endpoint in reversed(attempts)}
        ids = [i for i in sorted(last) if paging.iterator is None or i > paging.iterator]
        page = ids[: paging.limit]
        return ListOut(
            data=[show_destination(*last[i]) for i in page],
            iterator=page[-1] if page else paging.iterator,
            done=len(page) == len(ids),
        )

    @get("/endpoint/{endpoint_id:str}/msg", summary="List an endpoint's messages")
    async def list_attempted_messages(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        paging: PagingGiven,
        asked: AttemptsAsked,
    ) -> ListOut[AttemptedMessageOut]:
        """List the messages that were sent to an endpoint, each once, with its last attempt, newest first."""
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        page = await _of_endpoint(application, endpoint, stores, paging, asked, by_itself=False)
        events, last = await events_of(page.items, stores), await are_last(page.items, stores)
        shown = [
            show_attempted(event, item.value, with_content=asked.with_content)
            for item, event, is_last in zip(page.items, events, last, strict=True)
            if event is not None and is_last
        ]
        return ListOut(data=shown, iterator=page.iterator, done=page.done)


async def _of_endpoint(
    application: Application,
    endpoint: Endpoint,
    stores: Stores,
    paging: Paging,
    asked: AttemptQuery,
    *,
    by_itself: bool,
) -> FeedPage[Attempt]:
    status = attempt_status if by_itself else delivery_status
    return await newest_first(
        await stores.configuration.sources_of(application),
        lambda source, position, limit: stores.attempts.of_endpoint(source, endpoint.id, before=position, limit=limit),
        iterator=paging.iterator,
        limit=paging.limit,
        at_ms=lambda attempt: attempt.started_at_ms,
        wanted=lambda attempt: asked.wants(attempt) and asked.status in (None, status(attempt)),
        since_ms=asked.after_ms,
    )
