"""From the body of a request to what the requests of an endpoint look like, and the faults of its fields together."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, structs

from relay.api.asked import Asked
from relay.api.schemas.common import given
from relay.api.schemas.endpoints import EndpointIn, EndpointPatch, EndpointUpsertIn
from relay.api.schemas.requests import read_batch, read_capture, read_lookup, read_verdicts
from relay.api.secret_urls import whole_url
from relay.domain.model import Endpoint
from relay.domain.origins import origin_of
from relay.domain.requests.model import PLAIN, RequestShape
from relay.domain.requests.templates import OWN, faults_in, names_in
from relay.errors import Fault

FIELDS = ("method", "urlParameters", "transformation", "transformationEnabled", "variables", "lookup", "capture",
          "verdicts", "batch")  # fmt: skip
"""The fields of a body that say what requests look like."""
DEFAULTS: Mapping[str, Any] = {"method": "POST", "transformationEnabled": True}
"""What a poller may say, because answers say it too."""
_PLAINLY = ("method", "transformation", "transformation_enabled")


def shape_of(body: EndpointIn | EndpointUpsertIn | EndpointPatch, stored: RequestShape | None) -> RequestShape:
    """What the requests of an endpoint look like after a request. Fields that the body omits stay."""
    fields = given(body, *_PLAINLY)
    for name in ("url_parameters", "variables"):
        if (value := getattr(body, name)) is not UNSET:
            fields[name] = value or {}
    if body.lookup is not UNSET:
        fields["lookup"] = read_lookup(body.lookup)
    if body.capture is not UNSET:
        fields["capture"] = read_capture(body.capture)
    if body.verdicts is not UNSET:
        fields["verdicts"] = read_verdicts(body.verdicts)
    if body.batch is not UNSET:
        fields["batch"] = read_batch(body.batch)
    shape = structs.replace(stored or PLAIN, **fields)
    return PLAIN if shape == PLAIN else shape


def shape_faults(asked: Asked, stored: Endpoint | None) -> Iterator[Fault]:
    """Faults of fields that depend on each other: placeholders, the server of a lookup, and the order of a capture."""
    if not any(name in asked.fields for name in (*FIELDS, "url", "order", "orderKey", "type")):
        return
    if asked.get("type", stored.type if stored else "webhook") == "poller":
        for name in FIELDS:
            if asked.get(name, DEFAULTS.get(name)) not in (DEFAULTS.get(name), None, {}, []):
                yield Fault(("body", name), "must be omitted: the relay sends no requests to a poller")
        return
    if not asked.sound("url", "order", "orderKey", *FIELDS):
        return
    shape = stored.request if stored else PLAIN
    url = whole_url(asked.get("url"), stored)
    parameters = _of(asked, "urlParameters", shape.url_parameters)
    yield from _template_faults(url, parameters, ("body", "url"), own=OWN)
    yield from _lookup_faults(asked, shape, url)
    yield from _capture_faults(asked, stored, url, parameters)
    yield from _batch_faults(asked, stored, url, parameters)


def _lookup_faults(asked: Asked, shape: RequestShape, url: str) -> Iterator[Fault]:
    if "lookup" in asked.fields:
        lookup = asked.get("lookup")
        if lookup is None:
            return
        where, parameters = lookup["url"], lookup.get("urlParameters") or {}
    elif shape.lookup is not None:
        where, parameters = shape.lookup.url, shape.lookup.url_parameters
    else:
        return
    path = ("body", "lookup", "url")
    yield from _origin_faults(where, url, path)
    yield from _template_faults(where, parameters, path, own=("key",))


def _capture_faults(asked: Asked, stored: Endpoint | None, url: str, parameters: Mapping[str, Any]) -> Iterator[Fault]:
    kept = stored.request.capture if stored else None
    if "capture" in asked.fields:
        capture = asked.get("capture")
        if capture is None:
            return
        where = capture.get("url")
    elif kept is not None:
        where = kept.url
    else:
        return
    if where is not None:
        path = ("body", "capture", "url")
        yield from _origin_faults(where, url, path)
        yield from _template_faults(where, parameters, path, own=OWN)
    order = asked.get("order", stored.order if stored else "unordered")
    key = asked.get("orderKey", stored.order_key if stored else None)
    if order != "fifo" and (order != "keyed" or key != "rowId"):
        why = "requires `order` to be `fifo`, or `keyed` with `orderKey` `rowId`: a later event must not be sent first"
        yield Fault(("body", "capture"), why)


def _batch_faults(asked: Asked, stored: Endpoint | None, url: str, parameters: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of batches: events of one request have no order among them, one URL, and one answer."""
    shape = stored.request if stored else PLAIN
    if asked.get("batch", shape.batch) is None:
        return
    path = ("body", "batch")
    if (order := asked.get("order", stored.order if stored else "unordered")) != "unordered":
        yield Fault(
            path, f"requires `order` to be `unordered`, and it is `{order}`: events of one request have no order"
        )
    if asked.get("capture", shape.capture) is not None:
        yield Fault(path, "must be null if the endpoint has a `capture`: a request of several events has one answer")
    if any(name in parameters or name in OWN for name in names_in(url)):
        yield Fault(path, "requires a `url` without placeholders: a request of several events has one URL")


def _origin_faults(where: str, url: str, path: tuple[str, ...]) -> Iterator[Fault]:
    if url and origin_of(where) != origin_of(url):
        yield Fault(path, "must have the scheme, host and port of the endpoint's `url`")


def _template_faults(
    url: str, parameters: Mapping[str, Any], path: tuple[str, ...], *, own: tuple[str, ...]
) -> Iterator[Fault]:
    yield from (Fault(path, message) for message in faults_in(url, parameters, own=own))


def _of(asked: Asked, name: str, kept: Mapping[str, Any]) -> Mapping[str, Any]:
    return (asked.get(name) or {}) if name in asked.fields else kept
