"""The shapes of a body (infinity-api.md 3). The element names of xml and the look of debug are guesses."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Literal

from relay.sandbox.columns import Row

Format = Literal["json", "jsonarray", "csv", "xml", "xhtml", "debug"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "jsonarray": "application/json",
    "csv": "text/csv; charset=utf-8",
    "xml": "application/xml",
    "xhtml": "application/xhtml+xml",
    "debug": "text/plain; charset=utf-8",
}
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def join_lines(lines: Sequence[bytes]) -> bytes:
    """Put lines that end in a line-break into a json body; a line-break alone says that there are none (H3)."""
    return b"".join(lines) or b"\n"


def join_array(lines: Sequence[bytes], *, broken: bool = False) -> bytes:
    """Put lines into a jsonarray body. `broken`: an empty one lacks its opening bracket, as seen in 2016 (H3)."""
    if not lines and broken:
        return b"\n]\n"
    return b"[\n" + b",\n".join(line.rstrip(b"\n") for line in lines) + b"\n]\n"


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _xml(rows: Sequence[Row], _columns: Sequence[str]) -> str:
    triggers = (
        "<trigger>" + "".join(f"<{name}>{_text(value)}</{name}>" for name, value in row.items()) + "</trigger>\n"
        for row in rows
    )
    return f"{_HEAD}<triggers>\n{''.join(triggers)}</triggers>\n"


def _xhtml(rows: Sequence[Row], columns: Sequence[str]) -> str:
    heading = "".join(f"<th>{name}</th>" for name in columns)
    table = ("".join(f"<td>{_text(row.get(name, ''))}</td>" for name in columns) for row in rows)
    return f"{_HEAD}<table>\n" + "".join(f"<tr>{cells}</tr>\n" for cells in (heading, *table)) + "</table>\n"


def _debug(rows: Sequence[Row], _columns: Sequence[str]) -> str:
    return "\n".join("".join(f"{name}: {value}\n" for name, value in row.items()) for row in rows)


def _text(value: object) -> str:
    return escape(_NOT_IN_XML.sub("", str(value)))


def encode_table(rows: Sequence[Row], columns: Sequence[str], *, shape: Format) -> bytes:
    """Put rows into a body that is no JSON. `columns` are those of the heading, where the shape has one."""
    return _SHAPES[shape](rows, columns).encode()


_SHAPES: dict[Format, Callable[[Sequence[Row], Sequence[str]], str]] = {
    "csv": _csv,
    "xml": _xml,
    "xhtml": _xhtml,
    "debug": _debug,
}
