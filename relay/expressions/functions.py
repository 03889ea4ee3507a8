"""The relay's own functions in expressions. They are pure, and null for null.

docs/transformations.md has a table of them with examples, which a test runs.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber

LONGEST_NUMBER = 64
LONGEST_PICTURE = 64
MOST_SECONDS = 10**12
UNITS = {"H": 3600, "M": 60, "S": 1}
_UNIT = re.compile(r"H+|M+|S+")


class BadArgument(ValueError):  # noqa: N818 - named for what it says
    """A function was called with an argument that it does not accept; the text says what it accepts."""


def e164(number: Any, region: Any = None) -> str | None:
    """A telephone number as E.164; None if it isn't one.

    `region` is the ISO 3166 code of the country in which a number without a country code was dialled.

    >>> e164("07700 900123", "GB"), e164("anonymous", "GB"), e164("07700 900123")
    ('+447700900123', None, None)
    """
    found = _number(number, region)
    return None if found is None else phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def national(number: Any, region: Any = None) -> str | None:
    """The digits of a telephone number without country code and trunk prefix; None if it isn't one.

    >>> national("+44 7700 900123", "GB"), national("(202) 555-0143", "US")
    ('7700900123', '2025550143')
    """
    found = _number(number, region)
    return None if found is None else phonenumbers.national_significant_number(found)


def _number(number: Any, region: Any) -> PhoneNumber | None:
    if region is not None and not (isinstance(region, str) and region in phonenumbers.SUPPORTED_REGIONS):
        raise BadArgument('The region of a number must be the ISO 3166 code of a country in upper case, such as "GB"')
    if isinstance(number, int) and not isinstance(number, bool):
        number = str(number)
    return _parsed(number, region) if isinstance(number, str) and len(number) <= LONGEST_NUMBER else None


@lru_cache(2048)
def _parsed(number: str, region: str | None) -> PhoneNumber | None:
    """Takes 15 to 100 µs; a company's own numbers come again and again."""
    try:
        found = phonenumbers.parse(number, region)
    except NumberParseException:
        return None
    return found if phonenumbers.is_possible_number(found) else None


def sha256(text: Any) -> str | None:
    """SHA-256 of a text as UTF-8, in lower-case hexadecimal digits.

    >>> sha256("+12025550143")[:16]
    '54af34308301e43f'
    """
    return None if text is None else hashlib.sha256(_text(text)).hexdigest()


def uuid5(text: Any) -> str | None:
    """The UUID of version 5 (RFC 9562) of a text, in the namespace for URLs (6ba7b811-9dad-11d1-80b4-00c04fd430c8).

    >>> uuid5("1234-141248745")
    '17513b3c-085c-5a22-a3a6-30cf260825c0'
    """
    return None if text is None else str(uuid.uuid5(uuid.NAMESPACE_URL, _text(text).decode()))


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise BadArgument("$sha256 and $uuid5 take a text: use $string to make one")
    return value.encode("utf-8", "replace")


def duration(seconds: Any, picture: Any) -> str | None:
    """Seconds in the form that a picture shows: H or HH, M or MM, S or SS; everything else stays as it is.

    The largest unit of the picture is not limited to 23 or 59. Seconds that the picture does not show are cut off.

    >>> duration(84, "HH:MM"), duration(3725, "MM:SS"), duration(3725, "Hh MMm"), duration(59.9, "S")
    ('00:01', '62:05', '1h 02m', '59')
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < MOST_SECONDS:
        raise BadArgument("$duration takes a number of seconds, from 0")
    units = _units(picture)
    left, shown = int(seconds), {}
    for unit in sorted(units, key="HMS".index):
        shown[unit], left = divmod(left, UNITS[unit])
    return _UNIT.sub(lambda found: str(shown[found[0][0]]).zfill(len(found[0])), picture)


def _units(picture: Any) -> set[str]:
    """The units of a picture."""
    runs = _UNIT.findall(picture) if isinstance(picture, str) and len(picture) <= LONGEST_PICTURE else []
    units = {run[0] for run in runs}
    if not runs or len(units) < len(runs) or max(map(len, runs)) > 2:
        raise BadArgument(
            'The picture of $duration shows each of H, M and S at most once, as one or two letters: "HH:MM:SS"'
        )
    return units


def pick(values: Any, name: Any) -> Any:
    """The value of an object's field; None if it has none. JSONata's own function of this kind is `$lookup`.

    >>> pick({"in": "INBOUND"}, "in"), pick({"in": "INBOUND"}, "out")
    ('INBOUND', None)
    """
    if values is None or name is None:
        return None
    if not isinstance(values, dict) or not isinstance(name, str):
        raise BadArgument('$pick takes an object and the name of a field, such as $pick({"in": "INBOUND"}, "in")')
    return values.get(name)


class Function(NamedTuple):
    """A function, and JSONata's signature of it: how many arguments it takes."""

    call: Callable[..., Any]
    signature: str


FUNCTIONS: Mapping[str, Function] = {
    "e164": Function(e164, "<xx?:x>"),
    "national": Function(national, "<xx?:x>"),
    "sha256": Function(sha256, "<x:x>"),
    "uuid5": Function(uuid5, "<x:x>"),
    "duration": Function(duration, "<xx:x>"),
    "pick": Function(pick, "<xx:x>"),
}
"""By name, without the `$`."""


def _refused(why: str) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise BadArgument(why)

    return refuse


_AGAIN = "is not available, because a retry must send what the first attempt sent"
REFUSED: Mapping[str, str] = {
    "now": f"$now {_AGAIN}: use a time of the event",
    "millis": f"$millis {_AGAIN}: use $toMillis with a time of the event",
    "random": f"$random {_AGAIN}",
    "shuffle": f"$shuffle {_AGAIN}",
    "eval": "$eval is not available",
}
"""JSONata's functions that expressions cannot use, and why."""
SHADOWS: Mapping[str, Callable[..., None]] = {name: _refused(why) for name, why in REFUSED.items()}
"""Functions that replace them, should a name pass the check."""


def load() -> None:
    """Read everything that the functions read from files when they are first used: later, no file can be opened."""
    phonenumbers.PhoneMetadata.load_all()
    for region in ("GB", "US"):
        e164("+447700900123", region)
