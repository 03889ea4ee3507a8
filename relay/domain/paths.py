"""How a filter names a field of an event: a dotted path into the trigger, or into `data` around it."""

from collections.abc import Callable
from itertools import chain, islice
from typing import Any

from relay.domain.normalising import KINDS, Kind

ENVELOPE_FIELDS = frozenset({"source", "igrp", "rowId", "revision", "classes", "repaired", "trigger", "previous"})
"""What a path names in `data` itself; every other path begins in the trigger."""

MOST_NODES = 1000
"""How many values a path leads to at each of its steps: what lists hold beyond them is not looked at."""


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


def columns_of(path: str) -> frozenset[str | None]:
    """The columns of the trigger that `reader` may look at; None among them: any.

    >>> sorted(columns_of("notes.text")), columns_of("classes"), columns_of("trigger")
    (['notes', 'notes.text'], frozenset(), frozenset({None}))
    """
    first, *rest = path.split(".")
    if first not in ENVELOPE_FIELDS:
        return frozenset((first, path))
    if first != "trigger":
        return frozenset()
    return frozenset((rest[0] if rest else None,))


def kind_of(path: str) -> Kind | None:
    """What a field holds, if that is known.

    >>> kind_of("callDuration"), kind_of("previous.rec"), kind_of("igrp"), kind_of("c_plan")
    ('number', 'flag', 'number', None)
    """
    if path in ("igrp", "revision"):
        return "number"
    if path == "repaired":
        return "flag"
    return KINDS.get(path.removeprefix("trigger.").removeprefix("previous."))


def _walk(value: Any, names: list[str]) -> Any:
    """What a path leads to: one value, or a flat list of those that it leads to if it passes through a list."""
    for index, name in enumerate(names):
        if isinstance(value, list):
            return _walk_lists(value, names[index:])
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _walk_lists(values: list[Any], names: list[str]) -> Any:
    for name in names:
        values = [each[name] for each in _flat(values) if isinstance(each, dict) and name in each]
        if not values:
            return MISSING
    return _flat(values)


def _flat(values: list[Any]) -> list[Any]:
    """The entries of lists inside of a list in their place, up to a bound."""
    some = values[:MOST_NODES]
    while any(isinstance(each, list) for each in some):
        inner = (each if isinstance(each, list) else (each,) for each in some)
        some = list(islice(chain.from_iterable(inner), MOST_NODES))
    return some
