"""Lists over several sources."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api import feeds
from relay.api.feeds import newest_first
from relay.domain.model import SourceUid
from relay.errors import Invalid

Lists = dict[str, list[int]]


async def _read_all(
    lists: Lists, *, limit: int, wanted: int = 1, since_ms: int | None = None
) -> list[tuple[str, int, int]]:
    """Go through all pages. Lists hold times, oldest first; a thing's position is its place."""

    async def read(source: SourceUid, below: int | None, most: int) -> list[tuple[int, int]]:
        return list(enumerate(lists[source]))[:below][::-1][:most]

    seen: list[tuple[str, int, int]] = []
    iterator = None
    for _ in range(100):
        page = await newest_first(
            [SourceUid(name) for name in lists],
            read,
            iterator=iterator,
            limit=limit,
            at_ms=lambda at: at,
            wanted=lambda at: at % wanted == 0,
            since_ms=since_ms,
        )
        seen += [(item.source, item.position, item.value) for item in page.items]
        if page.done:
            return seen
        iterator = page.iterator
    raise AssertionError("no last page")


@given(
    lists=st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 50), max_size=12).map(sorted), max_size=3),
    limit=st.integers(1, 5),
    wanted=st.integers(1, 3),
    since_ms=st.none() | st.integers(0, 50),
)
@settings(max_examples=100, deadline=None)
async def test_pages_show_everything_that_is_wanted_once_newest_first(
    lists: Lists, limit: int, wanted: int, since_ms: int | None
) -> None:
    """Whatever the sizes of pages and sources: nothing twice, nothing left out, in the order of time."""
    seen = await _read_all(lists, limit=limit, wanted=wanted, since_ms=since_ms)
    expected = {
        (name, place, at)
        for name, times in lists.items()
        for place, at in enumerate(times)
        if at % wanted == 0 and (since_ms is None or at > since_ms)
    }
    assert len(seen) == len(expected)
    assert set(seen) == expected
    assert [at for _, _, at in seen] == sorted((at for _, _, at in seen), reverse=True)


async def test_a_request_looks_at_a_bounded_number_of_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that finds little ends early, says that it is not the last, and the next goes on from there."""
    monkeypatch.setattr(feeds, "READ_AT_MOST", 7)
    assert await _read_all({"a": list(range(1, 40))}, limit=5, wanted=20) == [("a", 19, 20)]


@pytest.mark.parametrize("iterator", ["x", "ep_123", "e30x", "WzFd", "eyJhIjoieCJ9"])
async def test_an_iterator_of_another_list_is_refused(iterator: str) -> None:
    """It is no server error, and no other page."""

    async def read(_: SourceUid, __: int | None, ___: int) -> list[tuple[int, int]]:
        return []

    with pytest.raises(Invalid, match="iterator"):
        await newest_first(
            [SourceUid("a")], read, iterator=iterator, limit=1, at_ms=lambda at: at, wanted=lambda _: True
        )
