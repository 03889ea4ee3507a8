"""`filter[]={field}-{operand}-value-{comparison}`: one test of a row (infinity-api.md 2.1).

`eq`, `gt`, `le` and `in` are confirmed on reports, `eqi`, `inci` and `begins` elsewhere in the upstream's API; the
others are the operands of the upstream's own published string logic, and probable. A missing column counts as empty.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from operator import ge, gt, le, lt
from typing import Any

from relay.sandbox.columns import FILTERABLE, Row
from relay.sandbox.refusals import BadParameter

Test = Callable[[Row], bool]
_TextTest = Callable[[str], bool]
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def parse_filter(text: str) -> tuple[str, str, str]:
    """Take a filter apart: field, operand, comparison. Raises BadParameter.

    The comparison may have hyphens of its own, the others cannot:

    >>> parse_filter("triggerDatetime-ge-value-2026-01-05")
    ('triggerDatetime', 'ge', '2026-01-05')
    """
    field, operand, literal, comparison = (*text.split("-", 3), "", "", "")[:4]
    if literal != "value" or text.count("-") < 3:
        raise BadParameter(f"filter {text} is not field-operand-value-comparison")
    check_field(field)
    if operand not in OPERANDS:
        raise BadParameter(f"filter {text}: unknown operand {operand}")
    return field, operand, comparison


def check_field(field: str) -> None:
    """Raise BadParameter for a column that cannot be filtered or sorted by (hazard H32)."""
    if field not in FILTERABLE:
        raise BadParameter(f"field {field} can not be filtered or sorted by")


def compile_test(field: str, operand: str, comparison: str) -> Test:
    """Make the test of a filter. Raises BadParameter for a comparison that the operand cannot use."""
    try:
        passes = OPERANDS[operand](comparison)
    except (ValueError, re.error) as error:
        raise BadParameter(f"filter {field}-{operand}: {error}") from None
    return lambda row: passes(str(row.get(field, "")))


def sort_key(text: str) -> tuple[int, float, str]:
    """Give the order of values: numbers by size before texts by letter, since nearly all values are strings."""
    return (0, number(text), "") if _NUMBER.fullmatch(text) else (1, 0, text)


def number(text: str) -> float:
    """Read a number, whole ones exactly."""
    return float(text) if "." in text else int(text)


def _compare(holds: Callable[[Any, Any], bool]) -> Callable[[str], _TextTest]:
    def compile_(comparison: str) -> _TextTest:
        if not _NUMBER.fullmatch(comparison):
            return lambda value: holds(value, comparison)
        than = number(comparison)
        return lambda value: holds(number(value), than) if _NUMBER.fullmatch(value) else holds(value, comparison)

    return compile_


def _text(holds: Callable[[str, str], bool]) -> Callable[[str], _TextTest]:
    return lambda comparison: lambda value: holds(value, comparison)


def _any_case(compile_: Callable[[str], _TextTest]) -> Callable[[str], _TextTest]:
    def insensitive(comparison: str) -> _TextTest:
        passes = compile_(comparison.casefold())
        return lambda value: passes(value.casefold())

    return insensitive


def _not(compile_: Callable[[str], _TextTest]) -> Callable[[str], _TextTest]:
    def negated(comparison: str) -> _TextTest:
        passes = compile_(comparison)
        return lambda value: not passes(value)

    return negated


def _in(comparison: str) -> _TextTest:
    return frozenset(comparison.split(",")).__contains__


def _matches(comparison: str) -> _TextTest:
    pattern = re.compile(comparison)
    return lambda value: pattern.search(value) is not None


def _bool(comparison: str) -> _TextTest:
    if comparison not in {"true", "false"}:
        raise ValueError("must be true or false")
    return lambda value: bool(value) == (comparison == "true")


def _in_network(comparison: str) -> _TextTest:
    network = ip_network(comparison, strict=False)

    def inside(value: str) -> bool:
        try:
            return ip_address(value) in network
        except ValueError:
            return False

    return inside


_eq = _text(str.__eq__)
_inc = _text(str.__contains__)
_begins = _text(str.startswith)
_ends = _text(str.endswith)

OPERANDS: dict[str, Callable[[str], _TextTest]] = {
    "eq": _eq,
    "ne": _not(_eq),
    "eqi": _any_case(_eq),
    "nei": _not(_any_case(_eq)),
    "gt": _compare(gt),
    "ge": _compare(ge),
    "lt": _compare(lt),
    "le": _compare(le),
    "in": _in,
    "nin": _not(_in),
    "ini": _any_case(_in),
    "nini": _not(_any_case(_in)),
    "inc": _inc,
    "ninc": _not(_inc),
    "inci": _any_case(_inc),
    "ninci": _not(_any_case(_inc)),
    "begins": _begins,
    "nbegins": _not(_begins),
    "beginsi": _any_case(_begins),
    "nbeginsi": _not(_any_case(_begins)),
    "ends": _ends,
    "endsi": _any_case(_ends),
    "re": _matches,
    "nre": _not(_matches),
    "glob": _text(fnmatchcase),
    "bool": _bool,
    "innet": _in_network,
}
