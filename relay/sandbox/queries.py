"""What a request asks for, read from its query string. Brackets may be raw or percent-encoded (hazard H34)."""

import re
from dataclasses import dataclass
from datetime import date
from typing import get_args
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from relay.sandbox.catalogue import ORGANISATIONS
from relay.sandbox.filters import Test, check_field, compile_test, parse_filter
from relay.sandbox.formats import Format
from relay.sandbox.local_time import day_of
from relay.sandbox.refusals import BadParameter

_ARRAY = re.compile(r"(filter|sort|display)\[\d*\]")
_WHOLE = re.compile(r"\d{1,18}")
_ALIASED = re.compile(r"([A-Za-z_]\w*)(?:-([A-Za-z_]\w*))?", re.ASCII)
_NEEDS_DISPLAY = frozenset({"csv", "xhtml"})
_BOUNDS = {"gt": (0, None), "ge": (-1, None), "le": (None, 0), "lt": (None, -1)}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A request that was understood."""

    above: int = -1
    """Rows have a rowId above this one …"""
    until: int | None = None
    """… and not above this one."""
    tests: tuple[Test, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    """Fields in order of weight, and whether each descends."""
    display: tuple[tuple[str, str], ...] = ()
    """Columns to show, and as what; empty: all, as they are."""
    limit: int = 1000
    offset: int = 0
    zone: ZoneInfo | None = None
    """None: UTC, in which everything is kept."""
    format: Format = "json"
    redacted: bool = False

    @property
    def whole(self) -> bool:
        """Whether rows are shown as they are kept."""
        return not self.display and self.zone is None and not self.redacted

    @property
    def plain(self) -> bool:
        """Whether this is the polling request, or one that is as easy: whole rows of a range of ids, ascending."""
        ascending = self.sort in {(), (("rowId", False),)}
        return self.whole and ascending and not self.tests and not self.offset and self.format == "json"


def parse_query(query_string: str, *, cap: int, default_limit: int, default_format: Format = "json") -> Query:
    """Read a query string. Raises BadParameter. Of a parameter given twice the last counts (hazard H35).

    Unknown parameters are left alone: published examples repeat the path's `igrp` among them.
    """
    single: dict[str, str] = {}
    arrays: dict[str, list[str]] = {"filter": [], "sort": [], "display": []}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        if array := _ARRAY.fullmatch(name):
            arrays[array[1]].append(value)
        else:
            single[name] = value
    zone = _zone(single.get("tz", ""))
    above, until, tests = _conditions(arrays["filter"])
    query = Query(
        above=above,
        until=until,
        tests=(*tests, *_named_tests(single), *_date_tests(single, zone)),
        sort=tuple(map(_sort, arrays["sort"])),
        display=tuple(map(_display, arrays["display"])),
        limit=_whole(single, "limit", default_limit),
        offset=_whole(single, "offset", 0),
        zone=zone,
        format=_format(single.get("format")) or default_format,
        redacted=single.get("excludePiiData", "") not in {"", "0", "false"},
    )
    if query.limit > cap:
        raise BadParameter(f"limit {query.limit} is above the maximum of {cap}")
    if "format" in single and query.format in _NEEDS_DISPLAY and not query.display:
        raise BadParameter(f"format {query.format} needs display[]")
    return query


def _conditions(filters: list[str]) -> tuple[int, int | None, list[Test]]:
    # Bounds of rowId become a range of the index, so that nobody has to look into the rows; they are the common case.
    above, until, tests = -1, None, []
    for field, operand, comparison in map(parse_filter, filters):
        if field == "rowId" and operand in _BOUNDS and _WHOLE.fullmatch(comparison):
            low, high = _BOUNDS[operand]
            if low is not None:
                above = max(above, int(comparison) + low)
            if high is not None:
                until = min(int(comparison) + high, until if until is not None else int(comparison))
        else:
            tests.append(compile_test(field, operand, comparison))
    return above, until, tests


def _named_tests(single: dict[str, str]) -> list[Test]:
    tests = []
    if kind := single.get("chType"):
        tests.append(compile_test("chType", "eq", kind))
    if root := single.get("rootOrgId"):
        if not _WHOLE.fullmatch(root):
            raise BadParameter("rootOrgId must be a whole number")
        tests.append(compile_test("orgId", "in", ",".join(ORGANISATIONS.get(root, (root,)))))
    return tests


def _date_tests(single: dict[str, str], zone: ZoneInfo | None) -> list[Test]:
    tests: list[Test] = []
    if single.get("startDate"):
        first = _date(single, "startDate")
        tests.append(lambda row: first <= day_of(row, zone))
    if single.get("endDate"):
        last = _date(single, "endDate")
        tests.append(lambda row: day_of(row, zone) <= last)
    return tests


def _date(single: dict[str, str], name: str) -> str:
    try:
        day = date.fromisoformat(single[name]).isoformat()
    except ValueError:
        day = ""
    if day != single[name]:
        raise BadParameter(f"{name} must be a date such as 2026-01-31")
    return day


def _zone(name: str) -> ZoneInfo | None:
    if name in {"", "UTC"}:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadParameter(f"tz {name} is unknown") from None


def _whole(single: dict[str, str], name: str, default: int) -> int:
    text = single.get(name)
    if text is None:
        return default
    if not _WHOLE.fullmatch(text) or (name == "limit" and int(text) == 0):
        raise BadParameter(f"{name} must be a whole number")
    return int(text)


def _sort(text: str) -> tuple[str, bool]:
    field, _, direction = text.rpartition("-")
    if direction not in {"asc", "desc"}:
        raise BadParameter(f"sort {text} is not field-asc or field-desc")
    check_field(field)
    return field, direction == "desc"


def _display(text: str) -> tuple[str, str]:
    found = _ALIASED.fullmatch(text)
    if not found:
        raise BadParameter(f"display {text} is not field or field-alias")
    return found[1], found[2] or found[1]


def _format(text: str | None) -> Format | None:
    if text is None:
        return None
    for known in get_args(Format):
        if known == text:
            return known  # type: ignore[no-any-return]
    raise BadParameter(f"format {text} is unknown")
