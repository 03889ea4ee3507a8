"""Checks of a body against what is stored: the object that the path names, and the sources that exist."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from litestar import Request

from relay.api.asked import Asked, application_faults, identity_faults, path_uid_faults, source_faults
from relay.api.asked_endpoints import asked_types, endpoint_faults, header_faults, header_patch_faults, hidden_faults
from relay.api.bounding import budget_faults, budgets_faults, pacing_faults
from relay.api.schemas.applications import ApplicationIn, ApplicationPatch, ApplicationUpsertIn
from relay.api.schemas.checks import prefixed
from relay.api.schemas.endpoint_parts import HeadersIn, HeadersPatchIn, SecretRotateIn
from relay.api.schemas.endpoints import EndpointIn, EndpointPatch, EndpointUpsertIn
from relay.api.schemas.event_types import EventTypePatch, EventTypeUpsertIn
from relay.api.schemas.reconciliations import ReconciliationIn, range_faults
from relay.api.schemas.sources import SourceIn
from relay.api.shaping import shape_faults
from relay.api.signing_keys import rotation_faults
from relay.domain.model import Application, Endpoint, Source, SourceUid
from relay.domain.operational import operational_application
from relay.errors import Fault, NotFound, RelayError, Unreadable
from relay.store.applications import PREFIX as APP
from relay.store.endpoints import PREFIX as ENDPOINT
from relay.wiring import Stores

AnyRequest = Request[Any, Any, Any]
Check = Callable[[AnyRequest, Asked], Awaitable[tuple[Iterable[Fault], Mapping[str, Any]]]]
"""The faults that a request has beyond its type, and the fields of the stored object that may come back unchanged."""


async def all_faults(request: AnyRequest, kind: type | None, value: Any, found: list[Fault]) -> list[Fault]:
    """The faults that a body has by its type, and those that depend on other fields and on what is stored.

    A value that the object already has is not a fault, even if this release would not accept it as a new value.
    """
    check = CHECKS.get(kind) if kind else None
    if check is None or not isinstance(value, dict):
        return found
    try:
        more, unchanged = await check(request, Asked(value, frozenset(fault.path for fault in found)))
    except (NotFound, Unreadable):
        return found  # The operation itself answers that.
    except RelayError:
        if found:
            return found  # The body is wrong, whatever the store says.
        raise
    same = {name for name, kept in unchanged.items() if name in value and value[name] == kept}
    return [fault for fault in found if not same.intersection(fault.path[1:2])] + list(more)


async def _application(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    stores: Stores = request.app.state.stores
    stored: Application | None = None
    if request.method != "POST":
        stored = await _or_none(request, stores.applications.get(str(request.path_params["app_id"])))
    known = await stores.sources.uids() if isinstance(asked.get("sources"), list) else ()
    kept = (stored.sources or ()) if stored else ()
    more = [*_identity(request, asked, stored, "app_id"), *application_faults(asked, {*known, *kept})]
    more += budgets_faults(asked)
    return more, {"filter": stored.filter} if stored else {}


async def _endpoint(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    stored: Endpoint | None = None
    if request.method != "POST":
        stored = await _or_none(request, _stored(request))
    unchanged = {"url": stored.url, "filter": stored.filter} if stored else {}
    stores, application = request.app.state.stores, await _application_of(request)
    standing = await stores.event_types.standing((name for _, name in asked_types(asked)), application.id)
    more = [*endpoint_faults(asked, stored, standing, whole=request.method != "PATCH"), *shape_faults(asked, stored)]
    more += [*pacing_faults(asked, stored), *hidden_faults(asked, application), *budget_faults(asked, application)]
    return [*_identity(request, asked, stored, "endpoint_id"), *more], unchanged


async def _event_type(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    return identity_faults(asked, "name", str(request.path_params["name"])), {}


async def _source(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    stores: Stores = request.app.state.stores
    uid = SourceUid(str(request.path_params["uid"]))
    stored: Source | None = await _or_none(request, stores.sources.get(uid))
    more = [*identity_faults(asked, "uid", uid), *source_faults(asked, stored)]
    return more, {"baseUrl": stored.base_url} if stored else {}


async def _rotation(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    key = asked.get("key")
    if not key or not asked.sound("key"):
        return (), {}
    return rotation_faults(prefixed(key), await _stored(request)), {}


async def _headers(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    return header_faults(asked, await _stored(request)), {}


async def _headers_patch(request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    return header_patch_faults(asked, await _stored(request)), {}


async def _range(_request: AnyRequest, asked: Asked) -> tuple[Iterable[Fault], Mapping[str, Any]]:
    names = ("afterRowId", "untilRowId", "since", "until")
    return range_faults(*(asked.get(name) if asked.sound(name) else None for name in names)), {}


async def _stored(request: AnyRequest) -> Endpoint:
    stores: Stores = request.app.state.stores
    application = await _application_of(request)
    return await stores.endpoints.get(application.id, str(request.path_params["endpoint_id"]))


async def _application_of(request: AnyRequest) -> Application:
    """The application of the endpoint in the path. A path that has none is of operational endpoints."""
    named = request.path_params.get("app_id")
    stores: Stores = request.app.state.stores
    return operational_application() if named is None else await stores.applications.get(str(named))


def _identity(
    request: AnyRequest, asked: Asked, stored: Application | Endpoint | None, parameter: str
) -> Iterable[Fault]:
    if stored is not None:
        return identity_faults(asked, "id", stored.id)
    named = str(request.path_params[parameter]) if request.method == "PUT" else ""
    is_id = named.startswith({"app_id": APP, "endpoint_id": ENDPOINT}[parameter])
    return path_uid_faults(asked, named, parameter) if named and not is_id else ()


async def _or_none(request: AnyRequest, reading: Awaitable[Any]) -> Any:
    """The stored object. A PUT creates one that is not there, and replaces one that cannot be read."""
    try:
        return await reading
    except (NotFound, Unreadable):
        if request.method == "PUT":
            return None
        raise


CHECKS: dict[type, Check] = {
    ApplicationIn: _application,
    ApplicationUpsertIn: _application,
    ApplicationPatch: _application,
    EndpointIn: _endpoint,
    EndpointUpsertIn: _endpoint,
    EndpointPatch: _endpoint,
    EventTypeUpsertIn: _event_type,
    EventTypePatch: _event_type,
    SourceIn: _source,
    SecretRotateIn: _rotation,
    HeadersIn: _headers,
    HeadersPatchIn: _headers_patch,
    ReconciliationIn: _range,
}
"""By the type of the body."""
