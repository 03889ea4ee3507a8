"""What requests and responses have in common: limits of values, times, and pages of lists."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.checks import check_filter, check_time, check_url
from relay.domain.envelope import rfc3339
from relay.domain.names import NAME, OWN_UID, SOURCE_UID_MOST, UID_MOST, name_in_words, own_uid_in_words

T = TypeVar("T")

Uid = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=UID_MOST,
        pattern=OWN_UID,
        description="Your own name for the object",
        extra={"form": own_uid_in_words()},
    ),
]
SourceUidText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=SOURCE_UID_MOST,
        pattern=NAME,
        extra={"form": name_in_words(SOURCE_UID_MOST)},
    ),
]
IdOrUid = Annotated[
    str,
    Meta(min_length=1, max_length=UID_MOST, pattern=NAME, extra={"form": name_in_words(UID_MOST)}),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z",
        extra={"form": "must not contain control characters, such as line feeds or tabs"},
    ),
]
Url = Annotated[str, Meta(max_length=2048, extra={"check": check_url})]
FilterIn = Annotated[dict[str, Any], Meta(extra={"check": check_filter})]
Rate = Annotated[int, Meta(ge=1, le=65535, description="The maximum number of callbacks per second")]
Time = Annotated[
    str,
    Meta(
        max_length=40,
        extra={"check": check_time},
        extra_json_schema={"format": "date-time", "example": "2027-01-31T12:00:00Z"},
    ),
]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=256)], Annotated[str, Meta(max_length=4096)]], Meta(max_length=50)
]


class In(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request. A field that is omitted is UNSET, which is not null."""

    old_names: ClassVar[Mapping[str, str]] = {}
    """Fields that older clients call by another name: the old name → the new name."""


READ_ONLY = "Read-only: a request can send it back as it was, and the relay ignores it"
ReadOnly = Annotated[str, Meta(description=READ_ONLY)]
Own = Annotated[str, Meta(description="Read-only: a request can send it back, if it is the object that the path names")]


class Out(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a response."""


class UnreadableOut(Out, frozen=True, kw_only=True):
    """An object whose stored record cannot be read. Another release or encryption key may be able to read it."""

    id: str
    """The id of the object, or the uid of a source."""
    reason: str
    """Why the record cannot be read."""


class ListOut(Out, Generic[T], frozen=True, kw_only=True):
    """One page of a list, in Svix's shape."""

    data: list[T]
    """The objects of this page."""
    iterator: str | None
    """Send it as `iterator` to get the next page."""
    prev_iterator: str | None = None
    """Send it as `iterator` to get the previous page."""
    done: bool
    """Whether this is the last page."""
    unreadable: list[UnreadableOut] | UnsetType = UNSET
    """Objects of this page whose records cannot be read. `PUT` them again or `DELETE` them. Absent if empty."""


class Moment(datetime):
    """A time in a response. `TYPE_ENCODERS` encodes it, so that all times of the API have one form."""


TYPE_ENCODERS: dict[Any, Any] = {Moment: lambda moment: rfc3339(ms(moment))}
"""How Litestar encodes times: with milliseconds, also for a whole second, as in events."""


SHOWN_MS = range(-62_135_596_800_000, 253_402_300_800_000)
"""The years 1 to 9999, in ms since 1970."""


def moment(at_ms: int) -> Moment:
    """A time for a response. What a response cannot show becomes the nearest time that it can."""
    shown_ms = min(max(at_ms, SHOWN_MS.start), SHOWN_MS.stop - 1)
    return Moment(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=shown_ms)


def moment_or_none(at_ms: int | None) -> Moment | None:
    """A time for a response, if there is one."""
    return None if at_ms is None else moment(at_ms)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms(when: datetime) -> int:
    """A time of a request in ms. Without an offset it is UTC."""
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)


def given(body: msgspec.Struct, *names: str) -> dict[str, Any]:
    """Those of the named fields that a body has."""
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


def either(body: msgspec.Struct, new: str, old: str) -> tuple[Any] | None:
    """The value of a field that also has an old name, or None if the body omits both. The two never differ."""
    values = [value for name in (new, old) if (value := getattr(body, name)) is not UNSET]
    return (values[0],) if values else None
