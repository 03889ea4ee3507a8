"""The headers that a subscriber adds to callbacks: changes, and hidden values."""

from collections.abc import Mapping

from msgspec import structs

from relay.api.asked import Asked, raise_for
from relay.api.asked_endpoints import header_faults, header_patch_faults
from relay.api.schemas.endpoint_parts import HeadersIn, HeadersOut, HeadersPatchIn
from relay.domain.headers import check_new_headers, is_sensitive
from relay.domain.model import Endpoint


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that callbacks can carry, with their names as given. Raises Invalid."""
    check_new_headers(headers)
    return dict(headers)


def replaced_headers(endpoint: Endpoint, body: HeadersIn, *, now_ms: int) -> Endpoint:
    """An endpoint with these headers, and with the stored values of those in `sensitive`. Raises Invalid."""
    raise_for(header_faults(Asked.of(body), endpoint))
    given, names = checked_headers(body.headers), {name.lower() for name in body.headers}
    hidden = {name.lower() for name in body.sensitive or ()} - names
    kept = {name: value for name, value in endpoint.headers.items() if name.lower() in hidden}
    return structs.replace(endpoint, headers=kept | given, updated_at_ms=now_ms)


def patched_headers(endpoint: Endpoint, body: HeadersPatchIn, *, now_ms: int) -> Endpoint:
    """An endpoint with some headers set and some removed. Raises Invalid."""
    raise_for(header_patch_faults(Asked.of(body), endpoint))
    asked = body.headers or {}
    changed = {name.lower() for name in (*asked, *(body.delete_headers or ()))}
    kept = {name: value for name, value in endpoint.headers.items() if name.lower() not in changed}
    added = checked_headers({name: value for name, value in asked.items() if value is not None})
    return structs.replace(endpoint, headers=kept | added, updated_at_ms=now_ms)


def show_headers(endpoint: Endpoint) -> HeadersOut:
    """An endpoint's headers as responses show them."""
    shown = {name: value for name, value in endpoint.headers.items() if not is_sensitive(name)}
    return HeadersOut(headers=shown, sensitive=sorted(endpoint.headers.keys() - shown.keys()))
