"""Rules that a filter must keep when somebody writes it, in addition to those that make it a filter.

Most of them find typos: a filter on a field that no event has passes nothing, or everything. What is stored already is
not measured by them, so that a stricter release stops nobody's events.
"""

from collections.abc import Collection, Iterable
from typing import Any

from relay.domain.event_types import CLASSES
from relay.domain.normalising import KINDS
from relay.domain.operators import Path, nearest, refuse, shown
from relay.domain.paths import ENVELOPE_FIELDS

MAX_PATH = 256
"""Characters of a field's path."""
MAX_STEPS = 8
"""Names in a field's path."""
MAX_ALL_VALUES = 2000
"""Values of a whole filter, over all of its conditions."""
MAX_DECLARED = 100
OPEN_PREFIXES = ("c_", "pt_")
"""Custom variables and landing tags have names of the customer's own (infinity-api.md 5)."""

_ROWS = ("trigger", "previous")
_PLAIN = ENVELOPE_FIELDS - set(_ROWS)
_NOTE = ("note", "createDatetime")
_BY_VALUE = frozenset({"$eq", "$ne", "$neq", "$in", "$nin"})


class Vetting:
    """The rules for one filter. Each method raises Invalid."""

    def __init__(self, declared: Collection[str] = ()) -> None:
        """`declared` names further columns that the filter may use: those in its `$fields`."""
        self._columns = frozenset(declared)
        self._values = 0

    def branch(self, conditions: Any, path: Path) -> None:
        """An object of conditions, inside of a filter or as the whole of it, must have one."""
        if conditions == {}:
            refuse(path, "is empty: give at least one condition, or leave it out")

    def field(self, name: str, path: Path) -> None:
        """A condition's field must be one that events can have."""
        if not name or len(name) > MAX_PATH or name.count(".") >= MAX_STEPS:
            refuse(path, f"must have 1 to {MAX_PATH} characters and at most {MAX_STEPS} names with dots between them")
        first, _, rest = name.partition(".")
        if first in _PLAIN:
            if rest:
                refuse(path, f"{first} has no fields of its own: use {first} itself")
        elif first in _ROWS:
            if rest:
                self._column(rest, path, prefix=f"{first}.")
        else:
            self._column(name, path, prefix="")

    def operand(self, name: str, op: str, operand: Any, path: Path) -> None:
        """The values of a condition must not be too many, and must be such as the field can have."""
        self._values += len(operand) if isinstance(operand, list) else 1
        if self._values > MAX_ALL_VALUES:
            refuse(path, f"is one value too many: a filter can have at most {MAX_ALL_VALUES} values in all")
        if name == "classes" and op in _BY_VALUE:
            _check_classes(operand, path)

    def _column(self, name: str, path: Path, *, prefix: str) -> None:
        first, _, rest = name.partition(".")
        if name.startswith(OPEN_PREFIXES) or name in self._columns or first in self._columns:
            return
        if first == "notes" and rest:
            if rest not in _NOTE:
                refuse(path, f"notes have the fields {' and '.join(_NOTE)}, not {shown(rest)}{nearest(rest, _NOTE)}")
        elif first not in KINDS:
            known = [*(prefix + each for each in (*KINDS, *self._columns)), *(() if prefix else ENVELOPE_FIELDS)]
            refuse(
                path,
                f"{shown(prefix + name)} is not a field of an event{nearest(prefix + name, known)}. Fields are listed"
                f" in docs/events.md; names that begin with {' or '.join(OPEN_PREFIXES)} are always allowed, and so are"
                " those listed in the filter's $fields",
            )
        elif rest:
            refuse(path, f"{shown(first)} has no fields of its own: use {shown(prefix + first)} itself")


def declared_fields(value: Any, path: Path) -> frozenset[str]:
    """What a filter's `$fields` declares. Raises Invalid."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_DECLARED:
        refuse(path, f"must be a list of 1 to {MAX_DECLARED} names of columns")
    for at, name in enumerate(value):
        if not isinstance(name, str) or not 0 < len(name) <= MAX_PATH or name.startswith("$"):
            refuse((*path, at), f"must be the name of a column: 1 to {MAX_PATH} characters, not beginning with $")
    return frozenset(value)


def _check_classes(operand: Any, path: Path) -> None:
    entries: Iterable[tuple[Path, Any]] = (
        [((*path, at), each) for at, each in enumerate(operand)] if isinstance(operand, list) else [(path, operand)]
    )
    for at, each in entries:
        if each not in CLASSES:
            near = nearest(each, CLASSES) if isinstance(each, str) else ""
            refuse(at, f"{shown(each)} is not a class{near}. Classes are: {', '.join(CLASSES)}")
