"""The operators of filters: each builds, from its operand, a test of one field's value."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from relay.domain.normalising import read_number, read_time
from relay.domain.paths import MISSING, kind_of
from relay.errors import Fault, Invalid

MAX_VALUES = 1000
"""In one list of values."""
MAX_ENTRIES = 1000
"""How many entries of a list in an event are looked at: a row of a mebibyte can hold half a million."""
LONGEST_WORD = 64
"""How much of an unknown word is compared with known ones."""
LONGEST_SHOWN = 100
"""How much of a word a refusal shows."""
MAX_SEARCHED = 1 << 16
"""How many characters of a text `$contains` searches."""

T = TypeVar("T")
Path = tuple[str | int, ...]
"""Where in the filter a condition stands, for the words of a refusal."""
ValueTest = Callable[[Any], bool]
Build = Callable[[str, Any, Path], ValueTest]
"""From a field's name, an operand and its place in the filter to a test; raises Invalid."""


def refuse(path: Path, message: str) -> NoReturn:
    """Raise Invalid with one fault."""
    raise Invalid(Fault(path, message))


def shown(word: Any) -> str:
    """A word of a filter as a refusal shows it: cut, and objects by their class only."""
    text = word if isinstance(word, str) else str(word) if isinstance(word, int) else type(word).__name__
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the known word that is most like another, if one is; for the end of a refusal."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(word[:LONGEST_WORD].lower(), by_lower, n=1, cutoff=0.7)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""


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
        refuse(path, "must be text, a number, true, false or null; to allow several values, use $in with a list")
    kind = kind_of(name)
    if kind == "time" and isinstance(value, str):
        # Events write times in one form, so a filter may use any: with a fraction or without, with an offset or in UTC.
        return read_time(value) or value
    if value is None or kind not in ("number", "flag"):
        return value
    # Text would never match here, and a filter that passes nothing is worse than one that is refused.
    if kind == "flag" and not isinstance(value, bool):
        refuse(path, f"must be true, false or null, because {name} is a flag")
    if kind == "number" and isinstance(value, bool | str):
        refuse(path, f"must be a number or null, because {name} is a number")
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
    """Whether some test passes; without a loop for the usual two."""
    if len(tests) == 2:
        first, second = tests
        return lambda subject: first(subject) or second(subject)
    return lambda subject: any(test(subject) for test in tests)


def _each(test: ValueTest) -> ValueTest:
    """A list passes if one of its entries does: `{"classes": "goal"}`."""
    return lambda value: any(map(test, value[:MAX_ENTRIES])) if type(value) is list else test(value)


def equal(operand: Any) -> ValueTest:
    """Whether a value is this one: numbers by what they are worth, also where they stand as text."""
    if operand is None or isinstance(operand, bool):
        return _each(lambda value: value is operand)
    if isinstance(operand, str):
        return lambda value: value == operand or (type(value) is list and operand in value[:MAX_ENTRIES])
    return _each(lambda value: as_number(value) == operand)


def _one_of(operands: list[Any]) -> ValueTest:
    """Whether a value is one of many: two lookups at most, however many there are."""
    texts = frozenset(each for each in operands if type(each) is str)
    constants = tuple({each for each in operands if each is None or type(each) is bool})
    # Equal numbers have equal hashes, whether they are ints or Decimals.
    numbers = frozenset(each for each in operands if type(each) is int or type(each) is Decimal)
    if not numbers and not constants:
        return _each(lambda value: type(value) is str and value in texts)

    def _is_one(value: Any) -> bool:
        if type(value) is str and value in texts:
            return True
        if any(value is each for each in constants):
            return True
        return bool(numbers) and (number := as_number(value)) is not None and number in numbers

    return _each(_is_one)


def _ordered(passes: Callable[[Any, Any], bool]) -> Build:
    def _build(name: str, operand: Any, path: Path) -> ValueTest:
        kind = kind_of(name)
        if kind == "flag":
            refuse(path, f"{name} is a flag, and flags have no order: compare it with $eq")
        if operand is None or isinstance(operand, bool) or (kind == "number" and isinstance(operand, str)):
            allowed = "a number" if kind == "number" else "a number or text"
            refuse(path, f"must be {allowed}: {name} is compared by its order")
        operand = comparable(name, operand, path)
        if isinstance(operand, str):
            return _each(lambda value: type(value) is str and passes(value, operand))
        return _each(lambda value: (number := as_number(value)) is not None and passes(number, operand))

    return _build


def _textual(passes: Callable[[str, str], bool]) -> Build:
    def _build(name: str, operand: Any, path: Path) -> ValueTest:
        if not isinstance(operand, str):
            refuse(path, "must be text")
        if kind_of(name) in ("number", "flag"):
            refuse(path, f"works on text, and {name} is a {kind_of(name)}: use $eq, $in, $gt, $gte, $lt or $lte")
        return _each(lambda value: type(value) is str and passes(value, operand))

    return _build


def _in(name: str, operand: Any, path: Path) -> ValueTest:
    if isinstance(operand, list) and len(operand) > MAX_VALUES:
        refuse(path, f"has {len(operand)} values; one list can have at most {MAX_VALUES}")
    plain = kind_of(name) not in ("number", "flag", "time")
    values = [
        value if plain and type(value) in (str, int) else comparable(name, value, (*path, index))
        for index, value in items(operand, path)
    ]
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
    "$contains": _textual(lambda value, operand: value.find(operand, 0, MAX_SEARCHED) >= 0),
    "$exists": _exists,
}
"""By name. Those of LOGIC are not here: they take conditions."""
LOGIC = ("$and", "$or", "$not")
