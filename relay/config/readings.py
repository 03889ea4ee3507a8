"""What the settings say about readings, and what these cost."""

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
    names = " ".join(reading.name for reading in plan.readings)
    return {"readings": names, "budget": f"{plan.requests_per_hour} requests an hour and source", **shown}
