"""What the settings say about readings, and what these cost."""

from collections.abc import Sequence

from relay.config import Settings
from relay.domain.reading.plan import Overlap, Plan, requests_per_hour


def plan_of(settings: Settings) -> Plan:
    """Which readings every route has."""
    return Plan(
        overlap=Overlap(
            rows=settings.overlap_rows,
            seconds=settings.overlap_seconds,
            interval_seconds=settings.overlap_interval_seconds,
        ),
        gap_deadline_s=settings.gap_deadline_seconds,
        change_schedule_s=settings.change_schedule,
        requests_per_hour=settings.reading_requests_per_hour,
    )


PLANNED_ROWS = (0, 1_000, 10_000, 100_000)
"""Rows an hour for which the requests of one route are shown."""


def planned_requests(settings: Settings) -> dict[str, str]:
    """How many requests an hour the readings behind a cursor need for one route that is polled each minute.

    By rows an hour, with pages of 1,000 rows. All routes of a source share the budget.
    """
    plan = plan_of(settings)
    costs = {rows: requests_per_hour(plan, rows_per_hour=rows, batch_size=1000, poll_s=60.0) for rows in PLANNED_ROWS}
    shown = {
        f"at_{rows}_rows_an_hour": f"{cost.overlap:.0f} requests an hour, and {cost.budgeted:.0f} of the budget"
        for rows, cost in costs.items()
    }
    return {"readings": _in_words(plan), "budget": f"{plan.requests_per_hour} requests an hour and source", **shown}


UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def _in_words(plan: Plan) -> str:
    changed = [each.distance_s for each in plan.followers if each.mode == "rows"]
    gaps = [each.distance_s for each in plan.followers if each.mode == "gaps"]
    parts = [f"the newest rows every {_length(plan.overlap.interval_seconds).removeprefix('1 ')}"]
    parts += [f"changed rows after {_listed(changed)}"] if changed else []
    parts += [f"gaps between rowIds after {_listed(gaps)}"] if gaps else []
    return ", ".join(parts)


def _listed(distances_s: Sequence[float]) -> str:
    *most, last = map(_length, distances_s)
    return f"{', '.join(most)} and {last}" if most else last


def _length(seconds: float) -> str:
    """In the largest unit of which it is a whole number.

    >>> _length(7200), _length(90), _length(60), _length(0.5)
    ('2 hours', '90 seconds', '1 minute', '0.5 seconds')
    """
    for unit_s, unit in UNITS:
        if seconds % unit_s == 0:
            number = round(seconds / unit_s)
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    return f"{seconds:g} seconds"
