"""How a filter names a field of an event: a dotted path into the trigger, or into `data` around it."""

from collections.abc import Callable
from typing import Any

from relay.domain.normalising import KINDS, Kind

ENVELOPE_FIELDS = frozenset({"source", "igrp", "rowId", "revision", "classes", "trigger", "previous"})
"""What a path names in `data` itself; every other path begins in the trigger."""


class _Missing:
    """Stands for a field that an event does not have: it equals nothing, and has no order."""


MISSING = _Missing()


def reader(path: str) -> Callable[[dict[str, Any]], Any]:
    """A function that finds a dotted path in an event's data, or MISSING. Lists give the list of what is found."""
    first, *rest = path.split(".")
    if first in ENVELOPE_FIELDS:
        return (lambda data: _walk(data.get(first, MISSING), rest)) if rest else lambda data: data.get(first, MISSING)
    if not rest:
        return lambda data: data["trigger"].get(path, MISSING)

    def _read(data: dict[str, Any]) -> Any:
        # A column whose own name has a dot comes before a walk into one.
        trigger = data["trigger"]
        return trigger[path] if path in trigger else _walk(trigger.get(first, MISSING), rest)

    return _read


def kind_of(path: str) -> Kind | None:
    """What a field holds, if that is known.

    >>> kind_of("callDuration"), kind_of("previous.rec"), kind_of("igrp"), kind_of("c_plan")
    ('number', 'flag', 'number', None)
    """
    if path in ("igrp", "revision"):
        return "number"
    return KINDS.get(path.removeprefix("trigger.").removeprefix("previous."))


def _walk(value: Any, names: list[str]) -> Any:
    for index, name in enumerate(names):
        if isinstance(value, list):
            found = [inner for item in value if (inner := _walk(item, names[index:])) is not MISSING]
            return found or MISSING
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value
