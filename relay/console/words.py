"""Values as people read them: numbers, sizes, durations, times and states. These are the filters of the templates."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

NONE = "–"
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
SIZES = ("B", "KB", "MB", "GB", "TB")
TURNING = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Characters that change the direction of the text behind them."""


def number(value: float | None) -> str:
    """A number with thousands apart: `12,345`, `0.25`. None: a dash.

    >>> number(12345), number(0.25), number(3.0), number(None)
    ('12,345', '0.25', '3', '–')
    """
    if value is None:
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def rate(value: float | None) -> str:
    """A rate with one decimal below 10.

    >>> rate(0.04), rate(3.26), rate(1234.5)
    ('0', '3.3', '1,234')
    """
    if value is None:
        return NONE
    return f"{value:,.1f}".replace(".0", "") if abs(value) < 10 else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes with a unit.

    >>> size(910), size(1_579), size(268_435_456)
    ('910 B', '1.6 KB', '268 MB')
    """
    if value is None:
        return NONE
    step = 0
    while value >= 1000 and step < len(SIZES) - 1:
        value, step = value / 1000, step + 1
    return f"{value:.1f} {SIZES[step]}" if step and value < 10 else f"{value:.0f} {SIZES[step]}"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units.

    >>> duration(0.2), duration(75), duration(7_200), duration(266_400)
    ('under 1 s', '1 min 15 s', '2 h', '3 d 2 h')
    """
    if seconds is None:
        return NONE
    if seconds < 1:
        return "0 s" if seconds <= 0 else "under 1 s"
    left, parts = round(seconds), list[str]()
    for length, unit in UNITS:
        if left >= length:
            parts.append(f"{left // length} {unit}")
            left %= length
        elif parts:
            break
    return " ".join(parts[:2])


def milliseconds(value: float | None) -> str:
    """A duration in ms below ten seconds, else as `duration`.

    >>> milliseconds(159), milliseconds(12_000)
    ('159 ms', '12 s')
    """
    if value is None:
        return NONE
    return f"{value:,.0f} ms" if value < 10_000 else duration(value / 1000)


def moment(text: str) -> datetime:
    """A time of the API. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


@pass_context
def ago(context: Context, text: str | None) -> Markup | str:
    """A time as its distance from now, with the full time in `title` and `datetime`. None: a dash."""
    if text is None:
        return NONE
    now = datetime.fromtimestamp(context["now_ms"] / 1000, UTC)
    seconds = (now - moment(text)).total_seconds()
    said = "now" if abs(seconds) < 1 else f"{_rough(seconds)} ago" if seconds > 0 else f"in {_rough(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, full(text), said)


def full(text: str | None) -> str:
    """A time in full, in UTC.

    >>> full("2026-09-21T14:13:20.000Z")
    '2026-09-21 14:13:20 UTC'
    """
    return f"{moment(text):%Y-%m-%d %H:%M:%S} UTC" if text else NONE


def _rough(seconds: float) -> str:
    return duration(seconds).split(" ")[0] + " " + duration(seconds).split(" ")[1]


def pretty(value: Any) -> str:
    """JSON, as it is edited and read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def tojson_text(value: Any) -> str:
    """A value as it stands in JSON, in one line.

    >>> tojson_text("IN"), tojson_text(None)
    ('"IN"', 'null')
    """
    return json.dumps(value, ensure_ascii=False)


def spaced(value: str) -> str:
    """An identifier as words.

    >>> spaced("endpoint_disabled"), spaced("catchingUp")
    ('endpoint disabled', 'catching up')
    """
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in value).replace("_", " ")


def sentence(text: str) -> str:
    """What the API says, as a sentence for people. A name at its beginning stays as it is.

    >>> sentence("there is no application crm"), sentence("`igrp`: must be an integer"), sentence("rowId is missing.")
    ('There is no application crm.', '`igrp`: must be an integer.', 'rowId is missing.')
    """
    first, space, rest = text.strip().partition(" ")
    begun = first.capitalize() if first.isalpha() and first.islower() else first
    return f"{begun}{space}{rest}" + ("" if text.rstrip().endswith((".", "!", "?")) else "." if begun else "")


class Verbatim(str):
    """A text that is shown as it is: that of a field, which is sent back."""

    __slots__ = ()


def plain(value: Any) -> Any:
    r"""A text without characters that reverse the order of others, which could disguise a URL. They become escapes.

    >>> plain("https://crm.example/\u202egpj.exe"), plain(7)
    ('https://crm.example/\\u202egpj.exe', 7)
    """
    if not isinstance(value, str) or isinstance(value, Markup | Verbatim):
        return value
    return value.translate(TURNING)


def parted(value: str) -> Markup:
    """A name such as an event type, which can go on in the next line after each of its dots.

    >>> str(parted("call.created"))
    'call.<wbr>created'
    """
    return Markup(".<wbr>").join(str(plain(value)).split("."))


def segment(value: str) -> str:
    """A part of the path of one of our addresses."""
    return quote(str(value), safe="")


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number, "rate": rate, "size": size, "duration": duration, "milliseconds": milliseconds, "ago": ago,
    "full": full, "pretty": pretty, "tojson_text": tojson_text, "spaced": spaced, "segment": segment,
    "sentence": sentence, "parted": parted,
}  # fmt: skip
