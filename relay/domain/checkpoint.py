"""A checkpoint: what a new store needs to continue where the lost one was.

It has two parts. The *head* is small and written every few seconds: the epoch, and where each route continues. The
*configuration* is written when it changed, and never changed afterwards; the head names it.
"""

import zlib
from typing import Literal, TypeVar

import msgspec

from relay.domain.epoch import Epoch
from relay.domain.model import SourceUid
from relay.errors import Unreadable

T = TypeVar("T")

FORM = 3
"""The version of the configuration. Version 1 has no event types, version 2 no erasures. Both are read, too."""
MOST_BYTES = 2**29
"""Of a part when it is unpacked: 512 MiB. A hundred thousand endpoints take half of it."""
Kind = Literal["source", "application", "endpoint", "key", "event_type", "erasure"]
KINDS: tuple[Kind, ...] = ("erasure", "application", "event_type", "endpoint", "key", "source")
"""In the order in which they are restored: a source is polled as soon as it is there, and then for all endpoints, and
without those who were erased."""


class RouteMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a route continues."""

    cursor: int | None
    """The rows behind this rowId are polled again; None: the route has not begun."""
    joined: str | None = None
    start: str | None = None
    """As in RouteState, so that a route that has not begun still begins where it would have."""


class Life(msgspec.Struct, frozen=True, array_like=True):
    """One life of what the store has of a source. It ends when that is lost, which can happen to a source alone."""

    id: str
    """`{created_at_ms of the source}-{random}`."""
    sequence: int
    """The source's sequence, which only grows as long as nothing is lost."""
    before: str = ""
    """The life whose loss was restored when this one began."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The small part of a checkpoint."""

    v: int = 1
    epoch: Epoch
    at_ms: int
    """When it was taken, by the clock of the Redis server."""
    version: int
    """Of the configuration."""
    configuration: str
    """The name of the object that holds it."""
    form: int = 1
    """The version of that object. One of another release does not hold everything that this one knows of."""
    sealed_by: str = ""
    """The id of the key that sealed that object; empty: an older release wrote the head."""
    routes: dict[SourceUid, dict[str, RouteMark]]
    lives: dict[SourceUid, Life] = {}
    """Of the sources that have one in the store."""


class SavedConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The large part: the records as they are stored, with their secrets sealed."""

    v: int = FORM
    version: int
    index: tuple[str, ...]
    """`source/{uid}`, `application/{id}`, `endpoint/{app id}/{id}`, `key/{app id or -}/{id}`, `event_type/{name}`,
    `erasure/{id}`, as in the store."""
    records: dict[Kind, dict[str, bytes]]
    uids: dict[Kind, dict[str, str]]
    """The uid's entry of each object that has one, by the object's id."""
    history: tuple[str, ...]
    """`{version} {member of the index}` of the newest changes, oldest first."""


def pack(part: Head | SavedConfiguration) -> bytes:
    """A part as bytes."""
    return zlib.compress(msgspec.msgpack.encode(part), 1)


def unpack(packed: bytes, kind: type[T]) -> T:
    """Read what `pack` wrote. Raises Unreadable on anything else, also on the form of another release."""
    try:
        inflating = zlib.decompressobj()
        content = inflating.decompress(packed, MOST_BYTES)
        if not inflating.eof:
            raise Unreadable("the checkpoint is larger than this release reads, or cut off")
        version = msgspec.msgpack.decode(content, type=_Versioned).v
        if version not in _READ[kind]:
            raise Unreadable(f"the checkpoint has version {version}, which this release does not know: use a newer one")
        return msgspec.msgpack.decode(content, type=kind)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise Unreadable(f"the checkpoint is damaged: {error}") from None


class _Versioned(msgspec.Struct):
    v: int


_READ: dict[type, tuple[int, ...]] = {Head: (1,), SavedConfiguration: (1, 2, FORM)}
"""The versions that are read."""
