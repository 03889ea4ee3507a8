"""Headers that an endpoint's owner adds to callbacks: how they change, and which values are never shown again."""

from collections.abc import Mapping

from msgspec import structs

from relay.api.schemas.endpoints import HeadersOut, HeadersPatchIn
from relay.domain.headers import check_headers, check_new_headers, is_sensitive
from relay.domain.model import Endpoint


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that callbacks may carry, names in lower case. Raises Invalid for each that they may not."""
    check_new_headers(headers)
    return {name.lower(): value for name, value in headers.items()}


def patched_headers(endpoint: Endpoint, body: HeadersPatchIn, *, now_ms: int) -> Endpoint:
    """An endpoint with some headers set, and some taken away. Raises Invalid."""
    asked = body.headers or {}
    gone = {
        name.lower() for name in (*(body.delete_headers or ()), *(n for n, value in asked.items() if value is None))
    }
    kept = {name: value for name, value in endpoint.headers.items() if name not in gone}
    added = checked_headers({name: value for name, value in asked.items() if value is not None})
    check_headers(kept | added)
    return structs.replace(endpoint, headers=kept | added, updated_at_ms=now_ms)


def show_headers(endpoint: Endpoint) -> HeadersOut:
    """An endpoint's headers as they are answered."""
    shown = {name: value for name, value in endpoint.headers.items() if not is_sensitive(name)}
    return HeadersOut(headers=shown, sensitive=sorted(endpoint.headers.keys() - shown.keys()))
