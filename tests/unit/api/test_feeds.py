"""Lists over several sources."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api import feeds
from relay.api.feeds import Feed, Item, read_feed
from relay.api.paging import Paging
from relay.api.schemas.common import ListOut
from relay.domain.model import SourceUid
from relay.errors import Invalid

Lists = dict[str, list[int]]
Seen = tuple[str, int, int]
"""Source, place, and time of a thing."""

lists_of_times = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.integers(0, 50), max_size=12).map(sorted), max_size=3
)


def feed_of(lists: Lists, *, by_time: bool = False) -> Feed[Any, int]:
    """Lists hold times, oldest first. A thing's place is its index; if `by_time`, its time and its index."""

    async def read(source: SourceUid, *, edge: Any, newer: bool, limit: int) -> Sequence[tuple[Any, int]]:
        things = [((at, place) if by_time else place, at) for place, at in enumerate(lists[source])]
        if newer:
            return [thing for thing in things if edge is None or thing[0] >= tuple_or(edge)][:limit]
        return [thing for thing in things if edge is None or thing[0] < tuple_or(edge)][::-1][:limit]

    def tuple_or(edge: Any) -> Any:
        return tuple(edge) if by_time else edge

    if by_time:
        place = tuple[int, int]
        return Feed(
            read=read, at_ms=lambda at: at, place=place, bottom=(-1, 0), above=lambda p: (p[0], p[1] + 1),
            edge_at=lambda at_ms: (at_ms, 0),
        )  # fmt: skip
    return Feed(read=read, at_ms=lambda at: at, place=int, bottom=0, above=lambda p: p + 1)


async def read_one(
    lists: Lists, paging: Paging, *, by_time: bool = False, wanted: int = 1, hidden: int = 99, **between: int | None
) -> ListOut[Seen]:
    """One page. What `wanted` divides is asked for, and what `hidden` divides is not shown after all."""

    async def show(items: list[Item[Any, int]]) -> list[Seen]:
        return [
            (item.source, item.place[1] if by_time else item.place, item.value)
            for item in items
            if item.value % hidden or not item.value
        ]

    return await read_feed(
        feed_of(lists, by_time=by_time),
        [SourceUid(name) for name in lists],
        paging,
        show=show,
        wanted=lambda at: at % wanted == 0,
        **between,
    )


async def read_all(lists: Lists, limit: int, *, descending: bool = True, **query: Any) -> list[ListOut[Seen]]:
    """All pages, in the order of the list."""
    pages: list[ListOut[Seen]] = []
    iterator = None
    for _ in range(100):
        pages.append(await read_one(lists, Paging(limit, iterator, descending), **query))
        if pages[-1].done:
            return pages
        iterator = pages[-1].iterator
    raise AssertionError("no last page")


@given(
    lists=lists_of_times,
    limit=st.integers(1, 5),
    query=st.fixed_dictionaries(
        {
            "by_time": st.booleans(),
            "wanted": st.integers(1, 3),
            "hidden": st.sampled_from([2, 3, 99]),
            "after_ms": st.none() | st.integers(0, 50),
            "before_ms": st.none() | st.integers(0, 50),
        }
    ),
    descending=st.booleans(),
)
@settings(max_examples=300)
async def test_pages_show_everything_that_is_wanted_once_in_order(
    lists: Lists, limit: int, query: dict[str, Any], descending: bool
) -> None:
    """Whatever the sizes of pages and sources: nothing twice, nothing left out, in the order of time, pages full."""
    pages = await read_all(lists, limit, descending=descending, **query)
    seen = [each for page in pages for each in page.data]
    expected = {
        (name, place, at)
        for name, times in lists.items()
        for place, at in enumerate(times)
        if at % query["wanted"] == 0
        and (at % query["hidden"] or not at)
        and (query["after_ms"] is None or at > query["after_ms"])
        and (query["before_ms"] is None or at < query["before_ms"])
    }
    assert len(seen) == len(expected)
    assert set(seen) == expected
    assert [at for _, _, at in seen] == sorted((at for _, _, at in seen), reverse=descending)
    assert all(len(page.data) == limit for page in pages[:-1])
    assert pages[0].prev_iterator is None
    if len(pages) > 1:
        back = await read_one(lists, Paging(limit, pages[-1].prev_iterator, descending), **query)
        assert back.data == pages[-2].data
        again = await read_one(lists, Paging(limit, back.iterator, descending), **query)
        assert again.data == pages[-1].data


@given(lists=lists_of_times.filter(bool), limit=st.integers(1, 3), new=st.lists(st.integers(51, 60)).map(sorted))
async def test_what_is_added_meanwhile_does_not_move_a_page(lists: Lists, limit: int, new: list[int]) -> None:
    """The newest come first: what is newer still stands on a page before, in every source, empty ones too."""
    first = await read_one(lists, Paging(limit, None, True))
    added = {name: times + new for name, times in lists.items()}
    then, now = [(await read_one(ls, Paging(limit, first.iterator, True))).data for ls in (lists, added)]
    assert then == now


async def test_an_empty_list_shows_what_is_added_when_it_is_read_on() -> None:
    """Reading the oldest first, a client that waits at the end gets what comes."""
    page = await read_one({"a": []}, Paging(2, None, False))
    assert (page.data, page.done) == ([], True)
    page = await read_one({"a": [7]}, Paging(2, page.iterator, False))
    assert page.data == [("a", 0, 7)]
    assert (await read_one({"a": [7, 8]}, Paging(2, page.iterator, False))).data == [("a", 1, 8)]


async def test_a_request_looks_at_a_bounded_number_of_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that finds little ends early, says that it is not the last, and the next continues from there."""
    monkeypatch.setattr(feeds, "READ_AT_MOST", 7)
    pages = await read_all({"a": list(range(1, 40))}, 5, wanted=20)
    assert [each for page in pages for each in page.data] == [("a", 19, 20)]
    assert len(pages) > 5


@pytest.mark.parametrize("iterator", ["x", "ep_123", "e30x", "WzFd", "eyJhIjoieCJ9", "~", "~x", "~~"])
async def test_an_iterator_of_another_list_is_refused(iterator: str) -> None:
    """It is no server error, and no other page."""
    with pytest.raises(Invalid, match="iterator"):
        await read_one({"a": []}, Paging(1, iterator, True))
