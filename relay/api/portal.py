"""Access to the portal: links for subscribers, and the tokens that they give."""

from collections.abc import Collection
from typing import Any

from litestar import Controller, Request, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from relay.api.access import NOTHING, Reach, needs
from relay.api.applications import create
from relay.api.bodies import check_request
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, PrincipalGiven, StoresGiven
from relay.api.schemas.portal import (
    PortalAccessIn,
    PortalAccessOut,
    PortalCodeIn,
    PortalExpireIn,
    PortalTokenOut,
    show_token,
)
from relay.domain.model import Application
from relay.domain.names import own_uid
from relay.domain.operational import OPERATIONAL
from relay.domain.portal import ALL, LONGEST_S, VIEWING, Capability, link_of, scopes_of
from relay.domain.principals import PORTAL_PREFIX, ApiKey, KeyId, Principal, Resource, principal_of
from relay.domain.tokens import read_token, renewed, token_of
from relay.errors import Conflict, Fault, Forbidden, Invalid, NotFound, Unauthorized, Unreadable
from relay.pipeline.clock import Clock
from relay.store import journal
from relay.store.api_keys import new_secret
from relay.store.idempotency import Once
from relay.store.identifiers import new_id
from relay.store.journal import Change
from relay.wiring import Stores

NAME = "portal"
USED = "this link was used, or has expired: ask for another one"


class PortalController(Controller):
    """`/api/v1/auth`, in Svix's shapes."""

    path = "/auth"
    tags = ["portal"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.KEY, Reach.PATH, subject="portal")

    @post("/app-portal-access/{app_id:str}", summary="Create a link to the portal", status_code=200)
    async def app_portal_access(
        self,
        app_id: FromPath[str],
        principal: PrincipalGiven,
        data: JSONBody[PortalAccessIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
        request: Request[Any, Any, Any],
    ) -> PortalAccessOut:
        """Create a link that lets a subscriber see one application in the portal, and the token that it gives.

        The token reaches this application only. It cannot have more scopes, or a later expiry, than the API key that
        creates it. A token with `CreateAttempts` cannot post messages. An application has at most 1,000 tokens: a
        further one ends the one that would expire first.
        """
        application = await _application(app_id, principal, data, stores, clock)
        key, secret = _new_token(application, principal, data, clock, once)
        code = await stores.portal.create(key, token_of(key.id, secret), now_ms=clock.now_ms())
        journal.current().application = application.id
        journal.current().note(Change(f"portal/{key.id}"))
        return PortalAccessOut(url=link_of(request.app.state.public_url, code), token=token_of(key.id, secret))

    @post("/app/{app_id:str}/expire-all", summary="End tokens of the portal", status_code=204)
    async def expire_all(
        self, application: ApplicationGiven, data: JSONBody[PortalExpireIn], stores: StoresGiven, clock: ClockGiven
    ) -> None:
        """End the tokens of an application, or those of some sessions, at once or in some seconds."""
        sessions: Collection[str] | None = data.session_ids or None
        await stores.portal.end_all(
            application.id, sessions=sessions, within_ms=(data.expiry or 0) * 1000, now_ms=clock.now_ms()
        )
        journal.current().note(Change(f"application/{application.id}"))

    @post("/logout", summary="End the token of this request", status_code=204, opt=NOTHING)
    async def logout(self, principal: PrincipalGiven, stores: StoresGiven) -> None:
        """End the token of the portal that makes this request. An API key cannot end itself: delete it."""
        key = await stores.portal.find(KeyId(principal.id)) if principal.is_portal else None
        if key is None:
            raise Conflict("only a token of the portal can end itself: use DELETE /api/v1/key/{key_id} for an API key")
        await stores.portal.end(key)


@post(
    "/portal/token",
    tags=["portal"],
    summary="Exchange a code for a token of the portal",
    status_code=200,
    security=[],
    guards=[check_request],
)
async def exchange_code(data: JSONBody[PortalCodeIn], stores: StoresGiven) -> PortalTokenOut:
    """Exchange the code of a link to the portal for its token. A code works once, for ten minutes."""
    try:
        token = await stores.portal.exchange(data.code)
    except Unreadable:
        token = None
    if token is None:
        raise Unauthorized(USED)
    return show_token(await _principal_of(token, stores), token)


async def _principal_of(token: str, stores: Stores) -> Principal:
    read = read_token(token)
    key = await stores.portal.find(read[0]) if read else None
    if key is None:
        raise Unauthorized(USED)
    return principal_of(key)


async def _application(
    named: str, principal: Principal, data: PortalAccessIn, stores: Stores, clock: Clock
) -> Application:
    """The application in the path, which is created if the body says so. Raises NotFound or Forbidden."""
    if named == OPERATIONAL:
        raise Conflict(f"application {OPERATIONAL} is the relay's own: it has no subscribers")
    try:
        return await stores.applications.get(named)
    except NotFound:
        if not data.application:
            raise
    if principal.application is not None or not principal.may("application:write"):
        raise Forbidden("this API key cannot create the application: it has no scope that includes `application:write`")
    await create(data.application, stores, clock, uid=own_uid(named, path=("path", "app_id")))
    return await stores.applications.get(named)


def _new_token(
    application: Application, principal: Principal, data: PortalAccessIn, clock: Clock, once: Once | None
) -> tuple[ApiKey, str]:
    """A new token and its secret. Raises Forbidden or Invalid."""
    now_ms, secret = clock.now_ms(), new_secret()
    expires_at_ms = now_ms + (data.expiry or LONGEST_S) * 1000
    if principal.expires_at_ms is not None:
        expires_at_ms = min(expires_at_ms, principal.expires_at_ms)
    scopes = scopes_of(_capabilities(data))
    if missing := principal.missing(scopes):
        raise Forbidden(f"this API key lacks {', '.join(f'`{each}`' for each in missing)}, which the token would have")
    key = ApiKey(
        id=KeyId(once.new_id(PORTAL_PREFIX) if once else new_id(PORTAL_PREFIX, now_ms=now_ms)),
        name=NAME,
        scopes=scopes,
        app_id=application.id,
        secrets=(),
        expires_at_ms=expires_at_ms,
        created_at_ms=now_ms,
        session=data.session_id or "",
    )
    return renewed(key, secret, grace_ms=0, now_ms=now_ms), secret


def _capabilities(data: PortalAccessIn) -> tuple[Capability, ...]:
    """What a token can do. Raises Invalid for what the relay cannot tell apart."""
    if data.feature_flags:
        raise Invalid(Fault(("body", "featureFlags"), "must be empty: the relay has no feature flags"))
    given = None if data.capabilities is UNSET else data.capabilities
    if data.read_only:
        if given and set(given) - set(VIEWING):
            raise Invalid(Fault(("body", "capabilities"), "must be `ViewBase` alone, or omitted, with `readOnly`"))
        return VIEWING
    if given is None:
        return ALL
    if "ManageTransformations" in given and "ManageEndpoint" not in given:
        said = "must have `ManageEndpoint` with `ManageTransformations`: a transformation is a part of its endpoint"
        raise Invalid(Fault(("body", "capabilities"), said))
    return tuple(dict.fromkeys([*VIEWING, *given]))
