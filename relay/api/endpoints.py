"""Endpoints: the subscribers of an application."""

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.applying import with_token_key
from relay.api.deletions import delete_at_once
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, PagingGiven, StoresGiven
from relay.api.paging import provide_newest_first, read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.endpoints import EndpointIn, EndpointOut, EndpointPatch, EndpointUpsertIn, show_endpoint
from relay.api.subscribing import named_types, new_endpoint, patched, replaced
from relay.domain.model import Application, Endpoint
from relay.domain.principals import Resource
from relay.errors import NotFound
from relay.pipeline.clock import Clock
from relay.store.endpoints import ENDPOINT_ID, PREFIX
from relay.store.idempotency import Once
from relay.store.records import Page
from relay.wiring import Stores

MADE = {201: ResponseSpec(EndpointOut, description="The new endpoint", generate_examples=False)}


class EndpointController(Controller):
    """`/api/v1/app/{app_id}/endpoint`, in Svix's shapes."""

    path = "/app/{app_id:str}/endpoint"
    tags = ["endpoint"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.ENDPOINT)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

    @get("/", summary="List endpoints")
    async def list_endpoints(
        self, application: ApplicationGiven, stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[EndpointOut]:
        """List the endpoints of an application, newest first."""

        async def read(*, after: str | None, limit: int, descending: bool) -> Page[Endpoint]:
            return await stores.endpoints.page(application.id, after=after, limit=limit, descending=descending)

        return await read_page(
            read, paging, key=lambda e: e.id, show=lambda e: show_endpoint(e, application), form=ENDPOINT_ID
        )

    @post("/", summary="Create an endpoint")
    async def create_endpoint(
        self,
        application: ApplicationGiven,
        data: JSONBody[EndpointIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
    ) -> EndpointOut:
        """Create an endpoint. It receives every matching event that is stored after this response."""
        await give_token_key(application, stores)
        return await _create(application, data, stores, clock, once=once)

    @get("/{endpoint_id:str}", summary="Get an endpoint")
    async def get_endpoint(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> EndpointOut:
        """Get an endpoint by its id or uid, without its secrets."""
        return show_endpoint(await stores.endpoints.get(application.id, endpoint_id), application)

    @put("/{endpoint_id:str}", summary="Replace or create an endpoint", responses=MADE)
    async def upsert_endpoint(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointUpsertIn],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> Response[EndpointOut]:
        """Replace an endpoint (200), or create one with this uid (201).

        If the path has the id and the body has no `uid`, the uid is removed, as in Svix. If the path has the
        uid, it stays. Secrets that you omit stay, so that you can send back what GET returned.
        """
        await give_token_key(application, stores)
        standing, now_ms = await stores.event_types.standing(named_types(data)), clock.now_ms()
        uid = None if endpoint_id.startswith(PREFIX) else endpoint_id
        try:
            endpoint = await stores.endpoints.change(
                application.id,
                endpoint_id,
                lambda old: replaced(old, data, standing=standing, now_ms=now_ms, uid=uid),
                replacement=lambda found: new_endpoint(
                    found, application.id, data, standing=standing, now_ms=now_ms, uid=uid
                ),
            )
        except NotFound:
            if uid is None:
                raise
            made = await _create(application, data, stores, clock, uid=uid)
            return Response(made, status_code=201)
        return Response(show_endpoint(endpoint, application), status_code=200)

    @patch("/{endpoint_id:str}", summary="Change an endpoint")
    async def patch_endpoint(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointPatch],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> EndpointOut:
        """Change the given fields. All others stay. An endpoint that you enable or resume receives its kept events."""
        await give_token_key(application, stores)
        standing, now_ms = await stores.event_types.standing(named_types(data)), clock.now_ms()
        endpoint = await stores.endpoints.change(
            application.id, endpoint_id, lambda old: patched(old, data, standing=standing, now_ms=now_ms)
        )
        return show_endpoint(endpoint, application)

    @delete("/{endpoint_id:str}", summary="Delete an endpoint")
    async def delete_endpoint(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> None:
        """Delete an endpoint with its pending deliveries."""
        await stores.endpoints.delete(application.id, endpoint_id)
        await delete_at_once(stores)


async def give_token_key(application: Application, stores: Stores) -> None:
    """Give an application that an older release created the key that its endpoints' rules may need."""
    if not application.token_key:
        await stores.applications.change(application.id, with_token_key)


async def _create(
    application: Application,
    data: EndpointIn | EndpointUpsertIn,
    stores: Stores,
    clock: Clock,
    *,
    uid: str | None = None,
    once: Once | None = None,
) -> EndpointOut:
    standing, now_ms = await stores.event_types.standing(named_types(data)), clock.now_ms()
    endpoint = await stores.endpoints.create(
        lambda new_id: new_endpoint(new_id, application.id, data, standing=standing, now_ms=now_ms, uid=uid),
        now_ms=now_ms,
        once=once,
    )
    return show_endpoint(endpoint, application)
