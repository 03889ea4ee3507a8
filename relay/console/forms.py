"""Forms: what was entered, and what the API found wrong with it, field by field."""

import json
import re
from collections.abc import Mapping
from typing import Any

from relay.console.api import FieldFault, Refused

WHOLE = re.compile(r"-?([0-9]+|[0-9]{1,3}(,[0-9]{3})+|[0-9]{1,3}( [0-9]{3})+)")
"""A whole number. Commas, or spaces, set groups of exactly three digits apart."""
DIGITS_MOST = 30
"""Digits of a number that is sent as one, so that the API says which range it allows."""


class MalformedError(ValueError):
    """The text of a field that must be JSON is not."""


class Entry:
    """What a form shows in its fields: values, and the faults of each."""

    def __init__(
        self, values: Mapping[str, Any], refused: Refused | None = None, *, names: Mapping[str, str] | None = None
    ) -> None:
        """`names`: fields of the API's body → fields of the form, where they differ."""
        self._values = values
        self._names = names or {}
        self._faults: dict[str, list[str]] = {}
        self.others: list[str] = []
        """Faults that belong to no field of the form."""
        if refused is not None:
            for fault in refused.faults or (FieldFault((), refused.message),):
                self._note(fault)

    def value(self, name: str) -> str:
        """What a field shows."""
        value = self._values.get(name)
        return "" if value is None else str(value)

    def faults(self, name: str) -> list[str]:
        """What is wrong with a field."""
        return self._faults.get(name, [])

    def add(self, name: str, message: str) -> "Entry":
        """Note a fault of a field."""
        self._faults.setdefault(name, []).append(message)
        return self

    def _note(self, fault: FieldFault) -> None:
        part = fault.path[1] if len(fault.path) > 1 else ""
        name = self._names.get(part, part)
        if name in self._values:
            self.add(name, fault.message)
        else:
            self.others.append(fault.message[:1].upper() + fault.message[1:])


def json_of(text: str) -> Any:
    """The JSON in a field. None: the field is empty. Raises MalformedError with what is wrong, and where."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is not valid JSON: {error}") from None


def names_of(text: str) -> list[str]:
    """The names in a field, separated by commas, spaces or line ends.

    >>> names_of("call.created, call.updated")
    ['call.created', 'call.updated']
    """
    return text.replace(",", " ").split()


def decimal(text: str) -> float | str:
    """The number in a field. What is no plain number stays as it is: the API says what is wrong with it.

    >>> decimal("0.5"), decimal("2,5"), decimal("nan")
    (0.5, '2,5', 'nan')
    """
    before, _, after = text.partition(".")
    digits = _digits(before or "0")
    if digits is None or not re.fullmatch(rf"[0-9]{{0,{DIGITS_MOST}}}", after) or not (before + after):
        return text
    return float(f"{digits}.{after or 0}")


def whole(text: str) -> int | str:
    """The number in a field. What is no whole number stays as it is: the API says what is wrong with it.

    >>> whole("141,248,745"), whole("-5"), whole("2,5"), whole("soon")
    (141248745, -5, '2,5', 'soon')
    """
    digits = _digits(text)
    return text if digits is None else int(digits)


def _digits(text: str) -> str | None:
    """A whole number without what sets its thousands apart. None: it is none, or has more than 30 digits."""
    digits = re.sub("[, ]", "", text)
    return digits if WHOLE.fullmatch(text) and len(digits.lstrip("-")) <= DIGITS_MOST else None
