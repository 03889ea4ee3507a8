"""What the demo shows of a callback, on a terminal and off it."""

import io
import re

import pytest
from rich.console import Console

from relay.cli.demo.payload import payload_lines
from relay.cli.demo.table import LiveTable, screen

GOOD = {
    "atMs": 0,
    "path": "calls",
    "verified": True,
    "duplicate": False,
    "webhookId": "msg_abcdefghijklmnop",
    "type": "call.created",
    "rowId": "141247288",
    "revision": 1,
}
FORGED = {"atMs": 0, "path": "calls", "verified": False, "error": "No matching signature found"}


def test_off_a_terminal_each_callback_is_one_plain_line() -> None:
    """A log gets lines without colours or cursor movements."""
    stream = io.StringIO()
    with screen(stream) as shown:
        shown.say("Starting [all]")
        shown.show(GOOD)
        shown.show(FORGED)
    said, good, forged = stream.getvalue().splitlines()
    assert said == "Starting [all]"
    assert "calls  call.created  141247288/1  msg_abcdefghijklmnop  verified" in good
    assert "refused" in forged
    assert "\x1b" not in stream.getvalue()


PAYLOAD = {
    "type": "call.created",
    "timestamp": "2026-01-05T08:24:20.000Z",
    "data": {"rowId": "1", "classes": ["call"], "trigger": {"empty": "", "rowId": "1", "callDuration": 97}},
}


class Terminal:
    """A terminal of this size with a table: what was said, and the table once below it."""

    def __init__(self, *, height: int, width: int = 80) -> None:
        self.stream = io.StringIO()
        self.console = Console(file=self.stream, width=width, height=height)
        self.table = filled(self.console)

    def drawn(self) -> list[str]:
        """The lines of the screen."""
        self.console.print(self.table)
        return self.stream.getvalue().splitlines()


def filled(console: Console) -> LiveTable:
    """A table with what was said, and many callbacks."""
    table = LiveTable(console)
    table.introduce({"calls": "calls", "billing": "goals"})
    for text in ("Console   http://127.0.0.1:8080/console", "Ctrl-C ends it."):
        table.say(text)
    for _ in range(99):
        table.show(GOOD)
    return table


def test_on_a_terminal_the_newest_stand_in_a_table() -> None:
    """The table shows the newest callbacks and how many each endpoint got, as many as there is room for."""
    tall = Terminal(height=50).drawn()
    assert sum("call.created" in line for line in tall) == 15
    assert any(line.split() == ["calls", "99", "calls"] for line in tall)


@pytest.mark.parametrize("height", [24, 30, 60])
def test_the_screen_fits_into_the_terminal(height: int) -> None:
    """Nothing is cut: neither at the bottom nor on the right. The payload is there."""
    terminal = Terminal(height=height)
    table = terminal.table
    table.show(FORGED | {"path": "billing"})
    row = {f"column{number}": "x" * 30 for number in range(99)}
    table.show_payload(GOOD, {"type": "call.created", "data": {"trigger": row}})
    lines = terminal.drawn()
    assert len(lines) < height
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for part in ("http://127.0.0.1:8080/console", "No matching signature found", GOOD["webhookId"], '"column1": "xxx'):
        assert part in text
    assert re.search(r"… and \d+ more columns", text)


def test_before_the_first_callback_there_is_no_empty_table() -> None:
    """Only what was said is on the screen while the processes start."""
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=24)
    console.print(LiveTable(console))
    assert stream.getvalue().strip() == ""


def test_what_can_be_copied_is_not_drawn_again() -> None:
    """The URL and the key stand above the table once, so that a selection of them stays."""
    terminal = Terminal(height=30)
    terminal.drawn()
    assert "\n".join(terminal.drawn()).count("http://127.0.0.1:8080/console") == 1


def test_refused_callbacks_do_not_hide_the_others() -> None:
    """Of an endpoint that refuses everything, one line is shown."""
    terminal = Terminal(height=30)
    for _ in range(99):
        terminal.table.show(FORGED | {"path": "billing"})
    lines = terminal.drawn()
    assert sum("refused" in line for line in lines) == 1
    assert sum("call.created" in line for line in lines) >= 3


def test_a_payload_shows_first_what_says_most() -> None:
    """Columns that are empty or repeat the head come last, and what does not fit is counted."""
    assert payload_lines(PAYLOAD, width=80, height=9) == [
        '"type": "call.created", "timestamp": "2026-01-05T08:24:20.000Z", "rowId": "1",',
        '"classes": ["call"],',
        '  "callDuration": 97, "empty": "", "rowId": "1",',
    ]
    assert payload_lines(PAYLOAD, width=24, height=6)[-1] == "  … and 2 more columns"


def test_off_a_terminal_one_payload_is_printed() -> None:
    """A log shows what a callback contains, once."""
    stream = io.StringIO()
    with screen(stream) as shown:
        shown.introduce({"calls": "calls"})
        shown.show_payload(GOOD, PAYLOAD)
        shown.show_payload(GOOD, PAYLOAD)
    assert stream.getvalue().count('"callDuration": 97') == 1
    assert "/calls   gets calls" in stream.getvalue()
