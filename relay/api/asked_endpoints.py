"""Faults of an endpoint's body that its type alone does not show: see relay.api.asked."""

from collections.abc import Iterator, Mapping

from relay.api.asked import MOVED, Asked, Path
from relay.api.certificates import client_certificate
from relay.api.schemas.checks import prefixed
from relay.api.secret_urls import url_faults
from relay.domain.credentials import (
    BasicAuth,
    Bearer,
    EndpointAuth,
    JwtBearer,
    KeyAuth,
    OAuth2,
    RefreshToken,
    ServiceAccount,
    Tokens,
)
from relay.domain.custom_types import Standing, subscription_fault
from relay.domain.headers import MAX_HEADERS, is_sensitive
from relay.domain.matching import inference_fault
from relay.domain.model import Application, ClientCertificate, Endpoint
from relay.domain.origins import origin_of
from relay.domain.privacy import hidden_by
from relay.domain.signing import version_of
from relay.errors import Fault, Invalid
from relay.outbound.base_urls import is_within

SECRETS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "basic": (BasicAuth, ("password",)),
    "bearer": (Bearer, ("token",)),
    "apiKey": (KeyAuth, ("value",)),
    "oauth2": (OAuth2, ("clientSecret",)),
    "oauth2RefreshToken": (RefreshToken, ("clientSecret", "refreshToken")),
    "oauth2JwtBearer": (JwtBearer, ("privateKey",)),
    "googleServiceAccount": (ServiceAccount, ("key",)),
}
"""The fields of an endpoint's credentials that no answer shows, by type."""


def endpoint_faults(asked: Asked, stored: Endpoint | None, standing: Standing, *, whole: bool) -> Iterator[Fault]:
    """Faults of an endpoint that is created (`stored` is None) or changed. `whole`: omitted fields do not stay.

    `standing` is that of the event types that it asks for.
    """
    yield from _target_faults(asked, stored, whole=whole)
    yield from url_faults(asked, stored)
    yield from _type_faults(asked, stored, standing)
    yield from _order_faults(asked, stored)
    if stored is None:
        yield from _secret_faults(asked)
    url = asked.get("url")
    moved = (
        stored is not None
        and bool(url and stored.url)
        and asked.sound("url")
        and origin_of(url) != origin_of(stored.url)
    )
    moved = moved or (stored is not None and _leads_elsewhere(asked, stored.auth))
    if moved and stored is not None:
        yield from _moved_faults(asked, stored)
    yield from _auth_faults(asked, None if stored is None else stored.auth, moved=moved)
    yield from _certificate_faults(asked, None if stored is None else stored.client_certificate, moved=moved)


def hidden_faults(asked: Asked, application: Application) -> Iterator[Fault]:
    """Faults of an endpoint whose filter or order asks for a column that a rule of its application hides."""
    fault = None
    if isinstance(source := asked.get("filter"), dict) and asked.sound("filter"):
        fault = inference_fault(application, source)
    if fault is not None:
        yield Fault(("body", "filter"), f"{fault}: filter by other columns, or ask the operator to filter for you")
    key = asked.get("orderKey")
    if isinstance(key, str) and asked.sound("orderKey") and hidden_by(application.privacy, [key]):
        yield Fault(("body", "orderKey"), f"names `{key}`, which a privacy rule of the application hides: use another")


def header_faults(asked: Asked, stored: Endpoint) -> Iterator[Fault]:
    """Faults of headers that replace those of an endpoint. Names in `sensitive` keep their stored values."""
    there = {name.lower() for name in stored.headers}
    kept = asked.get("sensitive") if asked.sound("sensitive") else None
    for at, name in enumerate(kept or ()):
        if name.lower() not in there:
            yield Fault(("body", "sensitive", at), f"the endpoint has no header `{name}`; send its value in `headers`")


def header_patch_faults(asked: Asked, stored: Endpoint) -> Iterator[Fault]:
    """Faults of headers that are set and deleted."""
    if not asked.sound("headers", "deleteHeaders"):
        return
    given = asked.get("headers") or {}
    values = {name.lower(): name for name, value in given.items() if value is not None}
    gone = {name.lower() for name, value in given.items() if value is None}
    for at, name in enumerate(asked.get("deleteHeaders") or ()):
        gone.add(name.lower())
        if name.lower() in values:
            yield Fault(("body", "deleteHeaders", at), f"`headers` sets `{values[name.lower()]}`: set it or delete it")
    total = len(({name.lower() for name in stored.headers} - gone) | values.keys())
    if total > MAX_HEADERS:
        yield Fault(("body", "headers"), f"an endpoint has at most {MAX_HEADERS} headers; with these it has {total}")


def asked_types(asked: Asked) -> Iterator[tuple[Path, str]]:
    """The event types that an endpoint asks for, with their places."""
    for name in ("eventTypes", "filterTypes"):
        types = asked.get(name)
        for at, each in enumerate(types if isinstance(types, list) else ()):
            place = ("body", name, at)
            if isinstance(each, str) and place not in asked.wrong:
                yield place, each


def _target_faults(asked: Asked, stored: Endpoint | None, *, whole: bool) -> Iterator[Fault]:
    """Faults of the type and the URL: a webhook has a URL, a poller has none, and neither becomes the other."""
    kind, url = asked.get("type", stored.type if stored else "webhook"), asked.get("url")
    if not asked.sound("type", "url"):
        return
    has_secret = stored is not None and stored.secret_url is not None
    if stored is not None and kind != stored.type:
        yield Fault(("body", "type"), f"is `{stored.type}` and cannot change: create another endpoint")
    elif kind == "poller" and url:
        yield Fault(("body", "url"), "must be omitted: the relay does not call a poller")
    elif kind == "poller" and asked.get("include"):
        yield Fault(("body", "include"), "must be omitted: the messages of a poller carry no links")
    elif kind == "webhook" and not url and ("url" in asked.fields or (whole and not has_secret)):
        yield Fault(("body", "url"), "is required, unless `type` is `poller`")


def _type_faults(asked: Asked, stored: Endpoint | None, standing: Standing) -> Iterator[Fault]:
    kept = (stored.event_types or ()) if stored else ()
    for place, name in asked_types(asked):
        if name not in kept and (why := subscription_fault(name, standing)) is not None:
            yield Fault(place, why)


def _order_faults(asked: Asked, stored: Endpoint | None) -> Iterator[Fault]:
    if not asked.sound("order", "orderKey"):
        return
    order = asked.get("order", stored.order if stored else "unordered")
    key = asked.get("orderKey", stored.order_key if stored else None)
    if order == "keyed" and key is None:
        why = "is required when `order` is `keyed`: name a field of the row, such as `vid`"
        yield Fault(("body", "orderKey"), why)


def _secret_faults(asked: Asked) -> Iterator[Fault]:
    secret, versions = asked.get("secret"), asked.get("signatures")
    if secret and versions and asked.sound("secret", "signatures"):
        made = version_of(prefixed(secret))
        if made not in versions:
            listed = ", ".join(f"`{version}`" for version in versions)
            yield Fault(("body", "secret"), f"is a key for `{made}` signatures, and `signatures` is {listed}")


def _moved_faults(asked: Asked, stored: Endpoint) -> Iterator[Fault]:
    """Faults of a request that would send hidden values to another server without saying so."""
    names = sorted(name for name in stored.headers if is_sensitive(name))
    hidden = {
        "headers": (names, f"send all headers again ({', '.join(names)})"),
        "auth": (stored.auth, "send it again, or send null to remove it"),
        "clientCertificate": (stored.client_certificate, "send it again, or send null to remove it"),
    }
    for name, (value, advice) in hidden.items():
        if value and name not in asked.fields:
            yield Fault(("body", name), f"{MOVED}: {advice}")


def _auth_faults(asked: Asked, kept: EndpointAuth | None, *, moved: bool) -> Iterator[Fault]:
    auth = asked.get("auth")
    kind = auth.get("type") if isinstance(auth, dict) else None
    if not isinstance(kind, str) or kind not in SECRETS:
        return
    struct, names = SECRETS[kind]
    url = auth.get("tokenUrl")
    if isinstance(kept, Tokens) and isinstance(url, str) and ("body", "auth", "tokenUrl") not in asked.wrong:
        # Of a service account, the URL is part of the key.
        moved = moved or (kind != "googleServiceAccount" and origin_of(url) != origin_of(kept.token_url))
    for name in names:
        if name not in auth and (moved or not isinstance(kept, struct)):
            why = (
                f"{MOVED}: send it again" if moved else "is required, because the endpoint has no such credentials yet"
            )
            yield Fault(("body", "auth", name), why)
        elif name not in auth and isinstance(kept, JwtBearer) and auth.get("algorithm", "RS256") != kept.algorithm:
            yield Fault(("body", "auth", name), "is required, because `algorithm` changes: send another key")


def _leads_elsewhere(asked: Asked, kept: EndpointAuth | None) -> bool:
    """Whether tokens may lead requests to servers to which they could not lead before."""
    auth = asked.get("auth")
    suffix = auth.get("baseUrlSuffix") if isinstance(auth, dict) else None
    if not isinstance(suffix, str):
        return False
    known = kept.base_url_suffix if isinstance(kept, Tokens) else None
    return not is_within(suffix.lower(), known or "")


def _certificate_faults(asked: Asked, kept: ClientCertificate | None, *, moved: bool) -> Iterator[Fault]:
    pair, place = asked.get("clientCertificate"), ("body", "clientCertificate", "privateKey")
    if not isinstance(pair, dict) or "privateKey" in pair:
        return
    if moved or kept is None:
        why = f"{MOVED}: send it again" if moved else "is required, because the endpoint has no private key yet"
        yield Fault(place, why)
    elif asked.sound("clientCertificate") and pair.get("certificate") != kept.certificate:
        try:
            client_certificate(pair["certificate"], kept.private_key, path=("body", "clientCertificate"))
        except Invalid as error:
            yield from error.faults
