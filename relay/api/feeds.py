"""Lists over several sources, newest first: each source's own list is read by pages and merged by time."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relay.api.iterators import read_iterator, write_iterator
from relay.domain.model import SourceUid

T = TypeVar("T")

READ_AT_MOST = 5_000
"""Things that one request looks at, whatever passes: 10 MB of events. A page may be short then, and not the last."""

Read = Callable[[SourceUid, int | None, int], Awaitable[list[tuple[int, T]]]]
"""(source, position to stay below, how many) → things with their positions, newest first."""


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """A thing, and where it stands."""

    source: SourceUid
    position: int
    value: T


@dataclass(frozen=True, slots=True)
class FeedPage(Generic[T]):
    """One page, and where the next one begins in each source."""

    items: list[Item[T]]
    iterator: str
    done: bool


@dataclass(slots=True)
class _Reader(Generic[T]):
    """One source's list, read ahead."""

    source: SourceUid
    read: Read[T]
    position: int | None
    ahead: deque[tuple[int, T]] = field(default_factory=deque)
    ended: bool = False

    async def fill(self, limit: int) -> None:
        if self.ahead or self.ended:
            return
        self.ahead.extend(await self.read(self.source, self.position, limit))
        self.ended = not self.ahead


async def newest_first(
    sources: Iterable[SourceUid],
    read: Read[T],
    *,
    iterator: str | None,
    limit: int,
    at_ms: Callable[[T], int],
    wanted: Callable[[T], bool],
    since_ms: int | None = None,
) -> FeedPage[T]:
    """The newest things of all sources that are `wanted`, from where `iterator` says, down to `since_ms`.

    Raises Invalid when the iterator is none of ours.
    """
    positions = read_iterator(iterator, dict[str, int]) if iterator else {}
    readers = [_Reader(source, read, positions.get(source)) for source in sources]
    items: list[Item[T]] = []
    for _ in range(READ_AT_MOST):
        for reader in readers:
            await reader.fill(limit + 1)
        newest = max((r for r in readers if r.ahead), key=lambda r: at_ms(r.ahead[0][1]), default=None)
        if newest is None or len(items) == limit:
            break
        position, value = newest.ahead.popleft()
        if since_ms is not None and at_ms(value) <= since_ms:
            return FeedPage(items, write_iterator({}), done=True)  # All that is left is older still.
        newest.position = position
        if wanted(value):
            items.append(Item(newest.source, position, value))
    left = {reader.source: reader.position for reader in readers if reader.position is not None}
    return FeedPage(items, write_iterator(left), done=all(reader.ended and not reader.ahead for reader in readers))
