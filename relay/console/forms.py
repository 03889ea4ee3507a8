"""Forms: what was entered, and what the API found wrong with it, field by field."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from relay.console.api import FieldFault, Refused
from relay.console.words import Verbatim, sentence

WHOLE = re.compile(r"-?([0-9]+|[0-9]{1,3}(,[0-9]{3})+|[0-9]{1,3}( [0-9]{3})+)")
"""A whole number. Commas, or spaces, set groups of exactly three digits apart."""
DRAWN = "drawn"
"""The field of a form of settings that says which texts its fields had when the page was made."""
DIGITS_MOST = 30
"""Digits of a number that is sent as one, so that the API says which range it allows."""
FORM_AT_MOST = 1 << 20
"""Bytes of a form: as of a body of the API."""


class MalformedError(ValueError):
    """The text of a field that must be JSON is not."""


class Entry:
    """What a form shows in its fields: values, and the faults of each."""

    def __init__(
        self,
        values: Mapping[str, Any],
        refused: Refused | None = None,
        *,
        names: Mapping[str, str] | None = None,
        drawn: str | None = None,
    ) -> None:
        """`names`: fields of the API's body → fields of the form, where they differ.

        `drawn`: `DRAWN` of the form that was sent, for one that is shown again. None: the form is drawn now.
        """
        self._values = values
        self._drawn = drawn
        self._names = names or {}
        self._faults: dict[str, list[str]] = {}
        self.others: list[str] = []
        """Faults that belong to no field of the form."""
        if refused is not None:
            for fault in refused.faults or (FieldFault((), refused.message),):
                self._note(fault)

    def value(self, name: str) -> Verbatim:
        """What a field shows."""
        value = self._values.get(name)
        return Verbatim("" if value is None else value)

    @property
    def drawn(self) -> str:
        """The texts of all fields, as `changed` reads them."""
        return json.dumps({name: self.value(name) for name in self._values}) if self._drawn is None else self._drawn

    def faults(self, name: str) -> list[str]:
        """What is wrong with a field."""
        return self._faults.get(name, [])

    def add(self, name: str, message: str) -> "Entry":
        """Note a fault of a field."""
        self._faults.setdefault(name, []).append(message)
        return self

    def note(self, faults: Mapping[str, str]) -> "Entry":
        """Note faults by field."""
        for name, message in faults.items():
            self.add(name, message)
        return self

    def _note(self, fault: FieldFault) -> None:
        name = self._name_of(fault.path[1:])
        if name is not None:
            self.add(name, fault.message)
        else:
            self.others.append(sentence(fault.message))

    def _name_of(self, path: tuple[str, ...]) -> str | None:
        """The field that a path in the body is about: by its first part, such as `filter`, or by its last one."""
        if not path:
            return None
        names = (path[0], path[-1], self._names.get(path[0]))
        return next((name for name in names if name in self._values), None)


def drawn_in(form: Mapping[str, str]) -> dict[str, str]:
    """The texts that a form's fields had when its page was made. Empty: the form does not say it."""
    try:
        found = json.loads(form.get(DRAWN, ""))
    except (ValueError, RecursionError):
        return {}
    return {name: _text(str(text)) for name, text in found.items()} if isinstance(found, dict) else {}


def changed(form: Mapping[str, str]) -> dict[str, str]:
    """The fields of a form whose text is not the one that they were drawn with.

    Only they are sent to the API: the others may have changed since, and a field that is missing says nothing.

    >>> changed({"name": "Two", "uid": "one", "drawn": '{"name": "One", "uid": "one", "filter": "{}"}'})
    {'name': 'Two'}
    """
    drawn = drawn_in(form)
    return {name: text for name, text in form.items() if name != DRAWN and not _same(text, drawn.get(name))}


def body_of(fields: Mapping[str, str], readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Fields of a form as the API has them. What a form does not have is left out. Raises MalformedError."""
    return {name: read(fields[name]) for name, read in readers.items() if name in fields}


def _text(sent: str) -> str:
    return sent.replace("\r\n", "\n").strip()


def _same(text: str, drawn: str | None) -> bool:
    # Browsers leave line ends out of fields that have one line.
    return drawn is not None and _text(text) in (drawn, drawn.replace("\n", ""))


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


def names_or_none(text: str) -> list[str] | None:
    """The names in a field. An empty one is null for the API, which means: all."""
    return names_of(text) or None


def text_or_none(text: str) -> str | None:
    """The text of a field. An empty one is null for the API, which means: none."""
    return text or None


def decimal(text: str) -> float | str:
    """The number in a field. What is no plain number stays as it is: the API says what is wrong with it.

    >>> decimal("0.5"), decimal("2,5"), decimal("nan")
    (0.5, '2,5', 'nan')
    """
    before, _, after = text.partition(".")
    digits = _digits(before or "0")
    is_part = not after or (after.isascii() and after.isdigit() and len(after) <= DIGITS_MOST)
    if digits is None or not is_part or not (before + after):
        return text
    return float(f"{digits}.{after or 0}")


def whole(text: str) -> int | str:
    """The number in a field. What is no whole number stays as it is: the API says what is wrong with it.

    >>> whole("141,248,745"), whole("-5"), whole("2,5"), whole("soon")
    (141248745, -5, '2,5', 'soon')
    """
    digits = _digits(text)
    return text if digits is None else int(digits)


def whole_or_none(text: str) -> int | str | None:
    """The number in a field. An empty one is null for the API, which means: no limit, or none."""
    return whole(text) if text else None


def _digits(text: str) -> str | None:
    """A whole number without what sets its thousands apart. None: it is none, or has more than 30 digits."""
    digits = text.replace(",", "").replace(" ", "")
    return digits if WHOLE.fullmatch(text) and len(digits.lstrip("-")) <= DIGITS_MOST else None
