"""Lists by pages, as Svix has them: `limit`, `iterator` and `order` in, `{data, iterator, prevIterator, done}` out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeVar

from litestar.params import QueryParameter
from msgspec import UNSET

from relay.api.iterators import refused
from relay.api.schemas.common import ListOut, UnreadableOut
from relay.store.records import Page

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

LIMIT = 50
LIMIT_AT_MOST = 250
BACK = "~"
"""Means the way back. No id or uid has it, and no URL has to escape it."""

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_AT_MOST, description="The maximum number of objects in the page")]
Iterator = Annotated[
    str | None,
    QueryParameter(max_length=4096, description="The `iterator` or `prevIterator` of a page of the same list"),
]
Order = Annotated[
    Literal["ascending", "descending"],
    QueryParameter(description="`ascending` lists the oldest, or the first by name, first; `descending` the opposite"),
]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list is asked for."""

    limit: int = LIMIT
    iterator: str | None = None
    descending: bool = False

    @property
    def back(self) -> bool:
        """Whether it is the page before a place, and not the one behind it."""
        return self.iterator is not None and self.iterator.startswith(BACK)

    @property
    def place(self) -> str | None:
        """The place at which the page begins or, on the way back, ends. None: it is the first page."""
        return self.iterator.removeprefix(BACK) if self.iterator else None


class Reader(Protocol[T_co]):
    """Reads up to `limit` from behind the key `after` on."""

    async def __call__(self, *, after: str | None, limit: int, descending: bool) -> Page[T_co]:
        """Read them."""


def provide_paging(limit: Limit = LIMIT, iterator: Iterator = None, order: Order = "ascending") -> Paging:
    """Read which page a request asks for, of a list that begins with its lowest key."""
    return Paging(limit=limit, iterator=iterator or None, descending=order == "descending")


def provide_newest_first(limit: Limit = LIMIT, iterator: Iterator = None, order: Order = "descending") -> Paging:
    """Read which page a request asks for, of a list that begins with what is newest."""
    return Paging(limit=limit, iterator=iterator or None, descending=order == "descending")


def in_memory(things: Mapping[str, T]) -> Reader[T]:
    """A reader of things that are all at hand, by their keys."""

    async def read(*, after: str | None, limit: int, descending: bool) -> Page[T]:
        behind = [
            k for k in sorted(things, reverse=descending) if after is None or (k < after if descending else k > after)
        ]
        return Page([things[key] for key in behind[:limit]])

    return read


async def read_page(
    read: Reader[T], paging: Paging, *, key: Callable[[T], str], show: Callable[[T], S], form: re.Pattern[str]
) -> ListOut[S]:
    """One page of a list that is ordered by a key. An iterator that begins with BACK leads to the page before it.

    `form` is what all keys match. Raises Invalid for an iterator that does not.
    """
    after = paging.place
    if after is not None and not form.fullmatch(after):
        raise refused()
    backwards = paging.descending is not paging.back
    found = await read(after=after, limit=paging.limit + 1, descending=backwards)
    things, done = list(found.values[: paging.limit]), len(found.values) <= paging.limit
    unreadable = [
        UnreadableOut(id=each, reason=why)
        for each, why in found.unreadable.items()
        if done or (each > key(things[-1])) is backwards  # What is behind the last one belongs to the next page.
    ]
    if paging.back:
        things.reverse()
    return ListOut(
        data=[show(thing) for thing in things],
        iterator=key(things[-1]) if things else None if paging.back else after,
        prev_iterator=f"{BACK}{key(things[0])}" if things and after is not None else None,
        done=done,
        unreadable=unreadable or UNSET,
    )
