"""Attempts: each HTTP try of a delivery, and what became of deliveries."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from litestar import Controller, get
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, AttemptsAsked, PagingGiven, StoresGiven
from relay.api.feeds import read_feed
from relay.api.paging import Paging, in_memory, provide_newest_first, provide_paging, read_page
from relay.api.queries import AttemptQuery
from relay.api.schemas.attempts import AttemptOut, attempt_status, show_attempt
from relay.api.schemas.common import ListOut
from relay.api.schemas.messages import (
    AttemptedMessageOut,
    DestinationOut,
    delivery_status,
    show_attempted,
    show_destination,
)
from relay.api.visibility import AttemptItem, are_last, attempts_feed, attempts_of, events_of, find_event
from relay.domain.identity import id_of_attempt
from relay.domain.model import Application, Attempt, Endpoint, MessageId
from relay.domain.names import NAME, UID_MOST
from relay.domain.principals import Resource
from relay.domain.readers import privacy_of
from relay.errors import NotFound
from relay.store.endpoints import ENDPOINT_ID
from relay.wiring import Stores

S = TypeVar("S")

BY_TIME = re.compile(r"[0-9]{15}-atmpt_[0-9A-Za-z]{27}")
"""The key of a message's attempt: the ms when it began, and its id."""


class AttemptController(Controller):
    """Svix's paths of attempts, all below `/api/v1/app/{app_id}`."""

    path = "/app/{app_id:str}"
    tags = ["attempt"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.ATTEMPT)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

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

        async def show(items: list[AttemptItem]) -> list[AttemptOut]:
            events = await events_of(items, application, stores)
            return [
                show_attempt(item.value, event, endpoint, with_content=asked.with_content, with_msg=with_msg)
                for item, event in zip(items, events, strict=True)
                if event is not None
            ]

        return await _of_endpoint(application, endpoint, stores, paging, asked, status=attempt_status, show=show)

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
        attempts = {
            _by_time(attempt, item.value.id): (attempt, endpoint)
            for attempt, endpoint in await attempts_of(item, application, stores)
            if asked.wants(attempt)
            and asked.status in (None, attempt_status(attempt))
            and (only is None or attempt.endpoint_id == only.id)
        }
        return await read_page(
            in_memory(attempts),
            paging,
            key=lambda each: _by_time(each[0], item.value.id),
            show=lambda each: show_attempt(each[0], item.value, each[1], with_content=asked.with_content),
            form=BY_TIME,
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

    @get(
        "/msg/{msg_id:str}/endpoint",
        summary="List a message's endpoints",
        dependencies={"paging": Provide(provide_paging, sync_to_thread=False)},
    )
    async def list_destinations(
        self, application: ApplicationGiven, msg_id: FromPath[str], stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[DestinationOut]:
        """List the application's endpoints that a message was sent to, with its status at each, ordered by id."""
        item = await find_event(application, msg_id, stores)
        attempts = await attempts_of(item, application, stores)
        last: dict[str, tuple[Endpoint, Attempt]] = {
            endpoint.id: (endpoint, attempt) for attempt, endpoint in reversed(attempts)
        }
        return await read_page(
            in_memory(last),
            paging,
            key=lambda each: each[0].id,
            show=lambda each: show_destination(*each),
            form=ENDPOINT_ID,
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
        privacy = privacy_of(application, endpoint)

        async def show(items: list[AttemptItem]) -> list[AttemptedMessageOut]:
            events, last = await events_of(items, application, stores), await are_last(items, stores)
            return [
                show_attempted(event, item.value, privacy, with_content=asked.with_content)
                for item, event, is_last in zip(items, events, last, strict=True)
                if event is not None and is_last
            ]

        return await _of_endpoint(application, endpoint, stores, paging, asked, status=delivery_status, show=show)


async def _of_endpoint(
    application: Application,
    endpoint: Endpoint,
    stores: Stores,
    paging: Paging,
    asked: AttemptQuery,
    *,
    status: Callable[[Attempt], int],
    show: Callable[[list[AttemptItem]], Awaitable[list[S]]],
) -> ListOut[S]:
    return await read_feed(
        attempts_feed(stores, endpoint),
        await stores.configuration.streams_of(application),
        paging,
        show=show,
        wanted=lambda attempt: asked.wants(attempt) and asked.status in (None, status(attempt)),
        after_ms=asked.after_ms,
        before_ms=asked.before_ms,
    )


def _by_time(attempt: Attempt, message: MessageId) -> str:
    return f"{attempt.started_at_ms:015d}-{id_of_attempt(attempt, message)}"
