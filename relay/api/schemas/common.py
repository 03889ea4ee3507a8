"""What the shapes have in common: limits of values, moments, and pages of lists."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.errors import Fault, Invalid

T = TypeVar("T")

Uid = Annotated[
    str, Meta(min_length=1, max_length=256, pattern=r"^[a-zA-Z0-9\-_.]+$", description="A name of your own")
]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Rate = Annotated[int, Meta(ge=1, le=65535, description="Callbacks a second")]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=256)], Annotated[str, Meta(max_length=4096)]], Meta(max_length=50)
]


class In(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's body. A field that is left out is UNSET: that is not null."""


class Out(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer's body."""


class UnreadableOut(Out, frozen=True, kw_only=True):
    """Something that is there, and can't be read: by another release, or with another encryption key, it may be."""

    id: str
    """Its id; a source's uid."""
    reason: str


class ListOut(Out, Generic[T], frozen=True, kw_only=True):
    """One page of a list, as Svix has it."""

    data: list[T]
    iterator: str | None
    """Give it back to get the next page."""
    prev_iterator: str | None = None
    done: bool
    """There is nothing behind this page."""
    unreadable: list[UnreadableOut] | UnsetType = UNSET
    """What would stand in `data` and can't be read: PUT it again, or DELETE it. Left out when there is none."""


def moment(at_ms: int) -> datetime:
    """A time as answers show it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def moment_or_none(at_ms: int | None) -> datetime | None:
    """The same for a time that may be missing."""
    return None if at_ms is None else moment(at_ms)


def ms(when: datetime) -> int:
    """A time of a request in ms; one without an offset is UTC."""
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def given(body: msgspec.Struct, *names: str) -> dict[str, Any]:
    """The named fields that a body holds."""
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


def either(body: msgspec.Struct, new: str, old: str) -> tuple[str, Any] | None:
    """A field that has an old name too: the name that was used and its value, or None if it was left out.

    Raises Invalid when both names are used and differ.
    """
    values = {name: value for name in (new, old) if (value := getattr(body, name)) is not UNSET}
    if len(values) == 2 and values[new] != values[old]:
        raise Invalid(Fault(("body", camel(old)), f"is the old name of {camel(new)}: give one of them"))
    return next(iter(values.items()), None)


def camel(name: str) -> str:
    """A field's name on the wire.

    >>> camel("throttle_rate")
    'throttleRate'
    """
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def under(path: tuple[str | int, ...], error: Invalid) -> Invalid:
    """The same faults, seen from further outside."""
    return Invalid(*(Fault((*path, *fault.path), fault.message, fault.kind) for fault in error.faults))
