"""Lists over several sources in the order of time: each source's own list is read by pages, and merged.

A place of such a list is an edge in each source: what lies at or above it is newer. So a page is exact, in both
directions, whatever is added or shed in the meantime.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from relay.api.iterators import read_iterator, write_iterator
from relay.api.paging import BACK, Paging
from relay.api.schemas.common import ListOut
from relay.domain.model import SourceUid

P = TypeVar("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

READ_AT_MOST = 1_000
"""Things that one request looks at, whatever passes: 2 MB of events. A page may be short then, and not the last."""
AHEAD = 250
"""Things of one source that are read at once, at most: each read of a request is twice as large as the one before."""


class Reader(Protocol[P, T_co]):
    """Reads one source's list from an edge on: the newest below it first, or with `newer` the oldest above it first."""

    async def __call__(
        self, source: SourceUid, *, edge: P | None, newer: bool, limit: int
    ) -> Sequence[tuple[P, T_co | None]]:
        """Up to `limit` things with their places; None: one that can't be read. An empty list: there are no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed(Generic[P, T]):
    """What lists of one kind have in common."""

    read: Reader[P, T]
    at_ms: Callable[[T], int]
    place: Any
    """The type of a place."""
    bottom: P
    """The edge below everything."""
    above: Callable[[P], P]
    """The edge right above a place."""
    edge_at: Callable[[int], P] | None = None
    """The edge below everything of a time (ms) and later. None: the list is not ordered by exactly that time."""


@dataclass(frozen=True, slots=True)
class Item(Generic[P, T]):
    """A thing, and where it stands."""

    source: SourceUid
    place: P
    value: T


@dataclass(slots=True)
class _Lane(Generic[P, T]):
    """One source's list, read ahead."""

    feed: Feed[P, T]
    source: SourceUid
    edge: P | None
    """What is behind it was given."""
    newer: bool
    size: int
    """Things that are read next."""
    ahead: deque[tuple[P, T]] = field(default_factory=deque)
    reached: P | None = None
    ended: bool = False

    def __post_init__(self) -> None:
        self.reached = self.edge

    def behind(self, place: P) -> P:
        return self.feed.above(place) if self.newer else place

    def before(self, place: P) -> P:
        return place if self.newer else self.feed.above(place)

    async def fill(self) -> None:
        while not self.ahead and not self.ended:
            found = await self.feed.read(self.source, edge=self.reached, newer=self.newer, limit=self.size)
            self.ended, self.size = not found, min(2 * self.size, AHEAD)
            if found:
                self.reached = self.behind(found[-1][0])
            self.ahead.extend((place, value) for place, value in found if value is not None)

    def settle(self) -> None:
        """Give a list that is read from its end an edge, so that things that are added there are not taken for old."""
        if self.edge is None:
            self.edge = self.before(self.ahead[0][0]) if self.ahead else self.feed.bottom


@dataclass(slots=True)
class _Walk(Generic[P, T]):
    """All sources' lists, merged by time in one direction."""

    lanes: list[_Lane[P, T]]
    newer: bool
    at_ms: Callable[[T], int]
    wanted: Callable[[T], bool]
    within: tuple[float, float]
    """The times (ms) between which things are wanted, both left out."""
    over: bool = False
    left: int = 0
    """Things that may still be looked at."""

    def edges(self) -> dict[SourceUid, P | None]:
        return {lane.source: lane.edge for lane in self.lanes}

    async def take(self, most: int) -> list[Item[P, T]]:
        """Up to `most` further things; fewer only at the end, or when enough was looked at."""
        items: list[Item[P, T]] = []
        while len(items) < most and not self.over and self.left:
            lane = await self._next()
            if lane is None:
                self.over = True
                break
            place, value = lane.ahead.popleft()
            self.left -= 1
            lane.edge = lane.behind(place)
            if self.within[0] < self.at_ms(value) < self.within[1] and self.wanted(value):
                items.append(Item(lane.source, place, value))
        return items

    async def _next(self) -> _Lane[P, T] | None:
        for lane in self.lanes:
            await lane.fill()
        full = [lane for lane in self.lanes if lane.ahead]
        if not full:
            return None
        first = (min if self.newer else max)(full, key=lambda lane: (self.at_ms(lane.ahead[0][1]), lane.source))
        at_ms = self.at_ms(first.ahead[0][1])
        # All that comes then lies further away still.
        beyond = at_ms >= self.within[1] if self.newer else at_ms <= self.within[0]
        return None if beyond else first


async def read_feed(
    feed: Feed[P, T],
    sources: Iterable[SourceUid],
    paging: Paging,
    *,
    show: Callable[[list[Item[P, T]]], Awaitable[list[S]]],
    wanted: Callable[[T], bool] = lambda _: True,
    after_ms: int | None = None,
    before_ms: int | None = None,
    most: int | None = None,
) -> ListOut[S]:
    """The page of a list that is asked for: what is `wanted`, of a time between two, as `show` shows it or leaves out.

    It looks at `most` things; None: READ_AT_MOST. Raises Invalid when the iterator is none of ours.
    """
    walk = _walk(feed, sources, paging, wanted=wanted, after_ms=after_ms, before_ms=before_ms)
    walk.left = READ_AT_MOST if most is None else most
    for lane in walk.lanes:
        await lane.fill()
        lane.settle()
    begin, shown = walk.edges(), list[S]()
    while len(shown) < paging.limit and walk.left and not walk.over:
        shown += await show(await walk.take(paging.limit - len(shown)))
    end, more, taken = walk.edges(), False, 1
    while not more and walk.left and not walk.over:
        more, taken = bool(await show(await walk.take(taken))), min(2 * taken, AHEAD)
    if paging.back:
        shown.reverse()
        begin, end = end, begin
    return ListOut(
        data=shown,
        iterator=write_iterator(end),
        prev_iterator=BACK + write_iterator(begin) if paging.iterator else None,
        done=walk.over and not more,
    )


def _walk(
    feed: Feed[P, T],
    sources: Iterable[SourceUid],
    paging: Paging,
    *,
    wanted: Callable[[T], bool],
    after_ms: int | None,
    before_ms: int | None,
) -> _Walk[P, T]:
    """The walk from the place that the iterator names, or from the end of the list."""
    edges = read_iterator(paging.place, dict[str, feed.place]) if paging.place is not None else {}  # type: ignore[name-defined]
    newer = paging.descending is paging.back
    entry_ms = before_ms if not newer else None if after_ms is None else after_ms + 1
    entry = feed.edge_at(entry_ms) if feed.edge_at and entry_ms is not None else None
    begins = {source: edges.get(source, entry) for source in sources if not paging.back or source in edges}
    within = (-float("inf") if after_ms is None else after_ms, float("inf") if before_ms is None else before_ms)
    size = min(paging.limit + 1, AHEAD)
    lanes = [_Lane(feed, source, edge, newer, size) for source, edge in begins.items()]
    return _Walk(lanes, newer, feed.at_ms, wanted, within)
