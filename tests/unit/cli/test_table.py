"""What the demo shows of a callback, on a terminal and off it."""

import io

from rich.console import Console

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
    assert "calls  call.created  141247288/1  msg_abcdefghij  verified" in good
    assert "refused" in forged
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_the_newest_stand_in_a_table() -> None:
    """The table shows the newest callbacks and how many each endpoint got."""
    table = LiveTable()
    for _ in range(99):
        table.show(GOOD)
    stream = io.StringIO()
    Console(file=stream, width=120).print(table.render())
    assert stream.getvalue().count("call.created") == 15
    assert "calls: 99" in stream.getvalue()
