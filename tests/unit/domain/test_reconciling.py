"""The comparison of what the upstream shows with what is stored and confirmed."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.books import State
from relay.domain.model import EndpointId
from relay.domain.reconciling import KINDS, Counts, Difference, Reach, compare_deliveries, compare_rows, next_run_ms

A = EndpointId("ep_a")
ROWS = st.sets(st.integers(1, 60))
HOUR_MS = 3_600_000


@given(
    calls=ROWS, goals=ROWS, stored=ROWS, begin=st.integers(0, 30), cursor=st.integers(0, 60), since=st.integers(0, 30)
)
def test_a_row_is_missing_or_unexpected_or_neither(
    calls: set[int], goals: set[int], stored: set[int], begin: int, cursor: int, since: int
) -> None:
    """Only rows that a route covers can be missing, and none that the books may have forgotten."""
    reaches = {"calls": Reach(begin=0, cursor=60, settled=60), "goals": Reach(begin=begin, cursor=60, settled=cursor)}
    found = compare_rows(
        "t", shown={"calls": calls, "goals": goals}, stored={row: [row] for row in stored}, reaches=reaches, since=since
    )
    missing = {each.row_id for each in found if each.kind == "missing"}
    covered = calls | {row for row in goals if begin < row <= cursor}
    assert missing == {row for row in covered - stored if row > since}
    assert {each.row_id for each in found if each.kind == "unexpected"} == {
        row for row in stored - calls - goals if row > since
    }
    assert [each.row_id for each in found] == sorted(each.row_id for each in found)
    assert len({each.row_id for each in found}) == len(found)


def test_a_row_beyond_all_routes_is_not_expected_to_be_shown() -> None:
    """The relay may have it from a route that was there before."""
    reaches = {"all": Reach(begin=5, cursor=10, settled=10)}
    found = compare_rows("t", shown={"all": []}, stored={9: [1], 20: [2]}, reaches=reaches, since=0)
    assert found == [Difference("unexpected", "t", 9, number=1)]


@given(fates=st.lists(st.tuples(st.sampled_from([0, *State, 9, 15]), st.booleans()), max_size=30))
def test_each_delivery_is_counted_once(fates: Sequence[tuple[int, bool]]) -> None:
    """One that has not ended and stands nowhere is undelivered; nothing that is confirmed or waits is a difference."""
    states, numbers = [state for state, _ in fates], range(100, 100 + len(fates))
    told, found = compare_deliveries(
        "t", A, "".join(f"{state:x}" for state in states),
        numbers=numbers, rows={number: number + 1000 for number in numbers},
        is_somewhere=lambda endpoint, number: endpoint == A and fates[number - 100][1],
    )  # fmt: skip
    assert told.owed == len([state for state in states if 0 < state < 9])
    assert told.confirmed == states.count(State.CONFIRMED)
    assert told.unwanted == states.count(State.UNWANTED) + states.count(State.REPLACED)
    assert told.undelivered == fates.count((State.WAITING, False))
    assert told.dead == states.count(State.DEAD) + states.count(State.FORGOTTEN)
    assert told.dropped == states.count(State.DROPPED_FULL) + states.count(State.DROPPED_OLD)
    assert len(found) == told.undelivered + told.dead + told.dropped
    assert {each.kind for each in found} <= set(KINDS)
    assert all((each.number + 1000, each.endpoint) == (each.row_id, A) for each in found)


def test_counts_add_up_and_follow_what_changed() -> None:
    """Windows are summed, and a difference that is none any more is counted as what it is."""
    counts = Counts(confirmed=1, undelivered=2).plus(Counts(dead=1, undelivered=1))
    assert counts == Counts(confirmed=1, undelivered=3, dead=1)
    assert counts.changed("undelivered", "waiting") == Counts(confirmed=1, undelivered=2, dead=1, waiting=1)
    assert counts.changed("dead", None) == Counts(confirmed=1, undelivered=3)


@given(now_ms=st.integers(0, 2**45), jitter=st.floats(0, 1))
def test_each_night_has_one_run(now_ms: int, jitter: float) -> None:
    """Between 0:00 and 6:00 UTC of the next day, wherever now is."""
    at_ms = next_run_ms(now_ms, every_s=86_400, jitter=jitter)
    assert at_ms > now_ms
    assert at_ms // (24 * HOUR_MS) == now_ms // (24 * HOUR_MS) + 1
    assert at_ms % (24 * HOUR_MS) <= 6 * HOUR_MS
