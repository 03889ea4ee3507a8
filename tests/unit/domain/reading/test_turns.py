"""Whose turn it is: new rows first, and nobody starves."""

from relay.domain.reading.turns import NEVER_MS, Turn, next_turn, others_wait, wanted_ms

POLL = Turn(1_000, "calls")
OVERLAP = Turn(1_000, "calls", "overlap", patience_ms=1_000)
PROBE = Turn(900, "calls", "gap.1200", patience_ms=10_000, takes_ms=200)


def test_pages_ahead_of_the_cursor_go_first() -> None:
    """Also when a reading has been due for longer."""
    assert next_turn([PROBE, OVERLAP, POLL], 1_000) == POLL
    assert next_turn([PROBE, OVERLAP, POLL], 1_900) == POLL


def test_a_reading_uses_the_time_between_polls() -> None:
    """It begins only if it will be done before the next poll is due, judged by its last page."""
    assert next_turn([PROBE, POLL._replace(due_ms=1_100)], 900) == PROBE
    assert next_turn([PROBE, POLL._replace(due_ms=1_099)], 900) is None
    assert next_turn([PROBE], 899) is None
    assert next_turn([], 899) is None


def test_nobody_starves() -> None:
    """A reading that waited for as long as its patience is as urgent as a poll, and was due before it."""
    always = POLL._replace(due_ms=20_000)
    assert next_turn([PROBE, always], 10_899) == PROBE
    busy = POLL._replace(due_ms=10_950)
    assert next_turn([PROBE, busy], 10_950) == PROBE
    assert next_turn([PROBE._replace(due_ms=960), busy], 10_955) == busy


def test_readings_of_one_budget_take_turns() -> None:
    """All of them are due when the budget allows it. The one that had its last page longest ago goes first."""
    ready = [Turn(5_000, "calls", name, patience_ms=10_000, since_ms=since_ms) for name, since_ms in READY]
    for now_ms in (5_000, 20_000):
        first = next_turn([*ready, POLL._replace(due_ms=30_000)], now_ms)
        assert first is not None
        assert first.reading == "change.900"


READY = (("backfill.bf_1", 4_900), ("change.900", 3_000), ("gap.1200", 4_000))


def test_the_longest_overdue_route_is_next() -> None:
    """Routes take turns."""
    assert next_turn([POLL, POLL._replace(route="goals", due_ms=999)], 2_000).route == "goals"  # type: ignore[union-attr]


def test_when_somebody_wants_something() -> None:
    """A turn that is due and has to wait wants to be looked at when it becomes urgent, or when another one is due."""
    assert wanted_ms([PROBE], 950) == 950
    assert wanted_ms([PROBE, POLL._replace(due_ms=1_000)], 950) == 1_000
    assert wanted_ms([POLL, OVERLAP], 500) == 1_000
    assert wanted_ms([], 500) == NEVER_MS


def test_others_that_wait() -> None:
    """A page is fetched ahead unless somebody else is urgent."""
    assert not others_wait([PROBE, POLL], 1_000, but=POLL)
    assert others_wait([PROBE, POLL], 10_900, but=POLL)
    assert others_wait([OVERLAP, POLL], 2_000, but=POLL)
    assert others_wait([POLL, POLL._replace(route="goals")], 1_000, but=POLL)
