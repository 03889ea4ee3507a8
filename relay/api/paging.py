"""Lists by pages, as Svix has them: `limit`, `iterator` and `order` in, `{data, iterator, prevIterator, done}` out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeVar

from litestar.params import QueryParameter
from msgspec import UNSET

from relay.api.schemas.common import ListOut, UnreadableOut
from relay.store.records import Page

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

LIMIT = 50
LIMIT_AT_MOST = 250
BACK = "~"
"""Means the way back. No id or uid has it, and no URL has to escape it."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list is asked for."""

    limit: int = LIMIT
    iterator: str | None = None
    descending: bool = False


class Reader(Protocol[T_co]):
    """Reads up to `limit` from behind the key `after` on."""

    async def __call__(self, *, after: str | None, limit: int, descending: bool) -> Page[T_co]:
        """Read them."""


def provide_paging(
    limit: Annotated[
        int, QueryParameter(ge=1, le=LIMIT_AT_MOST, description="The maximum number of objects in the page")
    ] = LIMIT,
    iterator: Annotated[
        str | None, QueryParameter(max_length=4096, description="The `iterator` of the previous page")
    ] = None,
    order: Annotated[
        Literal["ascending", "descending"], QueryParameter(description="Ascending or descending")
    ] = "ascending",
) -> Paging:
    """Read the page that a request asks for."""
    return Paging(limit=limit, iterator=iterator or None, descending=order == "descending")


async def read_page(read: Reader[T], paging: Paging, *, key: Callable[[T], str], show: Callable[[T], S]) -> ListOut[S]:
    """One page of a list that is ordered by a key. An iterator that begins with BACK leads to the page before it."""
    back = paging.iterator is not None and paging.iterator.startswith(BACK)
    after = paging.iterator.removeprefix(BACK) if paging.iterator else None
    backwards = paging.descending is not back
    found = await read(after=after, limit=paging.limit + 1, descending=backwards)
    things, done = list(found.values[: paging.limit]), len(found.values) <= paging.limit
    unreadable = [
        UnreadableOut(id=each, reason=why)
        for each, why in found.unreadable.items()
        if done or (each > key(things[-1])) is backwards  # What is behind the last one belongs to the next page.
    ]
    if back:
        things.reverse()
    return ListOut(
        data=[show(thing) for thing in things],
        iterator=key(things[-1]) if things else paging.iterator,
        prev_iterator=f"{BACK}{key(things[0])}" if things and after is not None else None,
        done=done,
        unreadable=unreadable or UNSET,
    )
