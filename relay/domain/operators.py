"""The operators of filters: each builds, from its operand, a test of one field's value."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from relay.domain.normalising import read_number
from relay.domain.paths import MISSING, kind_of
from relay.errors import Fault, Invalid

MAX_VALUES = 1000

T = TypeVar("T")
Path = tuple[str | int, ...]
"""Where in the filter a condition stands, for the words of a refusal."""
ValueTest = Callable[[Any], bool]
Build = Callable[[str, Any, Path], ValueTest]
"""From a field's name, an operand and its place in the filter to a test; raises Invalid."""


def refuse(path: Path, message: str) -> NoReturn:
    """Raise Invalid with one fault."""
    raise Invalid(Fault(path, message))


def items(value: Any, path: Path) -> Iterable[tuple[int, Any]]:
    """Number the entries of a list that must not be empty; raises Invalid."""
    if not isinstance(value, list) or not value:
        refuse(path, "must be a list with at least one entry")
    return enumerate(value)


def as_number(value: Any) -> int | Decimal | None:
    """The number that a value is, or that its text plainly is: `5`, `"5"` and `"5.0"` are all 5, True is none."""
    kind = type(value)
    if kind is int or kind is Decimal:
        return value  # type: ignore[no-any-return]
    if kind is str:
        return read_number(value)
    return Decimal(repr(value)) if kind is float else None


def comparable(name: str, value: Any, path: Path) -> Any:
    """A value to compare with: text, a number, true, false or null, of a kind that the field can have; else Invalid."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if not (value is None or isinstance(value, str | int) or (isinstance(value, Decimal) and value.is_finite())):
        refuse(path, "must be text, a number, true, false or null; for one of several values use $in")
    kind = kind_of(name)
    if value is None or kind not in ("number", "flag"):
        return value
    # Text would never match here, and a filter that passes nothing is worse than one that is refused.
    if kind == "flag" and not isinstance(value, bool):
        refuse(path, f"{name} is a flag: compare it with true, false or null")
    if kind == "number" and isinstance(value, bool | str):
        refuse(path, f"{name} is a number: compare it with a number or null")
    return value


def all_of(tests: list[Callable[[T], bool]]) -> Callable[[T], bool]:
    """Whether every test passes; without a loop for the usual one or two."""
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda subject: first(subject) and second(subject)
    return lambda subject: all(test(subject) for test in tests)


def any_of(tests: list[Callable[[T], bool]]) -> Callable[[T], bool]:
    """Whether some test passes."""
    return lambda subject: any(test(subject) for test in tests)


def _each(test: ValueTest) -> ValueTest:
    """A list passes if one of its entries does: `{"classes": "goal"}`."""
    return lambda value: any(map(test, value)) if type(value) is list else test(value)


def equal(operand: Any) -> ValueTest:
    """Whether a value is this one: numbers by what they are worth, also where they stand as text."""
    if operand is None or isinstance(operand, bool):
        return _each(lambda value: value is operand)
    if isinstance(operand, str):
        return lambda value: value == operand or (type(value) is list and operand in value)
    return _each(lambda value: as_number(value) == operand)


def _one_of(operands: list[Any]) -> ValueTest:
    texts = frozenset(each for each in operands if isinstance(each, str))
    rest = [equal(each) for each in operands if not isinstance(each, str)]

    return _each(lambda value: (type(value) is str and value in texts) or any(other(value) for other in rest))


def _ordered(passes: Callable[[Any, Any], bool]) -> Build:
    def _build(name: str, operand: Any, path: Path) -> ValueTest:
        operand = comparable(name, operand, path)
        if isinstance(operand, str):
            return _each(lambda value: type(value) is str and passes(value, operand))
        if operand is None or isinstance(operand, bool):
            refuse(path, "must be a number or text")
        return _each(lambda value: (number := as_number(value)) is not None and passes(number, operand))

    return _build


def _textual(passes: Callable[[str, str], bool]) -> Build:
    def _build(name: str, operand: Any, path: Path) -> ValueTest:
        if not isinstance(operand, str):
            refuse(path, "must be text")
        if kind_of(name) in ("number", "flag"):
            refuse(path, f"{name} is no text")
        return _each(lambda value: type(value) is str and passes(value, operand))

    return _build


def _in(name: str, operand: Any, path: Path) -> ValueTest:
    values = [comparable(name, value, (*path, index)) for index, value in items(operand, path)]
    if len(values) > MAX_VALUES:
        refuse(path, f"has {len(values)} values, {MAX_VALUES} are the most")
    return _one_of(values)


def _negated(build: Build) -> Build:
    def _negate(name: str, operand: Any, path: Path) -> ValueTest:
        test = build(name, operand, path)
        return lambda value: not test(value)

    return _negate


def _eq(name: str, operand: Any, path: Path) -> ValueTest:
    return equal(comparable(name, operand, path))


def _exists(_name: str, operand: Any, path: Path) -> ValueTest:
    if not isinstance(operand, bool):
        refuse(path, "must be true or false")
    return lambda value: (value is not MISSING) is operand


OPERATORS: dict[str, Build] = {
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
"""By name. `$and`, `$or` and `$not` are not here: they take conditions."""
