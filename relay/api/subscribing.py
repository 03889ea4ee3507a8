"""From what a request says of an endpoint to the endpoint that is kept: every rule of a subscription is here."""

from typing import Any

from msgspec import UNSET, structs

from relay.api.credentials import checked_auth, checked_certificate
from relay.api.headers import checked_headers
from relay.api.schemas.common import either, given
from relay.api.schemas.endpoints import EndpointIn, EndpointPatch, EndpointUpsertIn
from relay.api.signing_keys import new_keys, resigned
from relay.domain.addresses import EgressPolicy
from relay.domain.headers import is_sensitive
from relay.domain.model import ApplicationId, Endpoint, EndpointId
from relay.domain.names import own_uid
from relay.domain.origins import origin_of
from relay.errors import Fault, Invalid

_DEFAULTS: dict[str, Any] = {
    "description": "", "rate_limit": None, "disabled": False, "event_types": None, "channels": None, "metadata": {},
}  # fmt: skip
"""What null means for these, and what a PUT that leaves them out does."""
MOVED = "would be sent to another scheme, host or port than before"
_ON_THE_WIRE = {"headers": "headers", "auth": "auth", "client_certificate": "clientCertificate"}
_AS_THEY_COME = ("url", "description", "uid", "disabled", "channels", "metadata", "filter", "max_in_flight", "order",
                 "order_key", "retry_schedule", "paused", "signatures")  # fmt: skip


def new_endpoint(
    endpoint_id: EndpointId,
    app_id: ApplicationId,
    body: EndpointIn | EndpointUpsertIn,
    *,
    policy: EgressPolicy,
    now_ms: int,
    uid: str | None = None,
) -> Endpoint:
    """An endpoint as it is asked for, with its signing keys; `uid` is for a body that has none. Raises Invalid."""
    fields = {"uid": own_uid(uid, path=("path", "endpoint_id"))} | _fields(body, policy)
    secret = body.secret if isinstance(body, EndpointIn) and body.secret else None
    headers = fields.pop("headers", {})
    return _whole(
        Endpoint(
            id=endpoint_id,
            app_id=app_id,
            keys=new_keys(secret, fields.pop("signatures", None)),
            headers=headers,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            **fields,
        )
    )


def replaced(endpoint: Endpoint, body: EndpointUpsertIn, *, policy: EgressPolicy, now_ms: int) -> Endpoint:
    """An endpoint after a PUT. Raises Invalid."""
    fields = _DEFAULTS | _fields(body, policy)
    _check_moved(endpoint, fields)
    return _with(endpoint, fields, now_ms)


def patched(endpoint: Endpoint, body: EndpointPatch, *, policy: EgressPolicy, now_ms: int) -> Endpoint:
    """An endpoint after a PATCH. Raises Invalid."""
    fields = _fields(body, policy)
    _check_moved(endpoint, fields)
    return _with(endpoint, fields, now_ms)


def _check_moved(endpoint: Endpoint, fields: dict[str, Any]) -> None:
    """Refuse to send what nobody is shown to another server than before. Raises Invalid with all that must be given."""
    if origin_of(fields.get("url", endpoint.url)) == origin_of(endpoint.url):
        return
    hidden = {
        "headers": [name for name in endpoint.headers if is_sensitive(name)],
        "auth": endpoint.auth,
        "client_certificate": endpoint.client_certificate,
    }
    faults = [
        Fault(("body", _ON_THE_WIRE[name]), f"{MOVED}: {_what(name, value)} again", "missing")
        for name, value in hidden.items()
        if value and name not in fields
    ]
    if faults:
        raise Invalid(*faults)


def _what(name: str, value: Any) -> str:
    if name == "headers":
        return f"give all headers ({', '.join(sorted(value))})"
    return "give it, or null to drop it,"


def _with(endpoint: Endpoint, fields: dict[str, Any], now_ms: int) -> Endpoint:
    if fields.get("disabled") is False:
        fields["disabled_reason"] = None
    elif fields.get("disabled") and not endpoint.disabled:
        fields["disabled_reason"] = "disabled through the API"
    if "signatures" in fields:
        fields["keys"] = resigned(endpoint.keys, fields.pop("signatures"))
    return _whole(structs.replace(endpoint, **fields, updated_at_ms=now_ms))


def _whole(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose fields fit each other. Raises Invalid."""
    if endpoint.order == "keyed" and endpoint.order_key is None:
        raise Invalid(Fault(("body", "orderKey"), "is needed for the order keyed: the field to go by", "missing"))
    return endpoint


def _fields(body: EndpointIn | EndpointUpsertIn | EndpointPatch, policy: EgressPolicy) -> dict[str, Any]:
    fields = given(body, *_AS_THEY_COME)
    if types := either(body, "event_types", "filter_types"):
        fields["event_types"] = None if types[0] is None else tuple(dict.fromkeys(types[0]))
    if rate := either(body, "throttle_rate", "rate_limit"):
        (fields["rate_limit"],) = rate
    fields |= {name: _DEFAULTS[name] for name, value in fields.items() if value is None and name in _DEFAULTS}
    if "filter" in fields:
        fields["filter"] = fields["filter"] or None
    for name in ("channels", "retry_schedule"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    if body.headers is not UNSET:
        fields["headers"] = checked_headers(body.headers or {})
    if body.auth is not UNSET:
        fields["auth"] = checked_auth(body.auth, policy)
    if body.client_certificate is not UNSET:
        fields["client_certificate"] = checked_certificate(body.client_certificate)
    return fields
