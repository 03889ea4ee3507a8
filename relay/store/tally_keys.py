"""The keys of tallies: see relay.domain.tallies. A script writes them in the step that records the attempts."""

from relay.domain.model import EndpointId, SourceUid
from relay.domain.tallies import Unit
from relay.store.keys import config, prefix

USAGE = config("usage")
"""hash: id → a task that aggregated statistics, with its result: the newest 20. Lives seven days after the last one."""


def tally(source: SourceUid, endpoint: EndpointId) -> str:
    """string: `{minute} {marks} {marks}`: the minute since 1970 that is under way, its attempts, and those of the
    minutes that ended in the same hour, as `{mark}:{count},…`. Lives 15 days after the last attempt. Before, it was a
    hash under `tally:`."""
    return f"{prefix(source)}tally_now:{endpoint}"


def ended(source: SourceUid, endpoint: EndpointId, unit: Unit) -> str:
    """list: `{number} {mark}:{count},…` of the newest minutes, or hours, that ended and had attempts. Lives as long."""
    return f"{prefix(source)}tally_{unit}s:{endpoint}"


def failing(source: SourceUid) -> str:
    """zset: endpoints, by the ms of their last failed attempt. Lives a day from the last one."""
    return prefix(source) + "failing"
