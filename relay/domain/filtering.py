"""Filters: conditions on an event, compiled once into closures when an endpoint or application is read.

`{"callDuration": {"$gte": 60}, "$or": [{"goal": "12"}, {"classes": "transaction"}]}`. docs/events.md tells subscribers
what each operator does; whatever is no filter is refused with the path to the fault. Stored filters are compiled by
these rules; one that somebody writes must also keep those of relay.domain.vetting.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from relay.domain.operators import (
    LOGIC,
    OPERATORS,
    Path,
    T,
    ValueTest,
    all_of,
    any_of,
    comparable,
    equal,
    items,
    nearest,
    refuse,
    shown,
)
from relay.domain.paths import columns_of, kind_of, reader
from relay.domain.vetting import Vetting, declared_fields
from relay.errors import Fault, Invalid

MAX_BYTES = 1 << 16
MAX_DEPTH = 8
MAX_CONDITIONS = 256
MAX_FAULTS = 20
"""The maximum number of faults that one answer reports."""

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
    columns: frozenset[str] | None = None
    """The columns of the trigger that a test may read; None: any."""
    fields: frozenset[str] = frozenset()
    """The fields that the filter names."""

    def __call__(self, data: Data) -> bool:
        """Whether an event passes; `data` is that of relay.domain.envelope."""
        return self.test(data)

    @property
    def discriminator(self) -> Discriminator | None:
        """The first field that the filter pins to some values, if there is one."""
        return self.discriminators[0] if self.discriminators else None


def compile_filter(source: dict[str, Any]) -> Filter:
    """Compile a filter that is stored. Raises Invalid with the paths into the filter where it is wrong or too large."""
    _check_size(source)
    return _Compiler(None).compile(source)


def vet_filter(source: dict[str, Any]) -> None:
    """Check a filter that somebody wrote: it must compile, and keep the rules of relay.domain.vetting.

    Raises Invalid with up to MAX_FAULTS faults, each with its path into the filter.
    """
    _check_size(source)
    declared = declared_fields(source[FIELDS], (FIELDS,)) if FIELDS in source else ()
    _Compiler(Vetting(declared)).compile(source)


def _check_size(source: dict[str, Any]) -> None:
    try:
        size = len(msgspec.json.encode(source))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        refuse((), 'must be a JSON object of conditions, for example {"act": "call"}')
    if size > MAX_BYTES:
        refuse((), f"has {size} bytes; a filter can have at most {MAX_BYTES}")


def both(first: Filter, second: Filter) -> Filter:
    """The filter that passes what both pass."""
    discriminators = (*first.discriminators, *second.discriminators)
    columns = None if first.columns is None or second.columns is None else first.columns | second.columns
    fields = first.fields | second.fields
    return Filter(all_of([first.test, second.test]), discriminators, first.cost + second.cost, columns, fields)


class _Compiler:
    """One filter on its way from JSON to closures, counting its conditions."""

    def __init__(self, vetting: Vetting | None) -> None:
        """`vetting`: the further rules that the filter must keep, if it must."""
        self._vetting = vetting
        self._conditions = 0
        self._columns: set[str | None] = set()
        self._fields: set[str] = set()
        self._faults: list[Fault] = []

    def compile(self, source: Any) -> Filter:
        """Compile a whole filter; raises Invalid with all of its faults."""
        found: list[Discriminator] = []
        if isinstance(source, dict) and FIELDS in source:
            source = {name: value for name, value in source.items() if name != FIELDS}
        tests = self._each([partial(self._object, source, (), 0, found)], last=True)
        if self._faults:
            raise Invalid(*self._faults)
        columns = frozenset(name for name in self._columns if name is not None)
        read = None if None in self._columns else columns
        return Filter(tests[0], tuple(found), self._conditions, read, frozenset(self._fields))

    def _each(
        self, builders: Iterable[Callable[[], Callable[[T], bool]]], *, last: bool = False
    ) -> list[Callable[[T], bool]]:
        """Tests, one after the other: a fault of one of them is noted, so that those of the next are found too."""
        tests = []
        for build in builders:
            try:
                tests.append(build())
            except Invalid as error:
                self._faults += error.faults
                if not last and (self._is_over or len(self._faults) >= MAX_FAULTS):
                    raise Invalid from None
        return tests

    def _object(self, source: Any, path: Path, depth: int, found: list[Discriminator] | None) -> DataTest:
        """`found` gathers discriminators, and is None below `$or` and `$not`, where nothing must hold."""
        if not isinstance(source, dict):
            refuse(path, 'must be an object of conditions, for example {"act": "call"}')
        self._count(path, depth)
        if self._vetting is not None:
            self._vetting.branch(source, path)
        entries = source.items()
        return all_of(
            self._each(partial(self._entry, name, value, (*path, name), depth + 1, found) for name, value in entries)
        )

    def _entry(self, name: str, value: Any, path: Path, depth: int, found: list[Discriminator] | None) -> DataTest:
        if name == "$not":
            inner = self._object(value, path, depth, None)
            return lambda data: not inner(data)
        if name in ("$and", "$or"):
            below = found if name == "$and" else None
            parts = items(value, path)
            tests = self._each(partial(self._object, item, (*path, index), depth, below) for index, item in parts)
            return all_of(tests) if name == "$and" else any_of(tests)
        if name.startswith("$"):
            refuse(
                path, f"{shown(name)} is not allowed here: use a field's name, $and, $or or $not{nearest(name, LOGIC)}"
            )
        if self._vetting is not None:
            self._vetting.field(name, path)
        read = reader(name)
        self._columns |= columns_of(name)
        self._fields.add(name)
        test = self._conditions_on(name, value, path, depth)
        # A time may be written in several forms, and an index compares texts.
        if found is not None and not self._faults and kind_of(name) != "time" and (values := _pinned(value)):
            found.append(Discriminator(name, values))
        return lambda data: test(read(data))

    def _conditions_on(self, name: str, value: Any, path: Path, depth: int) -> ValueTest:
        self._count(path, depth)
        if not isinstance(value, dict):
            self._vet(name, "$eq", value, path)
            return equal(comparable(name, value, path))
        if not value:
            refuse(path, "is empty: give a value, or an object with at least one operator")
        operators = value.items()
        return all_of(
            self._each(partial(self._operator, name, op, each, (*path, op), depth + 1) for op, each in operators)
        )

    def _operator(self, name: str, op: str, operand: Any, path: Path, depth: int) -> ValueTest:
        self._count(path, depth)
        if op == "$not":
            inner = self._conditions_on(name, operand, path, depth)
            return lambda value: not inner(value)
        if op in ("$and", "$or"):
            parts = items(operand, path)
            tests = self._each(
                partial(self._conditions_on, name, item, (*path, index), depth + 1) for index, item in parts
            )
            return all_of(tests) if op == "$and" else any_of(tests)
        build = OPERATORS.get(op)
        if build is None:
            known = (*OPERATORS, *LOGIC)
            refuse(path, f"{shown(op)} is not an operator{nearest(op, known)}. Operators are: {', '.join(known)}")
        self._vet(name, op, operand, path)
        return build(name, operand, path)

    def _vet(self, name: str, op: str, operand: Any, path: Path) -> None:
        if self._vetting is not None:
            self._vetting.operand(name, op, operand, path)

    @property
    def _is_over(self) -> bool:
        return self._conditions > MAX_CONDITIONS

    def _count(self, path: Path, depth: int) -> None:
        self._conditions += 1
        if depth > MAX_DEPTH:
            refuse(path, f"is nested too deeply: a filter can have at most {MAX_DEPTH} levels")
        if self._is_over:
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
