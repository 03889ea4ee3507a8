"""The limits and patterns of an endpoint's fields, with the patterns in words."""

from typing import Annotated, Any

from msgspec import Meta

from relay.api.schemas.checks import check_headers, check_include, check_key, check_order_key
from relay.domain.headers import HEADER_NAME, HEADER_VALUE, MAX_HEADERS, MAX_VALUE_CHARS
from relay.domain.links import INCLUDED
from relay.domain.model import Included

TypeName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^[a-zA-Z0-9\-_.]+\Z",
        extra={"form": "must be 1 to 256 letters (a-z, A-Z), digits, dots, dashes or underscores"},
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
ALL_BY_NULL = "omit it or send null to select all"
EventTypes = Annotated[
    list[TypeName],
    Meta(min_length=1, max_length=100, extra={"hint": ALL_BY_NULL}),
]
Channel = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[a-zA-Z0-9\-_.]+\Z",
        extra={"form": "must be 1 to 128 letters (a-z, A-Z), digits, dots, dashes or underscores"},
    ),
]
Channels = Annotated[list[Channel], Meta(min_length=1, max_length=10, extra={"hint": ALL_BY_NULL})]
Schedule = Annotated[list[Annotated[float, Meta(ge=0.01, le=2_592_000)]], Meta(max_length=50)]
FieldPath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^[^$.][^.]*(\.[^.]+)*\Z",
        extra={"check": check_order_key, "form": "must be a field of the row, or a path of names joined by dots"},
    ),
]
Include = Annotated[list[Included], Meta(max_length=len(INCLUDED), extra={"check": check_include})]
Pem = Annotated[str, Meta(min_length=1, max_length=65_536)]
SigningKeyText = Annotated[str, Meta(max_length=256, extra={"check": check_key})]
HeaderName = Annotated[
    str,
    Meta(
        min_length=1, max_length=128, pattern=HEADER_NAME, extra={"form": "must be letters, digits and !#$%&'*+.^_`|~-"}
    ),
]
HeaderValue = Annotated[
    str,
    Meta(
        max_length=MAX_VALUE_CHARS,
        pattern=HEADER_VALUE,
        extra={"form": "must be printable ASCII without spaces at its ends"},
    ),
]
KEY_FORM: dict[str, Any] = {
    "pattern": r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z",
    "extra": {"form": "must be printable ASCII without spaces at its ends"},
}
"""What an API key must be to stand in a header."""
NO_CONTROLS: dict[str, Any] = {
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]*\Z",
    "extra": {"form": "must not contain control characters"},
}
"""What user names and passwords must be (RFC 7617 2)."""
MAX_ADDED = Meta(max_length=MAX_HEADERS, extra={"check": check_headers})
Headers = Annotated[dict[HeaderName, HeaderValue], MAX_ADDED]
