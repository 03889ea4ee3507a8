"""The faults of one value of a body, with messages that say what is allowed."""

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import inspect

from relay.errors import Fault

INT64 = range(-(2**63), 2**63)
GUESSED_CHARS = 64
"""The maximum length of an unknown key for which the message names a similar field."""

Path = tuple[str | int, ...]
Extra = dict[str, Any]

_SHOWN = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false", "null": "null",
    "array": "an array", "object": "an object",
}  # fmt: skip
_KINDS: dict[type[inspect.Type], str] = {
    inspect.StrType: "string", inspect.IntType: "integer", inspect.FloatType: "number", inspect.BoolType: "boolean",
    inspect.NoneType: "null", inspect.ListType: "array", inspect.DictType: "object", inspect.StructType: "object",
}  # fmt: skip
"""The JSON kind of each type. Literals have the kind of their values, and other types do not occur in bodies."""


def json_kind(value: Any) -> str:
    """The JSON kind of a parsed value. A number with a point or an exponent is not an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
    return "array" if isinstance(value, list) else "object"


def bare(kind: inspect.Type) -> tuple[inspect.Type, Extra]:
    """A type without its metadata, and its `Meta(extra=...)`."""
    extra: Extra = {}
    while isinstance(kind, inspect.Metadata):
        extra, kind = (kind.extra or {}) | extra, kind.type
    return kind, extra


def takes(kind: inspect.Type, given: str) -> bool:
    """Whether a type accepts values of a JSON kind."""
    kind, _ = bare(kind)
    if isinstance(kind, inspect.UnionType):
        return any(takes(option, given) for option in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return given in map(json_kind, kind.values)
    wanted = _KINDS[type(kind)]
    return given == wanted or (wanted, given) == ("number", "integer")


def wrong_kind(options: Iterable[inspect.Type], given: str, path: Path) -> Fault:
    """The fault of a value whose JSON kind none of the types accepts."""
    shown = []
    for kind, _ in map(bare, options):
        shown.append(one_of(kind.values) if isinstance(kind, inspect.LiteralType) else _SHOWN[_KINDS[type(kind)]])
    return Fault(path, f"must be {' or '.join(dict.fromkeys(shown))}, not {describe(given)}", "type_error")


def describe(given: str) -> str:
    """The JSON kind of a given value in words."""
    return {"number": "a decimal number", "boolean": "a boolean"}.get(given, _SHOWN[given])


def one_of(values: Iterable[Any]) -> str:
    """The allowed values in words."""
    shown = [f"`{value}`" for value in values]
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def unknown_key(name: str, fields: list[str], path: Path) -> Fault:
    """The fault of a key that is not a field, with the nearest field if there is one."""
    near = difflib.get_close_matches(name, fields, n=1) if len(name) <= GUESSED_CHARS else []
    rest = f"did you mean `{near[0]}`?" if near else f"the fields are {', '.join(f'`{f}`' for f in fields)}"
    return Fault((*path, name), f"is not a field of this object; {rest}", "extra")


def text_faults(kind: inspect.StrType, value: str, path: Path, extra: Extra) -> Iterator[Fault]:
    """Length, characters and pattern."""
    long = list(length_faults(kind, value, path, ("character", "characters"), extra))
    yield from long
    yield from character_faults(value, path)
    # Patterns never meet a text that is too long.
    if not long and kind.pattern and not re.search(kind.pattern, value):
        yield Fault(path, str(extra.get("form") or f"must match {kind.pattern}"))


def character_faults(value: str, path: Path) -> Iterator[Fault]:
    """Lone surrogates, which JSON can escape and nothing can store."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        yield Fault(path, f"contains a lone surrogate (\\u{ord(value[error.start]):04x}), which is not a character")


def length_faults(
    kind: inspect.StrType | inspect.ListType | inspect.DictType,
    value: Any,
    path: Path,
    units: tuple[str, str],
    extra: Extra,
) -> Iterator[Fault]:
    """Too short or too long. `units`: the word for one, and for several."""
    low, high = kind.min_length or 0, kind.max_length
    if low <= len(value) and (high is None or len(value) <= high):
        return
    limit = f"at least {low}" if high is None else f"{low} to {high}" if low else f"at most {high}"
    hint = extra.get("hint")
    unit = units[0] if (low if high is None else high) == 1 else units[1]
    yield Fault(path, f"must have {limit} {unit}, not {len(value)}{f': {hint}' if hint else ''}")


def number_faults(kind: inspect.IntType | inspect.FloatType, value: float, path: Path) -> Iterator[Fault]:
    """Too large for 64 bits, or out of the range of its type."""
    faults = list(size_faults(value, path))
    if not faults and ((kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le)):
        faults = [Fault(path, f"must be {_range(kind.ge, kind.le)}")]
    yield from faults


def size_faults(value: Any, path: Path) -> Iterator[Fault]:
    """Numbers that do not fit into 64 bits."""
    if (isinstance(value, int) and value not in INT64) or (isinstance(value, float) and not math.isfinite(value)):
        yield Fault(path, "must be a number that fits in 64 bits")


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"from {low} to {high}"
