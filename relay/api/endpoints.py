"""Endpoints: the subscribers of an application."""

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.deletions import delete_at_once
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.endpoint_steps import changed, created, give_token_key, list_of, upserted
from relay.api.paging import provide_newest_first
from relay.api.schemas.common import ListOut
from relay.api.schemas.endpoints import EndpointIn, EndpointOut, EndpointPatch, EndpointUpsertIn, show_endpoint
from relay.domain.principals import Resource

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
        return await list_of(application, stores, paging)

    @post("/", summary="Create an endpoint")
    async def create_endpoint(
        self,
        application: ApplicationGiven,
        data: JSONBody[EndpointIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
        principal: PrincipalGiven,
    ) -> EndpointOut:
        """Create an endpoint. It receives every matching event that is stored after this response."""
        await give_token_key(application, stores)
        return await created(application, data, stores, clock, principal, once=once)

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
        principal: PrincipalGiven,
    ) -> Response[EndpointOut]:
        """Replace an endpoint (200), or create one with this uid (201).

        If the path has the id and the body has no `uid`, the uid is removed, as in Svix. If the path has the
        uid, it stays. Secrets that you omit stay, so that you can send back what GET returned.
        """
        await give_token_key(application, stores)
        return await upserted(application, endpoint_id, data, stores, clock, principal)

    @patch("/{endpoint_id:str}", summary="Change an endpoint")
    async def patch_endpoint(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointPatch],
        stores: StoresGiven,
        clock: ClockGiven,
        principal: PrincipalGiven,
    ) -> EndpointOut:
        """Change the given fields. All others stay. An endpoint that you enable or resume receives its kept events."""
        await give_token_key(application, stores)
        return await changed(application, endpoint_id, data, stores, clock, principal)

    @delete("/{endpoint_id:str}", summary="Delete an endpoint")
    async def delete_endpoint(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> None:
        """Delete an endpoint with its pending deliveries."""
        await stores.endpoints.delete(application.id, endpoint_id)
        await delete_at_once(stores)
