"""Applications: tenants, each with its endpoints."""

from functools import partial
from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from relay.api.access import Reach, needs
from relay.api.applying import new_application, patched, replaced
from relay.api.deletions import delete_at_once
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.paging import read_page
from relay.api.schemas.applications import (
    ApplicationIn,
    ApplicationOut,
    ApplicationPatch,
    ApplicationUpsertIn,
    show_application,
)
from relay.api.schemas.common import ListOut
from relay.domain.principals import Resource
from relay.errors import NotFound
from relay.pipeline.clock import Clock
from relay.store.applications import APPLICATION_ID, PREFIX
from relay.store.idempotency import Once
from relay.wiring import Stores

EXISTED = {200: ResponseSpec(ApplicationOut, description="The existing application", generate_examples=False)}
MADE = {201: ResponseSpec(ApplicationOut, description="The new application", generate_examples=False)}


class ApplicationController(Controller):
    """`/api/v1/app`, in Svix's shapes."""

    path = "/app"
    tags = ["application"]  # noqa: RUF012 - the framework's own attribute
    # Only the operator writes an application: its filter and its sources bound what its own keys can see.
    opt = needs(Resource.APPLICATION, Reach.OPERATOR)

    @get("/", summary="List applications", opt=needs(Resource.APPLICATION, Reach.EVERY))
    async def list_applications(
        self, principal: PrincipalGiven, stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[ApplicationOut]:
        """List all applications in the order in which they were created. A key of one application lists that one."""
        read = partial(stores.applications.page, only=principal.application)
        return await read_page(read, paging, key=lambda a: a.id, show=show_application, form=APPLICATION_ID)

    @post("/", summary="Create an application", responses=EXISTED)
    async def create_application(
        self,
        data: JSONBody[ApplicationIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
        get_if_exists: Annotated[
            bool, QueryParameter(description="Return the application with this uid if it exists")
        ] = False,
    ) -> Response[ApplicationOut]:
        """Create an application (201), or with `get_if_exists` return the one with this uid (200)."""
        if get_if_exists and data.uid:
            try:
                return Response(show_application(await stores.applications.get(data.uid)), status_code=200)
            except NotFound:
                pass
        return Response(await create(data, stores, clock, once=once), status_code=201)

    @get("/{app_id:str}", summary="Get an application", opt=needs(Resource.APPLICATION, Reach.PATH))
    async def get_application(self, application: ApplicationGiven) -> ApplicationOut:
        """Get an application by its id or uid."""
        return show_application(application)

    @put("/{app_id:str}", summary="Replace or create an application", responses=MADE)
    async def upsert_application(
        self, app_id: FromPath[str], data: JSONBody[ApplicationUpsertIn], stores: StoresGiven, clock: ClockGiven
    ) -> Response[ApplicationOut]:
        """Replace an application (200), or create one with this uid (201).

        If the path has the id and the body has no `uid`, the uid is removed, as in Svix. If the path has the
        uid, it stays.
        """
        sources, now_ms = await stores.sources.uids(), clock.now_ms()
        uid = None if app_id.startswith(PREFIX) else app_id
        try:
            application = await stores.applications.change(
                app_id,
                lambda old: replaced(old, data, sources=sources, now_ms=now_ms, uid=uid),
                replacement=lambda found: new_application(found, data, uid=uid, sources=sources, now_ms=now_ms),
            )
        except NotFound:
            if uid is None:
                raise
            return Response(await create(data, stores, clock, uid=uid), status_code=201)
        return Response(show_application(application), status_code=200)

    @patch("/{app_id:str}", summary="Change an application")
    async def patch_application(
        self, app_id: FromPath[str], data: JSONBody[ApplicationPatch], stores: StoresGiven, clock: ClockGiven
    ) -> ApplicationOut:
        """Change the given fields. All others stay."""
        sources, now_ms = await stores.sources.uids(), clock.now_ms()
        return show_application(
            await stores.applications.change(app_id, lambda old: patched(old, data, sources=sources, now_ms=now_ms))
        )

    @delete("/{app_id:str}", summary="Delete an application")
    async def delete_application(self, app_id: FromPath[str], stores: StoresGiven) -> None:
        """Delete an application with its endpoints and their pending deliveries."""
        await stores.applications.delete(app_id)
        await delete_at_once(stores)


async def create(
    data: ApplicationIn | ApplicationUpsertIn,
    stores: Stores,
    clock: Clock,
    *,
    uid: str | None = None,
    once: Once | None = None,
) -> ApplicationOut:
    """Create an application; `uid` is the one in the path. Raises Invalid or Conflict."""
    sources, now_ms = await stores.sources.uids(), clock.now_ms()
    application = await stores.applications.create(
        lambda new_id: new_application(new_id, data, uid=uid, sources=sources, now_ms=now_ms),
        now_ms=now_ms,
        once=once,
    )
    return show_application(application)
