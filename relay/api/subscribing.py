"""From the body of a request to the stored endpoint."""

from typing import Any, TypeVar

from msgspec import UNSET, structs

from relay.api.asked import Asked, raise_for
from relay.api.asked_endpoints import endpoint_faults
from relay.api.bounding import pacing_faults
from relay.api.credentials import whole_auth, whole_certificate
from relay.api.headers import checked_headers
from relay.api.schemas.common import either, given
from relay.api.schemas.endpoints import EndpointIn, EndpointPatch, EndpointUpsertIn
from relay.api.schemas.privacy import read_rules
from relay.api.schemas.rates import read_rates
from relay.api.secret_urls import url_fields, whole_url
from relay.api.shaping import shape_faults, shape_of
from relay.api.signing_keys import new_keys, resigned
from relay.domain.custom_types import Standing
from relay.domain.model import DISABLED_BY_HAND, ApplicationId, Endpoint, EndpointId
from relay.domain.names import own_uid
from relay.domain.principals import Principal, Resource, scope
from relay.errors import Forbidden

_DEFAULTS: dict[str, Any] = {
    "description": "", "rate_limit": None, "disabled": False, "event_types": None, "channels": None, "metadata": {},
}  # fmt: skip
"""The values of these fields for null, and for a PUT that omits them."""
RECORDING_LINK = "recordingUrl"
_AS_THEY_COME = ("type", "description", "uid", "disabled", "channels", "metadata", "filter", "max_in_flight", "order",
                 "order_key", "retry_schedule", "paused", "signatures", "concurrency", "budget",
                 "newest_only")  # fmt: skip


def new_endpoint(
    endpoint_id: EndpointId,
    app_id: ApplicationId,
    body: EndpointIn | EndpointUpsertIn,
    *,
    standing: Standing,
    now_ms: int,
    uid: str | None = None,
) -> Endpoint:
    """A new endpoint with its signing keys; `uid` is the one in the path of a PUT. Raises Invalid.

    `standing` is that of the event types that the body names.
    """
    _check(body, None, standing, whole=True)
    fields = _fields(body, None)
    fields["uid"] = fields.get("uid") or own_uid(uid, path=("path", "endpoint_id"))
    secret = body.secret if isinstance(body, EndpointIn) and body.secret else None
    return Endpoint(
        id=endpoint_id,
        app_id=app_id,
        keys=new_keys(secret, fields.pop("signatures", None)),
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        **fields,
    )


def replaced(
    endpoint: Endpoint, body: EndpointUpsertIn, *, standing: Standing, now_ms: int, uid: str | None
) -> Endpoint:
    """An endpoint after a PUT; `uid` is the one in the path, or None for a path with an id. Raises Invalid.

    As in Svix, an omitted uid is removed. A path with the uid names it, so it stays.
    """
    _check(body, endpoint, standing, whole=True)
    fields = _DEFAULTS | _fields(body, endpoint)
    fields["uid"] = fields.get("uid") or uid
    return _with(endpoint, fields, now_ms)


def patched(endpoint: Endpoint, body: EndpointPatch, *, standing: Standing, now_ms: int) -> Endpoint:
    """An endpoint after a PATCH. Raises Invalid."""
    _check(body, endpoint, standing, whole=False)
    return _with(endpoint, _fields(body, endpoint), now_ms)


E = TypeVar("E", bound=Endpoint | None)


def check_links(principal: Principal, body: EndpointIn | EndpointUpsertIn | EndpointPatch, endpoint: E) -> E:
    """Give the endpoint back that a body changes. None: it creates one.

    Raises Forbidden if events would carry links that the caller itself must not create, or carry them elsewhere.
    """
    needed = scope(Resource.RECORDING, "write")
    if principal.may(needed):
        return endpoint
    had = () if endpoint is None else endpoint.include
    has = had if body.include is UNSET else body.include or ()
    if RECORDING_LINK in has and RECORDING_LINK not in had:
        raise Forbidden(f"`include`: links to recordings require an API key with the scope `{needed}`")
    if RECORDING_LINK in has and endpoint is not None and _leads_elsewhere(body, endpoint):
        why = f"the endpoint includes links to recordings, so only a key with `{needed}` can change these fields"
        how = f"To change them without the links, send `include` without `{RECORDING_LINK}` too"
        raise Forbidden(f"`url`, `urlParameters`, `lookup` and `capture`: {why}. {how}")
    return endpoint


def _leads_elsewhere(body: EndpointIn | EndpointUpsertIn | EndpointPatch, endpoint: Endpoint) -> bool:
    """Whether requests of an endpoint could reach another URL. On a shared host, the path decides who gets them."""
    old, new = endpoint.request, shape_of(body, endpoint.request)
    leads = (whole_url(body.url, endpoint), new.url_parameters, new.lookup, new.capture)
    return leads != (endpoint.dialled_url, old.url_parameters, old.lookup, old.capture)


def named_types(body: EndpointIn | EndpointUpsertIn | EndpointPatch) -> tuple[str, ...]:
    """The event types that a body names."""
    given = either(body, "event_types", "filter_types")
    return tuple(given[0] or ()) if given else ()


def _check(
    body: EndpointIn | EndpointUpsertIn | EndpointPatch, stored: Endpoint | None, standing: Standing, *, whole: bool
) -> None:
    asked = Asked.of(body)
    faults = endpoint_faults(asked, stored, standing, whole=whole)
    raise_for([*faults, *shape_faults(asked, stored), *pacing_faults(asked, stored)])


def _with(endpoint: Endpoint, fields: dict[str, Any], now_ms: int) -> Endpoint:
    if fields.get("disabled") is False:
        fields["disabled_reason"] = None
    elif fields.get("disabled") and not endpoint.disabled:
        fields["disabled_reason"] = DISABLED_BY_HAND
    if "signatures" in fields:
        fields["keys"] = resigned(endpoint.keys, fields.pop("signatures"))
    return structs.replace(endpoint, **fields, updated_at_ms=now_ms)


def _fields(body: EndpointIn | EndpointUpsertIn | EndpointPatch, stored: Endpoint | None) -> dict[str, Any]:
    fields = given(body, *_AS_THEY_COME)
    if types := either(body, "event_types", "filter_types"):
        fields["event_types"] = None if types[0] is None else tuple(dict.fromkeys(types[0]))
    if rate := either(body, "throttle_rate", "rate_limit"):
        (fields["rate_limit"],) = rate
    fields |= url_fields(body.url, body.url_is_secret, stored)
    fields |= {name: _DEFAULTS[name] for name, value in fields.items() if value is None and name in _DEFAULTS}
    if "filter" in fields:
        fields["filter"] = fields["filter"] or None
    fields["request"] = shape_of(body, stored.request if stored else None)
    if body.include is not UNSET:
        fields["include"] = tuple(dict.fromkeys(body.include or ()))
    if body.privacy is not UNSET:
        fields["privacy"] = read_rules(body.privacy)
    for name in ("channels", "retry_schedule"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    return fields | _pace(body) | _hidden_fields(body, stored)


def _pace(body: EndpointIn | EndpointUpsertIn | EndpointPatch) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if body.rates is not UNSET:
        fields["rates"] = read_rates(body.rates)
    if body.delay_seconds is not UNSET:
        fields["delay_s"] = body.delay_seconds
    return fields


def _hidden_fields(body: EndpointIn | EndpointUpsertIn | EndpointPatch, stored: Endpoint | None) -> dict[str, Any]:
    """The fields of which answers do not show everything, so that a part may be left out to keep it."""
    fields: dict[str, Any] = {}
    if body.headers is not UNSET:
        fields["headers"] = checked_headers(body.headers or {})
    if body.auth is not UNSET:
        fields["auth"] = whole_auth(body.auth, stored.auth if stored else None)
    if body.client_certificate is not UNSET:
        kept = stored.client_certificate if stored else None
        fields["client_certificate"] = whole_certificate(body.client_certificate, kept)
    return fields
