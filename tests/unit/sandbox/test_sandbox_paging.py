"""Walking pages by rowId gives each visible row once, however the rows lie."""

from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.sandbox.lines import decode, encode
from relay.sandbox.polling import polled_page
from relay.sandbox.queries import Query, parse_query
from relay.sandbox.rows import Index
from relay.sandbox.selecting import select

row_ids = st.lists(st.integers(0, 3000), unique=True, max_size=60)


@settings(max_examples=100)
@given(row_ids, st.integers(1, 20))
def test_a_walk_by_row_id_shows_each_row_once(ids: list[int], limit: int) -> None:
    """The documented loop ends, and what it saw is every row, in order, whatever order they came in."""
    index, cursor, seen = _index(ids), -1, []
    for _ in range(len(ids) + 1):
        page = polled_page(index, _ask(limit=limit, after=cursor))
        seen += [int(decode(line)["rowId"]) for line in page]
        cursor = seen[-1] if seen else cursor
    assert seen == sorted(ids)
    assert page == []


@settings(max_examples=100)
@given(row_ids, st.integers(0, 3000), st.integers(0, 3000), st.integers(1, 70))
def test_the_fast_path_gives_what_the_general_path_gives(ids: list[int], after: int, until: int, limit: int) -> None:
    """Bisection and looking into every row agree on any range."""
    index, query = _index(ids), _ask(limit=limit, after=after, until=until)
    looking = parse_query(
        urlencode(
            [("limit", limit), ("filter[]", f"rowId-gt-value-{after}.0"), ("filter[]", f"rowId-le-value-{until}.0")]
        ),
        cap=10_000,
        default_limit=1000,
    )
    assert query.plain
    assert not looking.plain
    assert polled_page(index, query) == select(index, query, decode) == select(index, looking, decode)


@settings(max_examples=50)
@given(row_ids, st.integers(1, 20))
def test_offset_pages_are_slices_of_one_order(ids: list[int], limit: int) -> None:
    """limit and offset cut the sorted rows, also when they are sorted by something else first."""
    index, seen = _index(ids), []
    for offset in range(0, len(ids) + 1, limit):
        query = parse_query(
            f"sort[]=t-desc&sort[]=rowId-asc&limit={limit}&offset={offset}", cap=10_000, default_limit=1000
        )
        seen += [int(decode(line)["rowId"]) for line in select(index, query, decode)]
    assert seen == sorted(ids, key=lambda row_id: (-(row_id % 3), row_id))


@settings(max_examples=50)
@given(row_ids, st.data())
def test_a_row_that_is_removed_or_replaced_is_found_as_it_is_now(ids: list[int], data: st.DataObject) -> None:
    """An index follows changes and deletions."""
    index, expected = _index(ids), {row_id: _line(row_id) for row_id in ids}
    for row_id in data.draw(st.lists(st.sampled_from(ids), unique=True) if ids else st.just([])):
        if data.draw(st.booleans()):
            index.remove(row_id)
            del expected[row_id]
        else:
            expected[row_id] = b"changed\n"
            index.put(row_id, b"changed\n")
    assert dict(zip(index.ids, index.lines, strict=True)) == expected
    assert index.ids == sorted(index.ids)
    assert all(index.find(row_id) == expected.get(row_id) for row_id in ids)


def _line(row_id: int) -> bytes:
    return encode({"rowId": str(row_id), "t": str(row_id % 3)})


def _index(ids: list[int]) -> Index:
    index = Index()
    for row_id in ids:
        index.put(row_id, _line(row_id))
    return index


def _ask(*, limit: int, after: int, until: int | None = None) -> Query:
    asked = [("format", "json"), ("limit", str(limit)), ("sort[]", "rowId-asc")]
    asked += [("filter[]", f"rowId-gt-value-{after}")] if after >= 0 else []
    asked += [("filter[]", f"rowId-le-value-{until}")] if until is not None else []
    return parse_query(urlencode(asked), cap=10_000, default_limit=1000)
