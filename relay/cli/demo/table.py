"""What the demo shows: a table that lives on a terminal, plain lines everywhere else."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

RECENT = 15


class Screen(Protocol):
    """Where the demo says what happens."""

    def say(self, text: str) -> None:
        """Tell one thing that happened."""

    def show(self, note: dict[str, Any]) -> None:
        """Report one callback, as the receiver noted it."""


@contextmanager
def screen(stream: TextIO) -> Iterator[Screen]:
    """A live table if `stream` is a terminal, else lines."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield Lines(console)
        return
    table = LiveTable()
    with Live(get_renderable=table.render, console=console, refresh_per_second=8, transient=False):
        yield table


class Lines:
    """One line for each thing, for a log or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, note: dict[str, Any]) -> None:
        """Print it."""
        self.say("  ".join(_cells(note)))


class LiveTable:
    """The newest callbacks, how many each endpoint got, and what was said."""

    def __init__(self) -> None:
        self._said: deque[str] = deque(maxlen=8)
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._counts: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Keep it on the screen."""
        self._said.append(text)

    def show(self, note: dict[str, Any]) -> None:
        """Put it on top."""
        self._recent.appendleft(note)
        self._counts[note["path"]] = self._counts.get(note["path"], 0) + 1

    def render(self) -> Group:
        """The present content of the screen."""
        table = Table("time", "endpoint", "type", "row", "webhook-id", "signature", expand=True)
        for note in self._recent:
            table.add_row(*_cells(note), style="" if note["verified"] else "red")
        counts = "   ".join(f"{name}: {count}" for name, count in sorted(self._counts.items()))
        return Group(*map(Text, self._said), table, Text(counts, style="bold"))


def _cells(note: dict[str, Any]) -> tuple[str, ...]:
    when = time.strftime("%H:%M:%S", time.localtime(note["atMs"] / 1000))
    if not note["verified"]:
        return when, note["path"], "refused", "", "", note["error"]
    signature = "verified, came before" if note["duplicate"] else "verified"
    return when, note["path"], note["type"], f"{note['rowId']}/{note['revision']}", note["webhookId"][:14], signature
