"""Attempts of many endpoints over time, on the wire."""

from collections.abc import Sequence

from relay.api.schemas.statistics import OverTimeOut, over_time
from relay.domain.tallies import Tally, Unit


class AllHistoryOut(OverTimeOut, frozen=True, kw_only=True):
    """The attempts of many endpoints over time."""

    complete: bool
    """Whether everything is counted. One response counts 1,000 sources, or 1,000 pairs of an endpoint and a source."""


def show_all_history(
    found: Sequence[tuple[int, Tally]], *, unit: Unit, since_ms: int, until_ms: int, complete: bool
) -> AllHistoryOut:
    """Buckets, each with the ms when it began."""
    return AllHistoryOut(**over_time(found, unit, since_ms, until_ms), complete=complete)
