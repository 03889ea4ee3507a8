"""What the demo shows: a screen that lives on a terminal, plain lines everywhere else."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relay.cli.demo.payload import payload_lines

RECENT = 15
FEWEST, PAYLOAD_MOST = 3, 12
"""Callbacks that are shown at least, and lines of the payload that are shown at most."""
BORDERS = 2
"""Lines around the payload."""


class Screen(Protocol):
    """Where the demo says what happens."""

    def say(self, text: str) -> None:
        """Tell one thing that happened."""

    def introduce(self, endpoints: Mapping[str, str]) -> None:
        """Name the endpoints, and say what each of them gets."""

    def show(self, note: dict[str, Any]) -> None:
        """Report one callback, as the receiver noted it."""

    def show_payload(self, note: dict[str, Any], payload: dict[str, Any]) -> None:
        """Show what such a callback contains."""


@contextmanager
def screen(stream: TextIO) -> Iterator[Screen]:
    """A live screen if `stream` is a terminal, else lines."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield Lines(console)
        return
    table = LiveTable(console)
    with Live(table, console=console, refresh_per_second=8, transient=False):
        yield table


class Lines:
    """One line for each thing, for a log or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._payload_shown = False

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def introduce(self, endpoints: Mapping[str, str]) -> None:
        """Print a line for each."""
        for name, says in endpoints.items():
            self.say(f"  /{name:<7} gets {says}")

    def show(self, note: dict[str, Any]) -> None:
        """Print it."""
        self.say("  ".join(_cells(note)))

    def show_payload(self, note: dict[str, Any], payload: dict[str, Any]) -> None:
        """Print the first one: all of them would hide everything else."""
        if not self._payload_shown:
            self._payload_shown = True
            for line in [f"payload of {note['webhookId']}:", *payload_lines(payload, width=100, height=PAYLOAD_MOST)]:
                self.say(line)


class LiveTable:
    """The endpoints, the newest callbacks, and a payload. With what was said above, it fits into the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = 0
        self._endpoints: dict[str, str] = {}
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._counts: dict[str, int] = {}
        self._payload: tuple[dict[str, Any], dict[str, Any]] | None = None

    def say(self, text: str) -> None:
        """Print it above what is drawn again and again: a terminal can drop a selection of text that is drawn again."""
        said = Text(text, overflow="fold")
        self._said += len(said.wrap(self._console, self._console.width))
        self._console.print(said)

    def introduce(self, endpoints: Mapping[str, str]) -> None:
        """Keep them on the screen, with how many callbacks each got."""
        self._endpoints = dict(endpoints)

    def show(self, note: dict[str, Any]) -> None:
        """Put it on top. Of an endpoint's refused ones, only the newest stays: they would hide everything else."""
        if not note["verified"]:
            kept = [each for each in self._recent if each["verified"] or each["path"] != note["path"]]
            self._recent = deque(kept, maxlen=RECENT)
        self._recent.appendleft(note)
        self._counts[note["path"]] = self._counts.get(note["path"], 0) + 1

    def show_payload(self, note: dict[str, Any], payload: dict[str, Any]) -> None:
        """Show it until the next one comes."""
        self._payload = (note, payload)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Share the lines of the terminal among callbacks and the payload (rich's protocol)."""
        endpoints = [(name, str(self._counts.get(name, 0)), says) for name, says in self._endpoints.items()]
        taken = self._said + len(endpoints) + 3
        free = max(FEWEST, console.size.height - taken)
        payload = payload_lines(
            self._payload[1], width=options.max_width - 4, height=max(0, min(PAYLOAD_MOST, free - FEWEST - BORDERS))
        ) if self._payload else []  # fmt: skip
        callbacks = free - (len(payload) + BORDERS if payload else 0)
        if endpoints:
            yield _table(("endpoint", "callbacks", "gets"), endpoints)
        recent = [_cells(note) for note in list(self._recent)[:callbacks]]
        if recent:
            yield _table(("time", "to", "type", "row", "signature"), [_narrow(each) for each in recent])
        if self._payload and payload:
            note = self._payload[0]
            yield Panel(Text("\n".join(payload)), title=f"{note['path']}: {note['webhookId']}", title_align="left")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*columns, box=None, pad_edge=False, header_style="bold underline")
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row), style="red" if "refused" in row else "")
    return table


def _narrow(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Without the webhook-id, for which 80 columns have no room. The payload has it."""
    return (*cells[:4], cells[5])


def _cells(note: dict[str, Any]) -> tuple[str, ...]:
    when = time.strftime("%H:%M:%S", time.localtime(note["atMs"] / 1000))
    if not note["verified"]:
        return when, note["path"], "refused", "", "", note["error"]
    signature = "verified, came before" if note["duplicate"] else "verified"
    return when, note["path"], note["type"], f"{note['rowId']}/{note['revision']}", note["webhookId"], signature
