"""Settings that contradict each other."""

from collections.abc import Mapping
from typing import Any

from relay.errors import Fault

SHED, STOP, RESUME = "RELAY_MEMORY_SHED_SHARE", "RELAY_MEMORY_STOP_SHARE", "RELAY_MEMORY_RESUME_SHARE"
MOST, FEWER = "RELAY_BACKLOG_STOP_DELIVERIES", "RELAY_BACKLOG_RESUME_DELIVERIES"


def disorder(values: Mapping[str, Any]) -> list[Fault]:
    """Limits that are on the wrong side of each other; `values` has every variable."""
    rules = [
        (STOP, values[STOP] >= values[SHED], f"not be below {SHED}"),
        (RESUME, values[RESUME] < values[STOP], f"be below {STOP}"),
        (FEWER, values[FEWER] < values[MOST], f"be below {MOST}"),
    ]
    return [Fault((name,), f"must {rule}") for name, holds, rule in rules if not holds]
