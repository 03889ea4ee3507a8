"""The headers that a subscriber may add to its callbacks."""

import re
from collections.abc import Mapping

from relay.errors import Fault, Invalid

RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""What the relay sets itself, or what would change how the request is framed."""

MAX_HEADERS = 32
MAX_VALUE_CHARS = 4096

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")


def check_headers(headers: Mapping[str, str], *, path: tuple[str | int, ...] = ("body", "headers")) -> None:
    """Raise Invalid with a fault for each header that cannot be sent (RFC 9110 5), or that is the relay's own."""
    faults = []
    if len(headers) > MAX_HEADERS:
        faults.append(Fault(path, f"must have at most {MAX_HEADERS} headers"))
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            faults.append(Fault((*path, name), "is not a name that a header can have"))
        elif name.lower() in RESERVED:
            faults.append(Fault((*path, name), "is set by the relay itself"))
        elif len(value) > MAX_VALUE_CHARS or (value and not _VALUE.fullmatch(value)):
            problem = f"must be printable ASCII without spaces around it, at most {MAX_VALUE_CHARS} characters"
            faults.append(Fault((*path, name), problem))
    if faults:
        raise Invalid(*faults)
