"""Operational webhooks: the endpoints that receive operational events. Only the operator has them."""

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import Provide
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.applying import with_token_key
from relay.api.deletions import delete_at_once
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.endpoint_steps import changed, created, list_of, upserted
from relay.api.endpoints import MADE
from relay.api.headers import replaced_headers, show_headers
from relay.api.paging import provide_newest_first
from relay.api.schemas.common import ListOut
from relay.api.schemas.endpoint_parts import HeadersIn, HeadersOut, SecretOut, SecretRotateIn
from relay.api.schemas.endpoints import EndpointIn, EndpointOut, EndpointPatch, EndpointUpsertIn, show_endpoint
from relay.api.signing_keys import rotated, show_secret
from relay.domain.model import Application
from relay.domain.operational import ENDPOINTS_MOST, OPERATIONAL, operational_application
from relay.domain.principals import Resource
from relay.errors import Conflict, NotFound, Unreadable
from relay.store import journal
from relay.store.journal import Change
from relay.wiring import Stores

PATH = "/operational-webhook/endpoint"


async def provide_operational(stores: StoresGiven) -> Application:
    """The application of operational endpoints, also before it was created."""
    journal.current().application = OPERATIONAL
    try:
        return await stores.applications.get(OPERATIONAL)
    except (NotFound, Unreadable):
        return operational_application()


class OperationalWebhookController(Controller):
    """`/api/v1/operational-webhook/endpoint`, in Svix's shapes."""

    path = PATH
    tags = ["operational webhook"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.OPERATIONAL_WEBHOOK)
    dependencies = {  # noqa: RUF012 - the framework's own attribute
        "paging": Provide(provide_newest_first, sync_to_thread=False),
        "application": Provide(provide_operational),
    }

    @get("/", summary="List operational endpoints")
    async def list_operational_endpoints(
        self, application: ApplicationGiven, stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[EndpointOut]:
        """List the endpoints that receive operational events, newest first."""
        return await list_of(application, stores, paging)

    @post("/", summary="Create an operational endpoint")
    async def create_operational_endpoint(
        self,
        application: ApplicationGiven,
        data: JSONBody[EndpointIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
        principal: PrincipalGiven,
    ) -> EndpointOut:
        """Create an endpoint that receives operational events. It receives those that happen after this response.

        There can be 50 (409). Its messages and attempts are those of the application `app_operational`.
        """
        await _make_ready(stores, now_ms=clock.now_ms())
        return await created(application, data, stores, clock, principal, once=once)

    @get("/{endpoint_id:str}", summary="Get an operational endpoint")
    async def get_operational_endpoint(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> EndpointOut:
        """Get an operational endpoint by its id or uid, without its secrets."""
        return show_endpoint(await stores.endpoints.get(application.id, endpoint_id), application)

    @put("/{endpoint_id:str}", summary="Replace or create an operational endpoint", responses=MADE)
    async def upsert_operational_endpoint(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointUpsertIn],
        stores: StoresGiven,
        clock: ClockGiven,
        principal: PrincipalGiven,
    ) -> Response[EndpointOut]:
        """Replace an operational endpoint (200), or create one with this uid (201), as for other endpoints."""
        await _make_ready(stores, now_ms=clock.now_ms(), named=endpoint_id)
        return await upserted(application, endpoint_id, data, stores, clock, principal)

    @patch("/{endpoint_id:str}", summary="Change an operational endpoint")
    async def patch_operational_endpoint(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointPatch],
        stores: StoresGiven,
        clock: ClockGiven,
        principal: PrincipalGiven,
    ) -> EndpointOut:
        """Change the given fields. All others stay. An endpoint that you enable or resume receives its kept events."""
        return await changed(application, endpoint_id, data, stores, clock, principal)

    @delete("/{endpoint_id:str}", summary="Delete an operational endpoint")
    async def delete_operational_endpoint(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> None:
        """Delete an operational endpoint with its pending deliveries."""
        await stores.endpoints.delete(application.id, endpoint_id)
        await delete_at_once(stores)

    @get(
        "/{endpoint_id:str}/secret",
        summary="Get an operational endpoint's signing secret",
        opt=needs(Resource.ENDPOINT_SECRET, audited=True),
    )
    async def get_operational_secret(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> SecretOut:
        """Get the key that verifies callbacks."""
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        journal.current().note(Change(f"endpoint/{endpoint.id}"))
        return show_secret(endpoint)

    @post(
        "/{endpoint_id:str}/secret/rotate",
        summary="Rotate an operational endpoint's signing secret",
        status_code=200,
        opt=needs(Resource.ENDPOINT_SECRET),
    )
    async def rotate_operational_secret(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        data: JSONBody[SecretRotateIn | None] = None,
    ) -> SecretOut:
        """Sign with new keys, and also with the replaced keys until the grace period ends (24 h by default)."""
        now_ms, body = clock.now_ms(), data or SecretRotateIn()
        return show_secret(
            await stores.endpoints.change(application.id, endpoint_id, lambda old: rotated(old, body, now_ms=now_ms))
        )

    @get("/{endpoint_id:str}/headers", summary="Get an operational endpoint's headers")
    async def get_operational_headers(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> HeadersOut:
        """Get the headers of an endpoint's callbacks. Secret values are hidden, and `sensitive` has their names."""
        return show_headers(await stores.endpoints.get(application.id, endpoint_id))

    @put("/{endpoint_id:str}/headers", summary="Replace an operational endpoint's headers", status_code=204)
    async def set_operational_headers(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[HeadersIn],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> None:
        """Replace all headers. Those in `sensitive` keep their values, so that you can send back what GET returned."""
        now_ms = clock.now_ms()
        await stores.endpoints.change(
            application.id, endpoint_id, lambda old: replaced_headers(old, data, now_ms=now_ms)
        )


async def _make_ready(stores: Stores, *, now_ms: int, named: str | None = None) -> None:
    """Before an endpoint is created: create the application, and pass over what happened before the first endpoint.

    `named` is the endpoint in the path of a PUT. Raises Conflict if there are too many endpoints.
    """
    there = await stores.endpoints.ids(OPERATIONAL, limit=ENDPOINTS_MOST)
    if len(there) >= ENDPOINTS_MOST and (named is None or not await _exists(named, stores)):
        raise Conflict(f"there can be at most {ENDPOINTS_MOST} operational endpoints. Delete one first")
    await stores.applications.operational(with_token_key(operational_application(now_ms=now_ms)))
    await stores.operations.pass_over(OPERATIONAL)


async def _exists(endpoint: str, stores: Stores) -> bool:
    try:
        await stores.endpoints.get(OPERATIONAL, endpoint)
    except NotFound:
        return False
    except Unreadable:
        return True
    return True
