"""Filters: conditions on an event, compiled once into closures when an endpoint or application is read.

`{"callDuration": {"$gte": 60}, "$or": [{"goal": "12"}, {"classes": "transaction"}]}`. docs/events.md tells subscribers
what each operator does; whatever is no filter is refused with the path to the fault. Stored filters are compiled by
these rules; one that somebody writes must also keep those of relay.domain.vetting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from relay.domain.operators import (
    LOGIC,
    OPERATORS,
    Path,
    ValueTest,
    all_of,
    any_of,
    comparable,
    equal,
    items,
    nearest,
    refuse,
)
from relay.domain.paths import reader

MAX_BYTES = 1 << 16
MAX_DEPTH = 8
MAX_CONDITIONS = 256

FIELDS = "$fields"
"""At the top of a filter: columns that the relay does not know, and that the filter may name. Matching ignores it."""
Data = dict[str, Any]
"""The `data` of a body, see relay.domain.envelope."""
DataTest = Callable[[Data], bool]


class Discriminator(NamedTuple):
    """A field that must have one of some values, or the filter fails: what endpoints can be indexed by."""

    path: str
    values: frozenset[str | int | Decimal]


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter. `test` is the same as calling it, and quicker."""

    test: DataTest
    discriminators: tuple[Discriminator, ...] = ()
    cost: int = 1
    """How many conditions a test may have to look at: a measure of its time."""

    def __call__(self, data: Data) -> bool:
        """Whether an event passes; `data` is that of relay.domain.envelope."""
        return self.test(data)

    @property
    def discriminator(self) -> Discriminator | None:
        """The first field that the filter pins to some values, if there is one."""
        return self.discriminators[0] if self.discriminators else None


def compile_filter(source: dict[str, Any]) -> Filter:
    """Compile a filter. Raises Invalid with the path into the filter where it is wrong or too large."""
    try:
        size = len(msgspec.json.encode(source))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        refuse((), 'must be a JSON object of conditions, for example {"act": "call"}')
    if size > MAX_BYTES:
        refuse((), f"has {size} bytes; a filter can have at most {MAX_BYTES}")
    return _Compiler().compile(source)


def both(first: Filter, second: Filter) -> Filter:
    """The filter that passes what both pass."""
    discriminators = (*first.discriminators, *second.discriminators)
    return Filter(all_of([first.test, second.test]), discriminators, first.cost + second.cost)


class _Compiler:
    """One filter on its way from JSON to closures, counting its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def compile(self, source: Any) -> Filter:
        """Compile a whole filter; raises Invalid."""
        found: list[Discriminator] = []
        if isinstance(source, dict) and FIELDS in source:
            source = {name: value for name, value in source.items() if name != FIELDS}
        test = self._object(source, (), 0, found)
        return Filter(test, tuple(found), self._conditions)

    def _object(self, source: Any, path: Path, depth: int, found: list[Discriminator] | None) -> DataTest:
        """`found` gathers discriminators, and is None below `$or` and `$not`, where nothing must hold."""
        if not isinstance(source, dict):
            refuse(path, 'must be an object of conditions, for example {"act": "call"}')
        self._count(path, depth)
        tests = [self._entry(name, value, (*path, name), depth + 1, found) for name, value in source.items()]
        return all_of(tests)

    def _entry(self, name: str, value: Any, path: Path, depth: int, found: list[Discriminator] | None) -> DataTest:
        if name == "$not":
            inner = self._object(value, path, depth, None)
            return lambda data: not inner(data)
        if name in ("$and", "$or"):
            below = found if name == "$and" else None
            tests = [self._object(item, (*path, index), depth, below) for index, item in items(value, path)]
            return all_of(tests) if name == "$and" else any_of(tests)
        if name.startswith("$"):
            refuse(path, f"{name} is not allowed here: use a field's name, $and, $or or $not{nearest(name, LOGIC)}")
        read = reader(name)
        test = self._conditions_on(name, value, path, depth)
        if found is not None and (values := _pinned(value)):
            found.append(Discriminator(name, values))
        return lambda data: test(read(data))

    def _conditions_on(self, name: str, value: Any, path: Path, depth: int) -> ValueTest:
        self._count(path, depth)
        if not isinstance(value, dict):
            return equal(comparable(name, value, path))
        if not value:
            refuse(path, "is empty: give a value, or an object with at least one operator")
        return all_of([self._operator(name, op, operand, (*path, op), depth + 1) for op, operand in value.items()])

    def _operator(self, name: str, op: str, operand: Any, path: Path, depth: int) -> ValueTest:
        self._count(path, depth)
        if op == "$not":
            inner = self._conditions_on(name, operand, path, depth)
            return lambda value: not inner(value)
        if op in ("$and", "$or"):
            tests = [self._conditions_on(name, item, (*path, index), depth + 1) for index, item in items(operand, path)]
            return all_of(tests) if op == "$and" else any_of(tests)
        build = OPERATORS.get(op)
        if build is None:
            known = (*OPERATORS, *LOGIC)
            refuse(path, f"{op} is not an operator{nearest(op, known)}. Operators are: {', '.join(known)}")
        return build(name, operand, path)

    def _count(self, path: Path, depth: int) -> None:
        self._conditions += 1
        if depth > MAX_DEPTH:
            refuse(path, f"is nested too deeply: a filter can have at most {MAX_DEPTH} levels")
        if self._conditions > MAX_CONDITIONS:
            refuse(path, f"is one condition too many: a filter can have at most {MAX_CONDITIONS}")


def _pinned(value: Any) -> frozenset[str | int | Decimal] | None:
    """The values that conditions on one field leave open, if they are few and can be looked up."""
    if isinstance(value, dict):
        if "$in" in value:
            value = value["$in"]
        elif "$eq" in value:
            value = value["$eq"]
        else:
            return None
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, bool) or each is None for each in values):
        return None
    return frozenset(Decimal(repr(each)) if isinstance(each, float) else each for each in values)
