"""API keys: with scopes, for everything or for one application."""

from functools import partial
from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from relay.api.access import Reach, needs, own_application
from relay.api.dependencies import ClockGiven, OnceGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.granting import bound_to, check_hold, new_key, patched, rotated
from relay.api.paging import read_page
from relay.api.schemas.api_keys import (
    ApiKeyIn,
    ApiKeyOut,
    ApiKeyPatch,
    ApiKeyRotateIn,
    NewApiKeyOut,
    show_key,
    show_new_key,
)
from relay.api.schemas.common import ListOut
from relay.domain.names import NAME, UID_MOST
from relay.domain.principals import ApiKey, KeyId, Principal, Resource
from relay.domain.tokens import KEY_PREFIX, token_of
from relay.errors import NotFound
from relay.store import journal
from relay.store.api_keys import PLACE, new_secret, place_of
from relay.store.identifiers import new_id
from relay.wiring import Stores


class ApiKeyController(Controller):
    """`/api/v1/key`. For a key of one application, there are only that application's keys."""

    path = "/key"
    tags = ["API key"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.KEY, Reach.EVERY)

    @get("/", summary="List API keys")
    async def list_keys(
        self,
        principal: PrincipalGiven,
        stores: StoresGiven,
        clock: ClockGiven,
        paging: PagingGiven,
        app: Annotated[
            str | None,
            QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME, description="Id or uid of an application"),
        ] = None,
    ) -> ListOut[ApiKeyOut]:
        """List API keys without their tokens: those for every application, then those of each application."""
        only = (await own_application(principal, app, stores)).id if app else principal.application
        page = await read_page(
            partial(stores.api_keys.page, only), paging, key=place_of, show=lambda key: key, form=PLACE
        )
        uses, now_ms = await stores.api_keys.last_used([key.id for key in page.data]), clock.now_ms()
        return ListOut(
            data=[show_key(key, used, now_ms=now_ms) for key, used in zip(page.data, uses, strict=True)],
            iterator=page.iterator,
            prev_iterator=page.prev_iterator,
            done=page.done,
            unreadable=page.unreadable,
        )

    @post("/", summary="Create an API key")
    async def create_key(
        self,
        principal: PrincipalGiven,
        data: JSONBody[ApiKeyIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
    ) -> NewApiKeyOut:
        """Create an API key. The response is the only one that shows its token.

        A key cannot create a key with more scopes, for another application, or with a later expiry than its own.
        """
        now_ms, secret = clock.now_ms(), new_secret()
        key_id = KeyId(once.new_id(KEY_PREFIX) if once else new_id(KEY_PREFIX, now_ms=now_ms))
        app_id = await bound_to(data, principal, stores)
        key = await stores.api_keys.create(
            new_key(key_id, data, principal, app_id=app_id, secret=secret, now_ms=now_ms)
        )
        journal.current().application = app_id or ""
        return show_new_key(key, token_of(key.id, secret), None, now_ms=now_ms)

    @get("/{key_id:str}", summary="Get an API key")
    async def get_key(
        self, principal: PrincipalGiven, key_id: FromPath[str], stores: StoresGiven, clock: ClockGiven
    ) -> ApiKeyOut:
        """Get an API key, without its token."""
        key = await _found(principal, key_id, stores)
        (used,) = await stores.api_keys.last_used([key.id])
        return show_key(key, used, now_ms=clock.now_ms())

    @patch("/{key_id:str}", summary="Change an API key")
    async def patch_key(
        self,
        principal: PrincipalGiven,
        key_id: FromPath[str],
        data: JSONBody[ApiKeyPatch],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> ApiKeyOut:
        """Change the given fields. The change applies to the next request with the key."""
        key, now_ms = await _found(principal, key_id, stores), clock.now_ms()
        key = await stores.api_keys.change(key.id, lambda old: patched(old, data, principal, now_ms=now_ms))
        (used,) = await stores.api_keys.last_used([key.id])
        return show_key(key, used, now_ms=now_ms)

    @post("/{key_id:str}/rotate", summary="Rotate an API key", status_code=200)
    async def rotate_key(
        self,
        principal: PrincipalGiven,
        key_id: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        data: JSONBody[ApiKeyRotateIn | None] = None,
    ) -> NewApiKeyOut:
        """Give a key a new token. The replaced one works until its grace period ends (24 h by default)."""
        key, now_ms, secret = await _found(principal, key_id, stores), clock.now_ms(), new_secret()
        body = data or ApiKeyRotateIn()
        key = await stores.api_keys.change(
            key.id, lambda old: rotated(old, body, principal, secret=secret, now_ms=now_ms)
        )
        (used,) = await stores.api_keys.last_used([key.id])
        return show_new_key(key, token_of(key.id, secret), used, now_ms=now_ms)

    @delete("/{key_id:str}", summary="Delete an API key")
    async def delete_key(self, principal: PrincipalGiven, key_id: FromPath[str], stores: StoresGiven) -> None:
        """Delete an API key. It stops working at once, in every process."""
        key = await _found(principal, key_id, stores)
        check_hold(principal, key)
        await stores.api_keys.delete(key)


async def _found(principal: Principal, key_id: str, stores: Stores) -> ApiKey:
    """A key that exists for a principal. Raises NotFound."""
    key = await stores.api_keys.find(KeyId(key_id))
    if key is None or principal.application not in (None, key.app_id):
        raise NotFound(f"there is no key {key_id}")
    journal.current().application = key.app_id or ""
    return key
