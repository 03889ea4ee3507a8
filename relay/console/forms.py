"""Forms: what was entered, and what the API found wrong with it, field by field."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from relay.console.api import FieldFault, Refused


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


def json_of(text: str) -> msgspec.Raw | None:
    """The JSON in a field as it was typed, so that the API checks what a person sees. None: the field is empty.

    Raises MalformedError with what is wrong, and where.
    """
    if not text.strip():
        return None
    try:
        json.loads(text, parse_constant=_not_json, parse_int=str)
    except RecursionError:
        raise MalformedError("is nested too deeply") from None
    except ValueError as error:
        raise MalformedError(f"is not valid JSON: {error}") from None
    return msgspec.Raw(text.encode())


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is no JSON value")


def names_of(text: str) -> list[str]:
    """The names in a field, separated by commas, spaces or line ends.

    >>> names_of("call.created, call.updated")
    ['call.created', 'call.updated']
    """
    return text.replace(",", " ").split()


def decimal(text: str) -> float | str:
    """The number in a field. What is no plain number stays as it is: the API says what is wrong with it.

    >>> decimal("0.5"), decimal("nan")
    (0.5, 'nan')
    """
    digits = text.replace(".", "", 1)
    return float(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else text


def whole(text: str) -> int | str:
    """The number in a field. What is no whole number stays as it is: the API says what is wrong with it.

    >>> whole("141 248,745"), whole("soon")
    (141248745, 'soon')
    """
    digits = text.replace(",", "").replace(" ", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else text
