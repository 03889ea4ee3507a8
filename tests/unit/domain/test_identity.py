"""Which row a row is, and whether it changed."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.identity import (
    VOLATILE,
    Changed,
    Known,
    New,
    Seen,
    is_known,
    judge_row,
    message_id,
    raw_digest,
    stable_digest,
)
from relay.domain.model import ROUTES, SourceUid
from relay.domain.normalising import KINDS
from relay.domain.parsing import Row, parse_line

DOCUMENTED = Path(__file__).parents[2].joinpath("golden/documented_rows.ndjson").read_bytes().splitlines()
CALLS, GOALS, USERS = (ROUTES.index(name) for name in ("calls", "goals", "users"))
ALL = frozenset({CALLS, GOALS})

eights = st.binary(min_size=8, max_size=8)
seens = st.builds(
    Seen,
    owner=st.integers(0, len(ROUTES) - 1),
    number=st.integers(0, 2**63),
    classes=st.integers(0, 255),
    raw=eights,
    digests=st.lists(eights, min_size=1, max_size=5).map(tuple),
)
columns = st.dictionaries(st.sampled_from(sorted(KINDS)), st.text(max_size=3) | st.integers(), max_size=6)
# A few states that a row goes back and forth between.
digests = st.integers(0, 3).map(lambda n: bytes([n]) * 32)


def sight(seen: Seen | None, digest: bytes, *, route: int = CALLS, raw: bytes = bytes(8), classes: int = 4) -> Any:
    return judge_row(seen, route=route, routes=ALL, raw=raw, digest=digest, classes=classes)


@given(seen=seens)
def test_what_is_kept_of_a_row_comes_back_as_it_was(seen: Seen) -> None:
    """Packed and unpacked, nothing changed; a row that never changed takes 27 bytes."""
    assert Seen.unpack(seen.pack()) == seen
    assert len(seen.pack()) == 20 + 8 * len(seen.digests)


@given(row=columns, seed=st.integers(0, 100))
@settings(max_examples=50)
def test_the_order_of_columns_changes_no_digest(row: dict[str, Any], seed: int) -> None:
    """A row is the same however its columns are arranged."""
    shuffled = list(row.items())
    random.Random(seed).shuffle(shuffled)
    assert stable_digest(dict(shuffled)) == stable_digest(row)


@given(row=columns, name=st.sampled_from(sorted(KINDS)), value=st.text(max_size=3))
@settings(max_examples=100)
def test_a_row_changed_if_a_column_that_counts_did(row: dict[str, Any], name: str, value: str) -> None:
    """A value, a new column, a missing one: each is a change; but counters and labels that are joined in are not."""
    stable = {key: row[key] for key in row if key not in VOLATILE}
    for other in (row | {name: value}, {key: row[key] for key in row if key != name}):
        same = {key: other[key] for key in other if key not in VOLATILE} == stable
        assert (stable_digest(other) == stable_digest(row)) is same


@pytest.mark.parametrize("name", sorted(VOLATILE))
def test_joined_columns_never_change_a_row(name: str) -> None:
    """A visitor's counters and the names of configured things change on their own (H14)."""
    row = parse_line(DOCUMENTED[0])
    assert isinstance(row, Row)
    assert stable_digest(row.columns | {name: "changed"}) == stable_digest(row.columns)


def test_digests_are_the_same_in_every_release() -> None:
    """They make the ids of events: a release that computed others would send everything again under new ids."""
    row = parse_line(DOCUMENTED[2])
    assert isinstance(row, Row)
    digest = stable_digest(row.columns)
    name = message_id(SourceUid("uk"), space="i", row_id=4, digest=digest, recurrence=0)
    assert raw_digest(DOCUMENTED[2]).hex() == "8a4cd6e2d57fc690"
    assert digest.hex() == "19e0c36c0b8b4c74dadae96333157a91"
    assert name == "msg_uSAmIe3U9JL6wjvvjlkcYloo"


@given(first=st.tuples(st.text(max_size=3), st.sampled_from("ti"), st.integers(1, 99), digests, st.integers(0, 99)))
@settings(max_examples=50)
def test_an_event_id_tells_its_parts_apart(first: tuple[str, str, int, bytes, int]) -> None:
    """Source, space, row, content and recurrence each make another id, and where one ends does not blur."""
    uid, space, row_id, digest, recurrence = first

    def name(uid: str, space: str, row_id: int, digest: bytes, recurrence: int) -> str:
        return message_id(SourceUid(uid), space=space, row_id=row_id, digest=digest, recurrence=recurrence)

    ids = {
        name(uid, space, row_id, digest, recurrence),
        name(uid + "x", space, row_id, digest, recurrence),
        name(uid, "i" if space == "t" else "t", row_id, digest, recurrence),
        name(uid, space, row_id + 1, digest, recurrence),
        name(uid, space, row_id, bytes([9]) * 32, recurrence),
        name(uid, space, row_id, digest, recurrence + 1),
        name(uid, space, int(f"{row_id}1"), digest, recurrence),
        name(uid, space, row_id, digest, int(f"1{recurrence:02}")),
    }
    assert len(ids) == 8
    assert all(each.startswith("msg_") and each[4:].isalnum() and len(each) == 28 for each in ids)


def test_the_first_sight_of_a_row_is_an_event() -> None:
    """It belongs to the route that shows it, as its first revision."""
    new = sight(None, b"a" * 32, raw=b"r" * 8)
    seen = Seen(owner=CALLS, number=0, classes=4, raw=b"r" * 8, digests=(b"a" * 8,))
    assert new == New(seen, revision=1, recurrence=0)


def test_another_route_tells_nothing_of_a_row() -> None:
    """Routes show different columns (H15): only the owner's count, and the others' lines need no reading."""
    seen = sight(None, b"a" * 32).seen
    assert is_known(seen, route=GOALS, routes=ALL, raw=b"x" * 8)
    assert sight(seen, b"b" * 32, route=GOALS, raw=b"x" * 8) == Known()


def test_a_row_whose_owner_is_polled_no_more_is_adopted_without_an_event() -> None:
    """The next route that shows it takes it over; from then on its columns count."""
    seen = sight(None, b"a" * 32, route=USERS).seen
    assert not is_known(seen, route=CALLS, routes=ALL, raw=seen.raw)
    adopted = sight(seen, b"b" * 32, raw=b"x" * 8, classes=2)
    kept = Seen(owner=CALLS, number=0, classes=6, raw=b"x" * 8, digests=(b"a" * 8, b"b" * 8))
    assert adopted == Known(kept)
    assert isinstance(sight(kept, b"c" * 32), Changed)


def test_a_line_that_came_before_needs_no_reading() -> None:
    """The digest of the line is enough; another line of the same row is read."""
    seen = sight(None, b"a" * 32, raw=b"r" * 8).seen
    assert is_known(seen, route=CALLS, routes=ALL, raw=b"r" * 8)
    assert not is_known(seen, route=CALLS, routes=ALL, raw=b"s" * 8)
    assert not is_known(None, route=CALLS, routes=ALL, raw=b"r" * 8)


def test_a_line_that_differs_only_in_volatile_columns_is_known_and_remembered() -> None:
    """No event, but next time the new line needs no reading."""
    seen = sight(None, b"a" * 32, raw=b"r" * 8).seen
    judged = sight(seen, b"a" * 32, raw=b"s" * 8)
    assert isinstance(judged, Known)
    assert judged.seen is not None
    assert is_known(judged.seen, route=CALLS, routes=ALL, raw=b"s" * 8)
    assert sight(seen, b"a" * 32, raw=b"r" * 8) == Known()


def test_a_changed_row_tells_what_it_was() -> None:
    """The classes of before, all classes from now on, and the number of the event before."""
    seen = Seen(owner=CALLS, number=77, classes=4, raw=bytes(8), digests=(b"a" * 8,))
    changed = sight(seen, b"b" * 32, raw=b"s" * 8, classes=2)
    kept = Seen(owner=CALLS, number=77, classes=6, raw=b"s" * 8, digests=(b"a" * 8, b"b" * 8))
    assert changed == Changed(kept, had=4, revision=2, recurrence=0)


@given(history=st.lists(digests, min_size=1, max_size=12))
@settings(max_examples=100)
def test_each_state_of_a_row_is_one_event_with_an_id_of_its_own(history: list[bytes]) -> None:
    """However a row goes back and forth: an event whenever it changed, and never an id twice (a value that returns)."""
    seen: Seen | None = None
    events = []
    for digest in history:
        judged = sight(seen, digest)
        if not isinstance(judged, Known):
            events.append((digest, judged.recurrence, judged.revision))
        seen = judged.seen or seen
    changes = [new for old, new in zip([None, *history], history, strict=False) if old != new]
    assert [digest for digest, _, _ in events] == changes
    assert len({(digest, recurrence) for digest, recurrence, _ in events}) == len(events)
    assert [revision for _, _, revision in events] == list(range(1, len(events) + 1))


@given(history=st.lists(st.tuples(digests, st.sampled_from([CALLS, GOALS, USERS])), max_size=10))
@settings(max_examples=50)
def test_ids_stay_unique_when_a_row_is_adopted(history: list[tuple[bytes, int]]) -> None:
    """Also where owners go and others take over, no two events of a row have the same content and recurrence."""
    seen: Seen | None = None
    events = []
    for digest, route in history:
        judged = judge_row(seen, route=route, routes={route}, raw=bytes(8), digest=digest, classes=4)
        if not isinstance(judged, Known):
            events.append((digest, judged.recurrence))
        seen = judged.seen or seen
    assert len(set(events)) == len(events)
