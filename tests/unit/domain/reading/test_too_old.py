"""Which rows are read again for a replay whose events are gone."""

import pytest

from relay.domain.books import State
from relay.domain.model import ApplicationId, EndpointId
from relay.domain.reading.too_old import TooOld, chosen
from relay.domain.replaying import Chosen, Replay, Wanted, is_within, short_of

CONFIRMED, DEAD, WAITING, NOT_OWED, REPLACED = (
    State.CONFIRMED, State.DEAD, State.WAITING, State.NOT_OWED, State.REPLACED,
)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "states", "expected"),
    [
        ("dead", [DEAD], 10),
        ("dead", [CONFIRMED], None),
        ("dead", [DEAD, CONFIRMED], None),  # The endpoint has a newer state of the row.
        ("dead", [CONFIRMED, DEAD], 20),
        ("dead", [DEAD, NOT_OWED], 10),  # The later one is another endpoint's.
        ("dead", [DEAD, WAITING], None),
        ("dead", [REPLACED, CONFIRMED], None),
        ("dead", [CONFIRMED, NOT_OWED, DEAD], None),  # 30 is behind the range.
        ("never", [NOT_OWED], 10),
        ("never", [CONFIRMED, NOT_OWED], None),
        ("delivered", [CONFIRMED, REPLACED], 10),
    ],
)
def test_the_last_event_that_was_owed_decides(wanted: Chosen, states: list[State], expected: int | None) -> None:
    """Numbers are 10, 20, 30; those from 5 to 20 can be chosen."""
    too_old = TooOld(task="qtask_1", endpoint=EndpointId("ep_1"), states=(wanted,), first=5, last=20)
    assert chosen(too_old, [10, 20, 30][: len(states)], states) == expected


def test_gone_events_widen_the_range_and_are_counted() -> None:
    """Numbers of which the books say nothing may have been nobody's, so they are not counted."""
    replay = Replay(
        id="qtask_1", kind="endpoint.replay", application=ApplicationId("app_1"), endpoint=EndpointId("ep_1"),
        wanted=Wanted(states=("never", "dead")), end=99, created_ms=1, updated_ms=1,
    )  # fmt: skip
    first = short_of(replay, [(3, CONFIRMED), (4, NOT_OWED), (5, DEAD), (6, CONFIRMED)])
    assert (first.too_old, first.gone_first, first.gone_last) == (1, 4, 5)
    second = short_of(first, [(8, DEAD)])
    assert (second.too_old, second.gone_first, second.gone_last) == (2, 4, 8)
    assert short_of(second, [(9, CONFIRMED)]) == second


@pytest.mark.parametrize(
    ("oldest", "newest", "expected"), [(0, 9, False), (0, 10, True), (19, 30, True), (20, 30, False)]
)
def test_a_block_is_within_a_time(oldest: int, newest: int, expected: bool) -> None:
    """If any of its events can be."""
    assert is_within(Wanted(states=("dead",), since_ms=10, until_ms=20), oldest_ms=oldest, newest_ms=newest) is expected
