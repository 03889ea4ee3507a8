"""The trigger of a callback's body: a row whose known columns have types, and whose others are as they came.

Almost every value of the upstream is text (hazard H8), so `"0"` can be a number, a flag or an id, and `""` anything.
Nothing is ever lost: a value that is not what its column should hold passes as it came. docs/events.md has the table.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from relay.domain.json_text import BROKEN, decode
from relay.domain.shapes import Shape, Values, shape_of, values_of

Kind = Literal["id", "number", "flag", "time", "notes", "text"]

_COLUMNS: dict[Kind, str] = {
    "id": "rowId igrp orgId dgrp ch segment segmentGroupId goal landingPageId conversionPageId callRatingId numType",
    "number": (
        "new leadScore lands goalValue txv callCharge perMinuteCharge lat long"
        " callDuration bridgeDuration ringTime ivrDuration queueDuration"
        " transcriptionConfidence totalKeywordScore totalOperatorKeywordScore totalContactKeywordScore"
        " operatorPositiveKeywordCount operatorNeutralKeywordCount operatorNegativeKeywordCount"
        " contactPositiveKeywordCount contactNeutralKeywordCount contactNegativeKeywordCount"
        " visitorPageCount visitorGoalCount visitorCallCount"
    ),
    "flag": (
        "rec ppcAssisted callTranscription callKeywordSpotting callPciDataChecked callPciDataFound"
        " callSsnDataChecked callSsnDataFound callPiiDataChecked callPiiDataFound"
    ),
    "time": "triggerDatetime visitorFirstDatetime",
    "notes": "notes",
    "text": (
        "act t algo attr vid txr txc goalTitle goalCurrency outcomeType chargeCurrencyCode"
        " src srcHash vref href ref dom host pub network campaign adGroup adRef keywordRef term matchRef matchType"
        " pageTitle landingPageUrl conversionPageUrl chName chType dgrpName dgrpRef segmentName segmentRef"
        " segmentGroupName num dialledPhoneNumber srcPhoneNumber destPhoneNumber customerPhoneNumber"
        " operatorRef operatorRealm ivrRef dialplanRef callRating callState callDirection callStage telcoCode"
        " visitorType whois ip ua res spider country region area city postcode continent sfWhoRef"
    ),
}
KINDS: Mapping[str, Kind] = {name: kind for kind, names in _COLUMNS.items() for name in names.split()}
"""Every column that is known, and what it holds (infinity-api.md 5)."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?")
_USUAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}")
"""How the upstream writes times."""
_CACHED = 4096
_CACHED_LENGTH = 24


def read_number(text: str) -> int | Decimal | None:
    """The number that a text plainly is, with its digits; None for anything else (`""`, `007`, `1e5`, `+1`).

    >>> read_number("1.10"), read_number("-176"), read_number("007")
    (Decimal('1.10'), -176, None)
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    return int(text) if found[1] is None else Decimal(text)


def read_time(text: str) -> str | None:
    """A time as RFC 3339 in UTC, to the millisecond; None for anything that is not a date with a time of day (H20).

    The upstream gives UTC without saying so, as long as no `tz` is asked for; an offset is honoured.

    >>> read_time("2018-01-16 13:20:11")
    '2018-01-16T13:20:11.000Z'
    """
    if not 16 <= len(text) <= 40:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if _USUAL.fullmatch(text):
            return f"{text[:10]}T{text[11:]}.000Z"
        if moment.tzinfo is not None:
            moment = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).replace(tzinfo=None)
        return moment.isoformat(timespec="milliseconds") + "Z"
    except (ValueError, OverflowError):
        return None


class _Readings(dict[Any, Any]):
    """What each text means in a number or flag column: looked up, or worked out and remembered up to a bound.

    A row has 40 such columns and most hold `""` or `"0"`, so most of them cost one lookup.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        super().__init__({"": None})
        self._read = read

    def __missing__(self, value: Any) -> Any:
        result = self._read(value)
        # Only text is remembered: True would else find the value of 1.
        if type(value) is str and len(value) <= _CACHED_LENGTH and len(self) < _CACHED:
            self[value] = result
        return result


def _number(value: Any) -> Any:
    number = read_number(value) if isinstance(value, str) else None
    return value if number is None else number


def _flag(value: Any) -> Any:
    return _FLAGS.get(value, value) if type(value) in (str, int) else value


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # Zeros are the upstream's way to write that there is none (H21).
    return None if not value or value.startswith("0000-00-00") else read_time(value) or value


def _notes(value: Any) -> Any:
    notes = value
    if isinstance(value, str):
        if not value:
            return []
        try:
            notes = decode(value)
        except BROKEN:
            return value
    return [_note(note) for note in notes] if isinstance(notes, list) else value


def _note(note: Any) -> Any:
    if not isinstance(note, dict) or "createDatetime" not in note:
        return note
    return note | {"createDatetime": _time(note["createDatetime"])}


_FLAGS: Mapping[Any, bool] = {"0": False, "1": True, 0: False, 1: True}
_READERS: Mapping[Kind, Callable[[Any], Any]] = {"time": _time, "notes": _notes}
_READINGS: Mapping[Kind, _Readings] = {"number": _Readings(_number), "flag": _Readings(_flag)}


class _Plan(NamedTuple):
    """What is to be done with rows of one shape."""

    looked_up: list[tuple[tuple[str, ...], Values, Callable[[Any], Any]]]
    """Names, how to get their values, and how to read one."""
    ids: tuple[str, ...]
    id_values: Values
    read: list[tuple[str, Callable[[Any], Any]]]


def _plan(names: tuple[str, ...]) -> _Plan:
    of = {kind: tuple(name for name in names if KINDS.get(name) == kind) for kind in _COLUMNS}
    return _Plan(
        [(of[kind], values_of(of[kind]), readings.__getitem__) for kind, readings in _READINGS.items()],
        of["id"],
        values_of(of["id"]),
        [(name, read) for kind, read in _READERS.items() for name in of[kind]],
    )


def normalise(row: dict[str, Any], shape: Shape | None = None) -> dict[str, Any]:
    """Give a row's known columns their types; the others, `pt_*` and `c_*` pass as they came. `row` is not changed.

    `shape` is the row's.

    >>> normalise({"rowId": "7", "callDuration": "61", "rec": "1", "txv": "1.10", "ringTime": "", "c_plan": "1"})
    {'rowId': '7', 'callDuration': 61, 'rec': True, 'txv': Decimal('1.10'), 'ringTime': None, 'c_plan': '1'}
    """
    plan: _Plan = (shape or shape_of(row)).made(_plan)
    trigger = row.copy()
    for names, values, read in plan.looked_up:
        try:
            for name, value in zip(names, map(read, values(row)), strict=True):
                trigger[name] = value
        except TypeError:
            trigger.update((name, _read_each(read, row[name])) for name in names)
    if int in map(type, plan.id_values(row)):
        trigger.update((name, str(row[name])) for name in plan.ids if type(row[name]) is int)
    for name, read in plan.read:
        trigger[name] = read(row[name])
    return trigger


def _read_each(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except TypeError:
        # A list or an object cannot be looked up, and is no number or flag: it passes as it came.
        return value
