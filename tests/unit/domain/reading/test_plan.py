"""The plan: which readings there are, how often each begins, and what they cost."""

import pytest

from relay.config import Settings
from relay.config.readings import plan_of, planned_requests
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Follower, Overlap, Plan, requests_per_hour

HOUR = 3600.0


def plan(*, gaps_s: float = 86_400.0, changes_s: tuple[float, ...] = (), budget: int = 600) -> Plan:
    overlap = Overlap(rows=100_000, seconds=600, interval_seconds=60)
    return Plan(overlap=overlap, gap_deadline_s=gaps_s, change_schedule_s=changes_s, requests_per_hour=budget)


def test_the_default_readings() -> None:
    """Rows are read again after 15 minutes, 2 hours, a day and a week, and gaps are probed up to a day."""
    names = [reading.name for reading in plan_of(Settings()).readings]
    assert names == [
        "overlap", "change.900", "change.7200", "change.86400", "change.604800",
        "gap.1200", "gap.2400", "gap.4800", "gap.9600", "gap.19200", "gap.38400",
    ]  # fmt: skip


def test_a_reading_for_changes_finds_late_rows_too() -> None:
    """It reads whole rows, so gaps need no probe at the same distance: the deadline is covered all the same."""
    assert [each.name for each in plan(gaps_s=2400).followers] == ["gap.1200", "gap.2400"]
    assert [each.name for each in plan(gaps_s=2400, changes_s=(2400, 2400, 60)).followers] == [
        "change.60", "change.2400", "gap.1200",
    ]  # fmt: skip
    assert plan(gaps_s=600).followers == ()
    assert plan(gaps_s=600).longest_s == 600


def test_a_follower_reads_what_the_cursor_passed_so_long_ago() -> None:
    """From its place up to where the cursor was then: never back, and never ahead of the cursor."""
    (follower,) = plan(gaps_s=0, changes_s=(HOUR,)).followers
    place = Place(500)
    assert follower.span(place, cursor=900, then=700, first=100) == (500, 700)
    assert follower.span(place, cursor=900, then=None, first=100) == (500, 500)
    assert follower.span(place, cursor=900, then=400, first=100) == (500, 500)
    assert follower.span(place, cursor=600, then=700, first=100) == (500, 600)
    assert (follower.every_s(60), follower.every_s(3000), follower.back_s(60)) == (900, 3000, 3600)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # The overlap has one page a minute. Followers at 1, 2, 4 and 8 times 1200 s begin a round each quarter of it.
        (0, 0),
        (1000, 60 + 12 + 6 + 3 + 1.5 + 0.75 + 4 * 0.375),
    ],
)
def test_what_readings_cost(rows: float, expected: float) -> None:
    """It follows from the settings and the rate of rows."""
    cost = requests_per_hour(plan(gaps_s=38_400), rows_per_hour=rows, batch_size=1000, poll_s=60)
    assert sum(cost) == pytest.approx(expected, rel=0.3)


def test_what_the_budget_has_to_cover() -> None:
    """Everything but the overlap, at any rate: each follower reads every row once. 600 requests are 6 s apart."""
    assert plan(budget=600).spacing_ms == 6000
    cost = requests_per_hour(plan(), rows_per_hour=10**7, batch_size=1000, poll_s=60)
    assert cost.budgeted == pytest.approx(len(plan().followers) * 10**4, rel=0.01)
    assert requests_per_hour(plan(gaps_s=0), rows_per_hour=10**7, batch_size=1000, poll_s=60) == (cost.overlap, 0)


def test_names_say_the_distance() -> None:
    """A place is found again as long as the distance is in the settings."""
    assert isinstance(plan(changes_s=(0.5,)).followers[0], Follower)
    assert plan(changes_s=(0.5,)).followers[0].name == "change.0.5"


def test_operators_see_what_readings_cost() -> None:
    """The worker's first log lines say it for the settings that apply."""
    shown = planned_requests(Settings())
    assert shown["readings"] == (
        "the newest rows every minute, changed rows after 15 minutes, 2 hours, 1 day and 7 days, "
        "gaps between rowIds after 20 minutes, 40 minutes, 80 minutes, 160 minutes, 320 minutes and 640 minutes"
    )
    assert shown["budget"] == "600 requests an hour and source"
    assert shown["at_0_rows_an_hour"] == "0 requests an hour, and 0 of the budget"
    assert shown["at_100000_rows_an_hour"] == "1200 requests an hour, and 1025 of the budget"
