"""Which row a row is, whether it changed, and what id its event has.

A row belongs to the route that showed it first: routes show different columns, so only that route's digests say that
it changed. docs/adr/0005-rows-belong-to-a-route.md has the reasons.

Digests distinguish the states of one row. They need not resist attacks: somebody who can write into a row gains nothing
by making two states of that row look the same. An event id also covers the source and the rowId, with BLAKE2b.
"""

from binascii import b2a_base64
from collections.abc import Collection
from hashlib import blake2b, sha256
from struct import Struct as Layout
from typing import Any

import msgspec
from xxhash import xxh3_64_digest, xxh3_64_intdigest, xxh3_128_digest

from relay.domain.base62 import base62
from relay.domain.json_text import encode, encode_sorted
from relay.domain.model import ApplicationId, Attempt, EndpointId, MessageId, SourceUid
from relay.domain.shapes import Shape, Values, shape_of, values_of

VOLATILE = frozenset(
    {
        # Counted over the visitor or its attributions at the moment of asking (infinity-api.md 9).
        "visitorPageCount",
        "visitorGoalCount",
        "visitorCallCount",
        "lands",
        # Labels of configured things, joined in: a renamed channel is no news of a thousand calls (H14).
        "chName",
        "dgrpName",
        "dgrpRef",
        "segmentName",
        "segmentRef",
        "segmentGroupName",
        "goalTitle",
    }
)
"""Columns that can change although the row did not. A longer list changes the ids of events in a rebuilt store."""

_VERSION = 2
_HEAD = Layout("<BBHQ8s")
_DIGEST_BYTES = 8


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a row that was seen: 28 bytes, and 8 more for each time that it changed."""

    owner: int
    """The index in model.ROUTES of the route that showed it first."""
    number: int
    """The number of its newest event."""
    classes: int
    """The mask of every class that it ever had."""
    raw: bytes
    """The digest of its line as it came last."""
    digests: tuple[bytes, ...]
    """The beginnings of its stable digests, oldest first, as often as it changed."""

    def pack(self, number: int | None = None) -> bytes:
        """As bytes, for the store; `number` replaces that of its newest event."""
        newest = self.number if number is None else number
        return _HEAD.pack(_VERSION, self.owner, self.classes, newest, self.raw) + b"".join(self.digests)

    @classmethod
    def unpack(cls, packed: bytes) -> "Seen":
        """From bytes of `pack`. Raises ValueError on anything else."""
        if len(packed) <= _HEAD.size or (len(packed) - _HEAD.size) % _DIGEST_BYTES or packed[0] != _VERSION:
            raise ValueError("what is known of the row has a form that this release does not know")
        _, owner, classes, number, raw = _HEAD.unpack_from(packed)
        starts = range(_HEAD.size, len(packed), _DIGEST_BYTES)
        digests = tuple(packed[start : start + _DIGEST_BYTES] for start in starts)
        return cls(owner=owner, number=number, classes=classes, raw=raw, digests=digests)


class New(msgspec.Struct, frozen=True):
    """The first sight of a row: an event. `seen.number` is for the store to fill in."""

    seen: Seen
    revision: int = 1
    recurrence: int = 0


class Changed(msgspec.Struct, frozen=True):
    """A row that is not what it was: an event. `seen` is what to keep, with the number of the event before."""

    seen: Seen
    had: int
    """The mask of the classes that it had until now."""
    revision: int
    recurrence: int
    """How often the row had been exactly this before."""


class Again(msgspec.Struct, frozen=True):
    """A row that is what it was, and is told again under the id that it had: an event. `seen` is what to keep."""

    seen: Seen
    revision: int
    recurrence: int


class Known(msgspec.Struct, frozen=True):
    """No event. `seen` is what to keep instead, if that changed."""

    seen: Seen | None = None


def raw_digest(line: bytes) -> bytes:
    """8 bytes that distinguish one line from another, as it came."""
    return xxh3_64_digest(line)


def stable_digest(row: dict[str, Any], shape: Shape | None = None) -> bytes:
    """16 bytes that distinguish one state of a row from another: of all columns that are not VOLATILE, in any order.

    The digest covers the row as it came, so a release that reads one more column as a number changes no digest. `shape`
    is the row's.
    """
    values, seed = (shape or shape_of(row)).made(_stable)
    return xxh3_128_digest(encode_sorted(values(row)), seed)


def _stable(names: tuple[str, ...]) -> tuple[Values, int]:
    """How to get the values that count, sorted by their names; and a number that stands for these names."""
    stable = tuple(sorted(name for name in names if name not in VOLATILE))
    return values_of(stable), xxh3_64_intdigest(encode(stable))


_LETTERS = bytes.maketrans(b"+/", b"pS")
"""An id is a word of letters and digits, so two of the 64 characters of base64 stand for two values each."""
_ID_BYTES = 18
"""24 characters, without padding: 142 bits."""


def message_id(source_uid: SourceUid, *, space: str, row_id: int, digest: bytes, recurrence: int) -> MessageId:
    """An event's id: a function of the source, the row and its content, so the same after any crash or rebuild.

    `space` is `t` for triggers and `i` for itemised calls, whose rowIds are their own.

    >>> message_id(SourceUid("uk"), space="t", row_id=7, digest=bytes(16), recurrence=0)[:12]
    'msg_g7BVSQrR'
    """
    what = b"%s\0%s\0%d\0%d\0%s" % (source_uid.encode(), space.encode(), row_id, recurrence, digest)
    text = b2a_base64(blake2b(what, digest_size=_ID_BYTES).digest(), newline=False)
    return MessageId("msg_" + text.translate(_LETTERS).decode())


def posted_id(application: ApplicationId, name: str) -> MessageId:
    """The id of a posted event: a function of its application and of the name that the poster gave it.

    >>> posted_id(ApplicationId("app_1"), "order-7")[:12]
    'msg_zQ66jopw'
    """
    text = b2a_base64(blake2b(f"posts\0{application}\0{name}".encode(), digest_size=_ID_BYTES).digest(), newline=False)
    return MessageId("msg_" + text.translate(_LETTERS).decode())


def id_of_attempt(attempt: Attempt, message: MessageId) -> str:
    """The id of an attempt, unique in all sources. It is derived from the attempt each time, and not stored."""
    return attempt_id(message, attempt.endpoint_id, attempt.started_at_ms, attempt.number)


def attempt_id(message: MessageId, endpoint: EndpointId, started_at_ms: int, number: int) -> str:
    """The same, from what it is derived from."""
    named = f"{message} {endpoint} {started_at_ms} {number}".encode()
    return "atmpt_" + base62(int.from_bytes(sha256(named).digest()[:20], "big"))


def is_known(seen: Seen | None, *, route: int, routes: Collection[int], raw: bytes, tell_again: bool = False) -> bool:
    """Whether a line needs no reading: it came just so before, or another polled route owns its row.

    `route` and `routes` are indexes in model.ROUTES: of the route that shows the line, and of all that are polled. With
    `tell_again`, a line that came just so before is read as well.
    """
    if seen is None:
        return False
    return seen.raw == raw and not tell_again if seen.owner == route else seen.owner in routes


def judge_row(
    seen: Seen | None,
    *,
    route: int,
    routes: Collection[int],
    raw: bytes,
    digest: bytes,
    classes: int,
    tell_again: bool = False,
) -> New | Changed | Again | Known:
    """Decide what the sight of a row on a route is, after its line was read.

    `digest` is the row's stable digest, `classes` its mask now. A row whose owner is polled no more goes to the route
    that shows it: its columns may differ for that reason alone, so this makes no event. With `tell_again`, a row that
    is as it was makes an event as well: the one that it made when it became so. So does a row that changed its owner.
    """
    short = digest[:_DIGEST_BYTES]
    if seen is None:
        return New(Seen(owner=route, number=0, classes=classes, raw=raw, digests=(short,)))
    if seen.owner != route and seen.owner in routes:
        return Known()
    same = seen.digests[-1] == short
    kept = Seen(
        owner=route,
        number=seen.number,
        classes=seen.classes | classes,
        raw=raw,
        digests=seen.digests if same else (*seen.digests, short),
    )
    if tell_again and (same or seen.owner != route):
        return Again(kept, len(kept.digests), kept.digests[:-1].count(short))
    if same or seen.owner != route:
        return Known(kept if kept != seen else None)
    return Changed(kept, seen.classes, len(kept.digests), seen.digests.count(short))
