"""Filters: conditions on an event, compiled once into closures when an endpoint or application is read.

`{"callDuration": {"$gte": 60}, "$or": [{"goal": "12"}, {"classes": "transaction"}]}`. docs/events.md tells subscribers
what each operator does; whatever is no filter is refused with the path to the fault.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

import msgspec

from relay.domain.normalising import KINDS, read_number
from relay.errors import Fault, Invalid

MAX_BYTES = 1 << 16
MAX_DEPTH = 8
MAX_CONDITIONS = 256
MAX_VALUES = 1000

ENVELOPE_FIELDS = frozenset({"source", "igrp", "rowId", "revision", "classes", "trigger", "previous"})
"""What a path names in `data` itself; every other path begins in the trigger."""

Path = tuple[str | int, ...]
Data = dict[str, Any]
Scalar = str | int | Decimal | None
DataTest = Callable[[Data], bool]
ValueTest = Callable[[Any], bool]


class _Missing:
    """Stands for a field that an event does not have: it equals nothing, and has no order."""


MISSING = _Missing()


class Discriminator(NamedTuple):
    """A field that must have one of some values, or the filter fails: what endpoints can be indexed by."""

    path: str
    values: frozenset[str | int | Decimal]


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter. `test` is the same as calling it, and quicker."""

    test: DataTest
    discriminators: tuple[Discriminator, ...] = ()

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
        _refuse((), "is no JSON object that could be a filter")
    if size > MAX_BYTES:
        _refuse((), f"has {size} bytes, {MAX_BYTES} are the most")
    return _Compiler().compile(source)


def both(first: Filter, second: Filter) -> Filter:
    """The filter that passes what both pass."""
    return Filter(_all_data([first.test, second.test]), (*first.discriminators, *second.discriminators))


def reader(path: str) -> Callable[[Data], Any]:
    """A function that finds a dotted path in an event's data, or MISSING. Lists give the list of what is found."""
    first, *rest = path.split(".")
    if first in ENVELOPE_FIELDS:
        return (lambda data: _walk(data.get(first, MISSING), rest)) if rest else lambda data: data.get(first, MISSING)
    if not rest:
        return lambda data: data["trigger"].get(path, MISSING)

    def read(data: Data) -> Any:
        # A column whose own name has a dot comes before a walk into one.
        trigger = data["trigger"]
        return trigger[path] if path in trigger else _walk(trigger.get(first, MISSING), rest)

    return read


def as_number(value: Any) -> int | Decimal | None:
    """The number that a value is, or that its text plainly is: `5`, `"5"` and `"5.0"` are all 5, True is none."""
    kind = type(value)
    if kind is int or kind is Decimal:
        return value  # type: ignore[no-any-return]
    if kind is str:
        return read_number(value)
    return Decimal(repr(value)) if kind is float else None


def _walk(value: Any, names: list[str]) -> Any:
    for index, name in enumerate(names):
        if isinstance(value, list):
            found = [inner for item in value if (inner := _walk(item, names[index:])) is not MISSING]
            return found or MISSING
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _refuse(path: Path, message: str) -> NoReturn:
    raise Invalid(Fault(path, message))


class _Compiler:
    """One filter on its way from JSON to closures, counting its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def compile(self, source: Any) -> Filter:
        found: list[Discriminator] = []
        return Filter(self._object(source, (), 0, found), tuple(found))

    def _object(self, source: Any, path: Path, depth: int, found: list[Discriminator] | None) -> DataTest:
        """`found` gathers discriminators, and is None below `$or` and `$not`, where nothing must hold."""
        if not isinstance(source, dict):
            _refuse(path, "must be an object of conditions")
        self._count(path, depth)
        tests = [self._entry(name, value, (*path, name), depth + 1, found) for name, value in source.items()]
        return _all_data(tests)

    def _entry(self, name: str, value: Any, path: Path, depth: int, found: list[Discriminator] | None) -> DataTest:
        if name == "$not":
            inner = self._object(value, path, depth, None)
            return lambda data: not inner(data)
        if name in ("$and", "$or"):
            below = found if name == "$and" else None
            tests = [self._object(item, (*path, index), depth, below) for index, item in _items(value, path)]
            return _all_data(tests) if name == "$and" else _any_of(tests)
        if name.startswith("$"):
            _refuse(path, "is no operator between conditions: use $and, $or or $not")
        read = reader(name)
        test = self._conditions_on(name, value, path, depth)
        if found is not None and (values := _pinned(value)):
            found.append(Discriminator(name, values))
        return lambda data: test(read(data))

    def _conditions_on(self, name: str, value: Any, path: Path, depth: int) -> ValueTest:
        self._count(path, depth)
        if not isinstance(value, dict):
            return _equal(_operand(name, value, path))
        if not value:
            _refuse(path, "needs a value or an operator")
        return _all_values([self._operator(name, op, operand, (*path, op), depth + 1) for op, operand in value.items()])

    def _operator(self, name: str, op: str, operand: Any, path: Path, depth: int) -> ValueTest:
        self._count(path, depth)
        if op == "$not":
            inner = self._conditions_on(name, operand, path, depth)
            return lambda value: not inner(value)
        if op in ("$and", "$or"):
            tests = [
                self._conditions_on(name, item, (*path, index), depth + 1) for index, item in _items(operand, path)
            ]
            return _all_values(tests) if op == "$and" else _any_of(tests)
        build = _OPERATORS.get(op)
        if build is None:
            _refuse(path, f"is no operator; these are: {', '.join((*_OPERATORS, '$and', '$or', '$not'))}")
        return build(name, operand, path)

    def _count(self, path: Path, depth: int) -> None:
        self._conditions += 1
        if depth > MAX_DEPTH:
            _refuse(path, f"is nested too deeply: {MAX_DEPTH} levels are the most")
        if self._conditions > MAX_CONDITIONS:
            _refuse(path, f"is one condition too many: {MAX_CONDITIONS} are the most")


def _items(value: Any, path: Path) -> Iterable[tuple[int, Any]]:
    if not isinstance(value, list) or not value:
        _refuse(path, "must be a list with at least one entry")
    return enumerate(value)


def _operand(name: str, value: Any, path: Path) -> Any:
    """A value to compare with: text, a number, true, false or null, of a kind that the field can have."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if value is not None and not isinstance(value, str | int | Decimal):
        _refuse(path, "must be text, a number, true, false or null; for one of several values use $in")
    kind = KINDS.get(name)
    if value is None or kind not in ("number", "flag"):
        return value
    # Text would never match here, and a filter that passes nothing is worse than one that is refused.
    if kind == "flag" and not isinstance(value, bool):
        _refuse(path, f"{name} is a flag: compare it with true, false or null")
    if kind == "number" and isinstance(value, bool | str):
        _refuse(path, f"{name} is a number: compare it with a number or null")
    return value


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


def _all_data(tests: list[DataTest]) -> DataTest:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda data: first(data) and second(data)
    return lambda data: all(test(data) for test in tests)


def _all_values(tests: list[ValueTest]) -> ValueTest:
    return _all_data(tests)


def _any_of(tests: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    return lambda subject: any(test(subject) for test in tests)


def _each(test: ValueTest) -> ValueTest:
    """A list passes if one of its entries does: `{"classes": "goal"}`."""
    return lambda value: any(map(test, value)) if type(value) is list else test(value)


def _equal(operand: Any) -> ValueTest:
    if operand is None or isinstance(operand, bool):
        return _each(lambda value: value is operand)
    if isinstance(operand, str):
        return lambda value: value == operand or (type(value) is list and operand in value)
    return _each(lambda value: as_number(value) == operand)


def _one_of(operands: list[Any]) -> ValueTest:
    texts = frozenset(each for each in operands if isinstance(each, str))
    rest = [_equal(each) for each in operands if not isinstance(each, str)]

    def test(value: Any) -> bool:
        return (type(value) is str and value in texts) or any(other(value) for other in rest)

    return _each(test)


def _ordered(passes: Callable[[Any, Any], bool]) -> Callable[[str, Any, Path], ValueTest]:
    def build(name: str, operand: Any, path: Path) -> ValueTest:
        operand = _operand(name, operand, path)
        if isinstance(operand, str):
            return _each(lambda value: type(value) is str and passes(value, operand))
        if operand is None or isinstance(operand, bool):
            _refuse(path, "must be a number or text")
        return _each(lambda value: (number := as_number(value)) is not None and passes(number, operand))

    return build


def _textual(passes: Callable[[str, str], bool]) -> Callable[[str, Any, Path], ValueTest]:
    def build(_name: str, operand: Any, path: Path) -> ValueTest:
        if not isinstance(operand, str):
            _refuse(path, "must be text")
        return _each(lambda value: type(value) is str and passes(value, operand))

    return build


def _in(name: str, operand: Any, path: Path) -> ValueTest:
    values = [_operand(name, value, (*path, index)) for index, value in _items(operand, path)]
    if len(values) > MAX_VALUES:
        _refuse(path, f"has {len(values)} values, {MAX_VALUES} are the most")
    return _one_of(values)


def _negated(build: Callable[[str, Any, Path], ValueTest]) -> Callable[[str, Any, Path], ValueTest]:
    def negate(name: str, operand: Any, path: Path) -> ValueTest:
        test = build(name, operand, path)
        return lambda value: not test(value)

    return negate


def _eq(name: str, operand: Any, path: Path) -> ValueTest:
    return _equal(_operand(name, operand, path))


def _exists(_name: str, operand: Any, path: Path) -> ValueTest:
    if not isinstance(operand, bool):
        _refuse(path, "must be true or false")
    return lambda value: (value is not MISSING) is operand


_OPERATORS: dict[str, Callable[[str, Any, Path], ValueTest]] = {
    "$eq": _eq,
    "$neq": _negated(_eq),
    "$ne": _negated(_eq),
    "$gt": _ordered(lambda value, operand: value > operand),
    "$gte": _ordered(lambda value, operand: value >= operand),
    "$lt": _ordered(lambda value, operand: value < operand),
    "$lte": _ordered(lambda value, operand: value <= operand),
    "$in": _in,
    "$nin": _negated(_in),
    "$startsWith": _textual(str.startswith),
    "$endsWith": _textual(str.endswith),
    "$contains": _textual(lambda value, operand: operand in value),
    "$exists": _exists,
}
