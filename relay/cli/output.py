"""What commands print: tables and progress bars for people, JSON for programs, lines with tabs for pipes."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from relay.domain.masking import printable

MISSING = "-"
"""The sign for a missing value."""
GAP = 2
"""Spaces between columns."""
FOLDED_LEAST = 32
"""Characters of a column that is folded, at least: no id of the API is longer."""


class Output:
    """Where a command writes. With `as_json`, standard output has one JSON document and nothing else.

    On a terminal, tables are those of rich, if it is installed. Everywhere else, a table is lines of tabs with a head.
    """

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stream = stream or sys.stdout

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], value: Any) -> None:
        """Print rows. `value` is what they are in JSON."""
        if self.as_json:
            self.document(value)
            return
        texts = [[shown(cell) for cell in row] for row in rows]
        if (console := _console(self._stream)) is None:
            for line in [list(columns), *texts]:
                print("\t".join(line), file=self._stream)
            return
        draw = _table if _has_room(columns, texts, console.width) else _blocks
        console.print(draw(columns, texts))

    def fields(self, fields: Mapping[str, Any], value: Any) -> None:
        """Print one object, a line for each field. `value` is the object in JSON."""
        if self.as_json:
            self.document(value)
            return
        width = max(map(len, fields), default=0)
        for name, field in fields.items():
            print(f"{name:<{width}}  {shown(field)}", file=self._stream)

    def say(self, text: str) -> None:
        """Tell a person something. Programs get the JSON document instead."""
        if not self.as_json:
            print("\n".join(map(printable, text.split("\n"))), file=self._stream, flush=True)

    def document(self, value: Any) -> None:
        """Print the JSON document of a command."""
        print(json_text(value, self._stream, indent=2), file=self._stream, flush=True)

    def line(self, value: Any) -> None:
        """Print one JSON document of many, in one line."""
        print(json_text(value, self._stream), file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """Tell a person something that is not the result, whatever standard output has."""
        print(printable(text), file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, title: str) -> Iterator["Progress"]:
        """How far something is: a bar on a terminal, else lines on standard error when it changes."""
        if self.as_json or (console := _console(sys.stderr)) is None:
            yield _Lines(title)
            return
        from rich.progress import BarColumn, TextColumn  # only where there is a terminal
        from rich.progress import Progress as Bars

        parts = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[says]}", markup=False),
        )
        with Bars(*parts, console=console) as bars:
            yield _Bar(bars, bars.add_task(title, total=None, says=""))


class Progress(Protocol):
    """How far something is."""

    def show(self, says: str, *, done: float | None = None, total: float | None = None) -> None:
        """Say it. Without `total`, nobody knows how much there is."""


class _Lines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._said = ""

    def show(self, says: str, *, done: float | None = None, total: float | None = None) -> None:
        if says != self._said:
            self._said = says
            print(f"{self._title}: {printable(says)}", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, bars: Any, task: Any) -> None:
        self._bars = bars
        self._task = task

    def show(self, says: str, *, done: float | None = None, total: float | None = None) -> None:
        self._bars.update(self._task, completed=done, total=total, says=printable(says))


def json_text(value: Any, stream: TextIO, *, indent: int | None = None) -> str:
    """JSON as a terminal may show it and the encoding of the stream has it: everything else is escaped."""
    is_unicode = (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not is_unicode)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def shown(value: Any) -> str:
    """A value of the API as people read it, in one line."""
    match value:
        case None:
            return MISSING
        case bool():
            return "yes" if value else "no"
        case str():
            return printable(value)
        case float():
            return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
        case list() if all(isinstance(each, str | int | float) for each in value):
            return ", ".join(map(shown, value)) or MISSING
        case dict() | list():
            return printable(json.dumps(value, ensure_ascii=False))
    return printable(str(value))


def _console(stream: TextIO) -> Any:
    """A console of rich; None: there is no terminal, or no rich."""
    if not stream.isatty():
        return None
    try:
        from rich.console import Console  # only where there is a terminal
    except ModuleNotFoundError:
        return None
    return Console(file=stream, highlight=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from rich.box import SIMPLE_HEAD  # only where there is a terminal
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    numeric = [bool(rows) and all(_is_number(row[at]) for row in rows) for at in range(len(columns))]
    for at, column in enumerate(columns):
        # What does not fit is folded into more lines, and never cut.
        table.add_column(column, overflow="fold", justify="right" if numeric[at] else "left")
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    return table


def _has_room(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether only the widest column must be folded, and an id or a time still fits into it."""
    from rich.cells import cell_len  # only where there is a terminal

    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    others = sum(widths) - max(widths) + GAP * (len(widths) - 1)
    return others + min(max(widths), FOLDED_LEAST) <= width


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A block for each row: a table without room would break ids and times, which people copy."""
    from rich.table import Table  # only where there is a terminal
    from rich.text import Text

    grid = Table.grid(padding=(0, GAP))
    for at, row in enumerate(rows):
        if at:
            grid.add_row()
        for column, cell in zip(columns, row, strict=True):
            grid.add_row(column, Text(cell, overflow="fold"))
    return grid


def _is_number(text: str) -> bool:
    return text == MISSING or text.replace(".", "", 1).removeprefix("-").isdecimal()
