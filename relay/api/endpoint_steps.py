"""What operations on endpoints do, whether a customer's application or the operator's has them."""

from litestar import Response

from relay.api.applying import with_token_key
from relay.api.paging import Paging, read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.endpoints import EndpointIn, EndpointOut, EndpointPatch, EndpointUpsertIn, show_endpoint
from relay.api.subscribing import check_links, named_types, new_endpoint, patched, replaced
from relay.domain.model import Application, Endpoint
from relay.domain.principals import Principal
from relay.errors import NotFound
from relay.pipeline.clock import Clock
from relay.store.endpoints import ENDPOINT_ID, PREFIX
from relay.store.idempotency import Once
from relay.store.records import Page
from relay.wiring import Stores


async def list_of(application: Application, stores: Stores, paging: Paging) -> ListOut[EndpointOut]:
    """One page of an application's endpoints."""

    async def read(*, after: str | None, limit: int, descending: bool) -> Page[Endpoint]:
        return await stores.endpoints.page(application.id, after=after, limit=limit, descending=descending)

    return await read_page(
        read, paging, key=lambda e: e.id, show=lambda e: show_endpoint(e, application), form=ENDPOINT_ID
    )


async def give_token_key(application: Application, stores: Stores) -> None:
    """Give an application that an older release created the key that its endpoints' rules may need."""
    if not application.token_key:
        await stores.applications.change(application.id, with_token_key)


async def created(
    application: Application,
    data: EndpointIn | EndpointUpsertIn,
    stores: Stores,
    clock: Clock,
    principal: Principal,
    *,
    uid: str | None = None,
    once: Once | None = None,
) -> EndpointOut:
    """A new endpoint, as responses show it. Raises Invalid, Conflict or Forbidden."""
    check_links(principal, data, None)
    standing = await stores.event_types.standing(named_types(data), application.id)
    now_ms = clock.now_ms()
    endpoint = await stores.endpoints.create(
        lambda new_id: new_endpoint(new_id, application.id, data, standing=standing, now_ms=now_ms, uid=uid),
        now_ms=now_ms,
        once=once,
    )
    return show_endpoint(endpoint, application)


async def upserted(
    application: Application,
    endpoint_id: str,
    data: EndpointUpsertIn,
    stores: Stores,
    clock: Clock,
    principal: Principal,
) -> Response[EndpointOut]:
    """The answer to a PUT of an endpoint, which creates or replaces it.

    Raises Invalid, Conflict, Forbidden or NotFound.
    """
    standing = await stores.event_types.standing(named_types(data), application.id)
    now_ms = clock.now_ms()
    uid = None if endpoint_id.startswith(PREFIX) else endpoint_id
    try:
        endpoint = await stores.endpoints.change(
            application.id,
            endpoint_id,
            lambda old: replaced(check_links(principal, data, old), data, standing=standing, now_ms=now_ms, uid=uid),
            replacement=lambda found: new_endpoint(
                found, application.id, data, standing=standing, now_ms=now_ms, uid=uid
            ),
        )
    except NotFound:
        if uid is None:
            raise
        return Response(await created(application, data, stores, clock, principal, uid=uid), status_code=201)
    return Response(show_endpoint(endpoint, application), status_code=200)


async def changed(
    application: Application,
    endpoint_id: str,
    data: EndpointPatch,
    stores: Stores,
    clock: Clock,
    principal: Principal,
) -> EndpointOut:
    """An endpoint after a PATCH, as responses show it.

    Raises Invalid, Conflict, Forbidden, NotFound or Unreadable.
    """
    standing = await stores.event_types.standing(named_types(data), application.id)
    now_ms = clock.now_ms()
    endpoint = await stores.endpoints.change(
        application.id,
        endpoint_id,
        lambda old: patched(check_links(principal, data, old), data, standing=standing, now_ms=now_ms),
    )
    return show_endpoint(endpoint, application)
