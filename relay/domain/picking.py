"""The part of an event's `data` that some filters read: the rest need not be kept, nor travel between processes."""

from collections.abc import Collection
from typing import Any


def pick(data: dict[str, Any], columns: Collection[str] | None) -> dict[str, Any]:
    """Leave no other columns of the trigger in `data` than these; None: all. Gives `data`."""
    if columns is not None:
        trigger = data["trigger"]
        data["trigger"] = {name: trigger[name] for name in columns if name in trigger}
    return data
