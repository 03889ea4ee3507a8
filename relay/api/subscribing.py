"""From what a request says of an endpoint to the endpoint that is kept: every rule of a subscription is here."""

import secrets
from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import UNSET, structs

from relay.api.headers import checked_headers
from relay.api.schemas.applications import checked_filter, checked_uid
from relay.api.schemas.common import camel, either, given
from relay.api.schemas.endpoints import (
    BasicAuthIn,
    BearerIn,
    ClientCertificateIn,
    EndpointIn,
    EndpointPatch,
    EndpointUpsertIn,
    OAuth2In,
    SecretRotateIn,
)
from relay.domain.addresses import EgressPolicy
from relay.domain.event_types import EVENT_TYPES
from relay.domain.model import (
    ApplicationId,
    BasicAuth,
    Bearer,
    ClientCertificate,
    Endpoint,
    EndpointAuth,
    EndpointId,
    OAuth2,
    SigningKey,
)
from relay.domain.signing import PRIVATE_PREFIX, SECRET_PREFIX, check_key, new_secret
from relay.errors import Conflict, Fault, Invalid
from relay.outbound.targets import vet_url
from relay.store.endpoints import PREFIX

GRACE_S = 86_400
"""How long a rotated key still signs, where nobody says otherwise (Standard Webhooks 1.0, Svix)."""
KEYS_AT_MOST = 5
"""Each key adds some 50 bytes to a header of every callback."""

_DEFAULTS: dict[str, Any] = {
    "description": "", "rate_limit": None, "disabled": False, "event_types": None, "channels": None, "metadata": {},
}  # fmt: skip
"""What null means for these, and what a PUT that leaves them out does."""
_AS_THEY_COME = ("url", "description", "uid", "disabled", "channels", "metadata", "filter", "max_in_flight", "order",
                 "order_key", "retry_schedule", "paused")  # fmt: skip


def new_endpoint(
    endpoint_id: EndpointId,
    app_id: ApplicationId,
    body: EndpointIn | EndpointUpsertIn,
    *,
    policy: EgressPolicy,
    now_ms: int,
    uid: str | None = None,
) -> Endpoint:
    """An endpoint as it is asked for, with a signing key; `uid` is for a body that has none. Raises Invalid."""
    fields = {"uid": checked_uid(uid, prefix=PREFIX)} | _fields(body, policy)
    key = body.secret if isinstance(body, EndpointIn) and body.secret else None
    headers = body.headers if isinstance(body, EndpointIn) and body.headers else {}
    return Endpoint(
        id=endpoint_id,
        app_id=app_id,
        keys=(SigningKey(key=_key(key, "secret")),),
        headers=checked_headers(headers),
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        **fields,
    )


def replaced(endpoint: Endpoint, body: EndpointUpsertIn, *, policy: EgressPolicy, now_ms: int) -> Endpoint:
    """An endpoint after a PUT. Raises Invalid."""
    return _with(endpoint, _DEFAULTS | _fields(body, policy), now_ms)


def patched(endpoint: Endpoint, body: EndpointPatch, *, policy: EgressPolicy, now_ms: int) -> Endpoint:
    """An endpoint after a PATCH. Raises Invalid."""
    return _with(endpoint, _fields(body, policy), now_ms)


def rotated(endpoint: Endpoint, body: SecretRotateIn, *, now_ms: int) -> Endpoint:
    """An endpoint with a new key, the old ones signing on until the grace is over. Raises Invalid or Conflict."""
    grace_s = GRACE_S if body.grace_period_seconds in (UNSET, None) else int(body.grace_period_seconds)
    key = _key(body.key or None, "key")
    if any(old.key == key for old in endpoint.keys):
        raise Invalid(Fault(("body", "key"), "is a key of this endpoint already: give another one"))
    until = now_ms + grace_s * 1000
    old = tuple(
        SigningKey(key=k.key, expires_at_ms=min(until, k.expires_at_ms or until))
        for k in endpoint.keys
        if now_ms < min(until, k.expires_at_ms or until)
    )
    if len(old) >= KEYS_AT_MOST:
        raise Conflict(f"{len(old)} keys sign for this endpoint already: wait until one expires, or give no grace")
    return structs.replace(endpoint, keys=(SigningKey(key=key), *old), updated_at_ms=now_ms)


def _with(endpoint: Endpoint, fields: dict[str, Any], now_ms: int) -> Endpoint:
    if fields.get("disabled") is False:
        fields["disabled_reason"] = None
    elif fields.get("disabled") and not endpoint.disabled:
        fields["disabled_reason"] = "disabled through the API"
    return structs.replace(endpoint, **fields, updated_at_ms=now_ms)


def _fields(body: EndpointIn | EndpointUpsertIn | EndpointPatch, policy: EgressPolicy) -> dict[str, Any]:
    fields = given(body, *_AS_THEY_COME)
    if types := either(body, "event_types", "filter_types"):
        fields["event_types"] = _event_types(types[1] or (), camel(types[0]))
    if rate := either(body, "throttle_rate", "rate_limit"):
        fields["rate_limit"] = rate[1]
    fields |= {name: _DEFAULTS[name] for name, value in fields.items() if value is None and name in _DEFAULTS}
    if "url" in fields:
        vet_url(fields["url"], policy)
    if "uid" in fields:
        checked_uid(fields["uid"], prefix=PREFIX)
    if "filter" in fields:
        fields["filter"] = checked_filter(fields["filter"])
    for name in ("channels", "retry_schedule"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    if body.auth is not UNSET:
        fields["auth"] = _auth(body.auth, policy)
    if body.client_certificate is not UNSET:
        fields["client_certificate"] = _certificate(body.client_certificate)
    return fields


def _event_types(names: Iterable[str], field: str) -> tuple[str, ...] | None:
    unknown = [(at, name) for at, name in enumerate(names) if name not in EVENT_TYPES]
    if unknown:
        raise Invalid(*(Fault(("body", field, at), f"{name} is no event type") for at, name in unknown))
    return tuple(dict.fromkeys(names)) or None


def _key(key: str | None, field: str) -> str:
    if key is None:
        return new_secret(secrets.token_bytes(32))
    if not key.startswith((SECRET_PREFIX, PRIVATE_PREFIX)):
        key = SECRET_PREFIX + key
    check_key(key, path=("body", field))
    return key


def _auth(auth: BasicAuthIn | BearerIn | OAuth2In | None, policy: EgressPolicy) -> EndpointAuth | None:
    match auth:
        case BasicAuthIn():
            return BasicAuth(auth.username, auth.password)
        case BearerIn():
            return Bearer(auth.token)
        case OAuth2In():
            vet_url(auth.token_url, policy, path=("body", "auth", "tokenUrl"))
            return OAuth2(
                token_url=auth.token_url,
                client_id=auth.client_id,
                client_secret=auth.client_secret,
                scope=auth.scope,
            )
    return None


def _certificate(pair: ClientCertificateIn | None) -> ClientCertificate | None:
    if pair is None:
        return None
    path = ("body", "clientCertificate")
    try:
        first = x509.load_pem_x509_certificates(pair.certificate.encode())[0]
    except ValueError:
        raise Invalid(Fault((*path, "certificate"), "must be one or more certificates in PEM")) from None
    try:
        private = load_pem_private_key(pair.private_key.encode(), password=None)
    except (ValueError, TypeError):
        raise Invalid(Fault((*path, "privateKey"), "must be a private key in PEM, not encrypted")) from None
    if private.public_key() != first.public_key():
        raise Invalid(Fault((*path, "privateKey"), "is not the key of the first certificate"))
    return ClientCertificate(certificate=pair.certificate, private_key=pair.private_key)
