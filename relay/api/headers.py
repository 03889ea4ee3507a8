"""Headers that an endpoint's owner adds to callbacks: which are allowed, and which values are never shown again."""

import re
from collections.abc import Mapping

from msgspec import structs

from relay.api.schemas.endpoints import HeadersOut, HeadersPatchIn
from relay.domain.model import Endpoint
from relay.errors import Fault, Invalid

AT_MOST = 50
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
"""A token of RFC 9110 5.6.2."""
VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]{0,4094}[\x21-\x7e])?|")
"""Printable ASCII: a line break would begin another header."""
OURS = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "date",
        "expect", "host", "idempotency-key", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
"""What the relay sets itself, or what would change how the request is read."""
OUR_PREFIXES = ("webhook-", "svix-")
SENSITIVE = re.compile(r"auth|token|secret|key|passw|cookie|credential|signature|session", re.I)


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that callbacks may carry, names in lower case. Raises Invalid for each that they may not."""
    if len(headers) > AT_MOST:
        raise Invalid(Fault(("body", "headers"), f"has {len(headers)} entries, {AT_MOST} are the most"))
    faults = [
        Fault(("body", "headers", name), fault) for name, value in headers.items() if (fault := _fault(name, value))
    ]
    if faults:
        raise Invalid(*faults)
    return {name.lower(): value for name, value in headers.items()}


def patched_headers(endpoint: Endpoint, body: HeadersPatchIn, *, now_ms: int) -> Endpoint:
    """An endpoint with some headers set, and some taken away. Raises Invalid."""
    asked = body.headers or {}
    gone = {
        name.lower() for name in (*(body.delete_headers or ()), *(n for n, value in asked.items() if value is None))
    }
    kept = {name: value for name, value in endpoint.headers.items() if name not in gone}
    added = checked_headers({name: value for name, value in asked.items() if value is not None})
    return structs.replace(endpoint, headers=checked_headers(kept | added), updated_at_ms=now_ms)


def show_headers(endpoint: Endpoint) -> HeadersOut:
    """An endpoint's headers as they are answered."""
    shown = {name: value for name, value in endpoint.headers.items() if not SENSITIVE.search(name)}
    return HeadersOut(headers=shown, sensitive=sorted(endpoint.headers.keys() - shown.keys()))


def _fault(name: str, value: str) -> str | None:
    if not NAME.fullmatch(name):
        return "is no name of a header"
    if name.lower() in OURS or name.lower().startswith(OUR_PREFIXES):
        return "is set by the relay itself"
    if not VALUE.fullmatch(value):
        return "must have a value of at most 4096 printable ASCII characters"
    return None
