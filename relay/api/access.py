"""What each operation requires of a principal: a scope, and whether keys of one application can call it.

An operation declares its resource in `opt`. The rest follows from its method and path. The application does not start
if an operation declares none, so that none can be left unguarded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute

from relay.api.problems import cut
from relay.domain.model import Application
from relay.domain.operational import OPERATIONAL
from relay.domain.principals import Principal, Resource, scope
from relay.errors import Conflict, Forbidden, NotFound
from relay.wiring import Stores

KEPT = "access"
"""The name in `opt`."""
PRINCIPAL = "principal"
"""The name in a request's state."""
APPLICATION = "application"
"""The name in a request's state of the application that a key is bound to."""
_WRITTEN_BY_ITS_OWN = frozenset({Resource.APPLICATION, Resource.ENDPOINT, Resource.ENDPOINT_SECRET})
"""What operational endpoints have operations of their own for."""
READING = frozenset({"GET", "HEAD"})


class Reach(Enum):
    """Which keys can call an operation."""

    OPERATOR = "keys for every application"
    PATH = "these, and the keys of the application in the path"
    EVERY = "all keys: the operation itself shows to each what is its own"


@dataclass(frozen=True, slots=True)
class Access:
    """What an operation declares."""

    resource: Resource | None
    """None: it does nothing, so it requires no scope."""
    reach: Reach | None = None
    """None: PATH if the path has an application, else OPERATOR."""
    audited: bool | None = None
    """Whether it is in the audit log. None: if it writes."""
    subject: str | None = None
    """What the audit log calls the things that the operation is about. None: as the resource."""
    portal: bool = True
    """Whether subscribers in the portal can call it, if their scopes include it."""


def needs(
    resource: Resource,
    reach: Reach | None = None,
    *,
    audited: bool | None = None,
    subject: str | None = None,
    portal: bool = True,
) -> dict[str, Any]:
    """The `opt` of a controller or an operation."""
    return {KEPT: Access(resource, reach, audited, subject, portal)}


NOTHING: dict[str, Any] = {KEPT: Access(None, Reach.EVERY)}
"""The `opt` of an operation that does nothing, whatever the key."""


def access_of(handler: BaseRouteHandler) -> Access | None:
    """What an operation declares."""
    found: Access | None = handler.opt.get(KEPT)
    return found


def required(access: Access, method: str) -> str | None:
    """The scope that an operation requires. None: it does nothing."""
    return scope(access.resource, "read" if method in READING else "write") if access.resource else None


def reach_of(access: Access, template: str) -> Reach:
    """Which keys can call an operation at a path."""
    return access.reach or (Reach.PATH if "{app_id}" in template else Reach.OPERATOR)


def check_access(principal: Principal, access: Access, *, method: str, template: str) -> None:
    """Raise Forbidden if a principal cannot call an operation, whatever objects it names."""
    needed, who = required(access, method), "your access" if principal.is_portal else "this API key"
    if needed is not None and not principal.may(needed):
        raise Forbidden(f"{who} has no scope that includes `{needed}`")
    if principal.is_portal and not access.portal:
        raise Forbidden("a token of the portal cannot call this operation: use an API key")
    if principal.application is not None and reach_of(access, template) is Reach.OPERATOR:
        raise Forbidden(f"this operation requires an API key for every application; {who} is for one")


async def check_application(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard. For a key of one application, no other application exists: raises NotFound.

    It compares the name in the path with the key's own application, and looks up nothing else. So neither the answer
    nor its time tells whether there is an application of that name. For other keys, the operator's own application,
    that of operational endpoints, exists, and can only be read and replayed: raises Conflict.
    """
    principal: Principal = connection.scope["state"][PRINCIPAL]
    named = connection.path_params.get("app_id")
    if principal.application is None and named == OPERATIONAL:
        _check_operational(str(connection.scope.get("method")), access_of(handler))
    if principal.application is None or named is None:
        return
    stores: Stores = connection.app.state.stores
    connection.scope["state"][APPLICATION] = await own_application(principal, str(named), stores)


def _check_operational(method: str, access: Access | None) -> None:
    if method not in READING and access is not None and access.resource in _WRITTEN_BY_ITS_OWN:
        raise Conflict(
            f"application {OPERATIONAL} is the relay's own: change its endpoints with "
            "/api/v1/operational-webhook/endpoint"
        )


async def own_application(principal: Principal, named: str, stores: Stores) -> Application:
    """An application by its id or uid, if it exists for a principal. Raises NotFound."""
    if principal.application is None:
        return await stores.applications.get(named)
    own = await stores.applications.get(principal.application)
    if named not in (own.id, own.uid):
        raise NotFound(f"there is no application {cut(named)}")
    return own


def operations(app: Litestar, prefix: str) -> Iterable[tuple[str, str, HTTPRouteHandler]]:
    """Path template, method and handler of every operation below a prefix."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format.startswith(prefix):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    yield route.path_format, method, handler


def check_declared(app: Litestar, prefix: str, *, public: Iterable[str]) -> None:
    """Raise RuntimeError if an operation declares no access."""
    bare = [
        f"{method} {path}"
        for path, method, handler in operations(app, prefix)
        if path not in public and access_of(handler) is None
    ]
    if bare:
        raise RuntimeError(f"operations without `opt=needs(...)`: {', '.join(bare)}")
