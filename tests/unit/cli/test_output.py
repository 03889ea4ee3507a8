"""Tables where there is a terminal and rich, lines with tabs everywhere else, and JSON for programs."""

import argparse
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli import completion
from relay.cli.faults import Misused
from relay.cli.main import COMMANDS
from relay.cli.output import Output, shown
from relay.cli.session import confirmed, moment

ROWS = [("a", 1), ("b\x1b[31m", None)]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_without_a_terminal_or_without_rich_a_table_is_lines(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tabs, complete, and without control characters."""
    if isinstance(stream, Terminal):
        monkeypatch.setitem(sys.modules, "rich.console", None)
    Output(as_json=False, stream=stream).table(("name", "number"), ROWS, None)
    assert stream.getvalue() == "name\tnumber\na\t1\nb\\x1b[31m\t-\n"


def test_on_a_terminal_it_is_a_table_that_escapes_nothing_of_a_server() -> None:
    """Markup of rich in a value is text."""
    stream = Terminal()
    Output(as_json=False, stream=stream).table(("name",), [("[red]x\x1b[31m",)], None)
    assert "[red]x\\x1b[31m" in stream.getvalue()


IDS = ("msg_yvZjDxv5VMNyMN8J3Vb88qC7", "ep_0ERs3tNJH4blGBEP1Ecb1zMV6Oh", "2026-11-29T02:40:24.796Z")


@pytest.mark.parametrize(("width", "is_table"), [("80", False), ("120", True)])
def test_ids_and_times_are_whole_in_any_width(width: str, *, is_table: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is on one line, so that people can copy it: in a table with room for all of them, else in blocks."""
    monkeypatch.setenv("COLUMNS", width)
    stream = Terminal()
    Output(as_json=False, stream=stream).table(("message", "endpoint", "since"), [IDS, IDS], None)
    lines = stream.getvalue().splitlines()
    assert all(sum(each in line for line in lines) == 2 for each in IDS)
    assert any(all(each in line for each in IDS) for line in lines) == is_table


def test_one_long_value_is_folded_in_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that is longer than the terminal does not end the table."""
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    Output(as_json=False, stream=stream).table(("endpoint", "url"), [("crm", "u" * 200)], None)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, plain.splitlines())) <= 80
    assert plain.partition("url")[2].count("u") == 200


def test_json_is_one_document() -> None:
    """Whatever else is said."""
    stream = io.StringIO()
    out = Output(as_json=True, stream=stream)
    out.say("hello")
    out.table(("name",), ROWS, [{"name": "a"}])
    assert json.loads(stream.getvalue()) == [{"name": "a"}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (1.5, "1.5"),
        (2e9, "2000000000"),
        (["a", 1], "a, 1"),
        ([], "-"),
        ({"a": []}, '{"a": []}'),
    ],
)
def test_values_are_read_in_one_line(value: object, text: str) -> None:
    """As people write them."""
    assert shown(value) == text


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_services_do_not_load_what_terminals_need(command: str) -> None:
    """They start without rich, as in the image. (structlog loads it where it is installed.)"""
    program = f"import sys; sys.modules['rich'] = None; import relay.cli.main, relay.cli.{command}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"shtab", "relay.cli.client.api", "relay.cli.output"} & loaded


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_gets_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the steps of groups and their options. bash accepts its script."""
    assert completion.run(argparse.Namespace(shell=shell)) == 0
    script = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in script] == []
    assert "rewind" in script
    assert "prune" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_times_are_moments_or_how_long_ago() -> None:
    """Without an offset they are UTC."""
    assert moment("2026-11-24T10:00:00") == "2026-11-24T10:00:00Z"
    assert moment("2026-11-24") == "2026-11-24T00:00:00Z"
    assert moment("2h") < moment("90m") < moment("0s")
    with pytest.raises(argparse.ArgumentTypeError, match="must be a time"):
        moment("yesterday")
    with pytest.raises(argparse.ArgumentTypeError, match="must be a time"):
        moment("99999999d")


def test_json_shows_a_terminal_nothing_raw() -> None:
    """Control characters, what turns the reading direction, and halves of characters are escapes of JSON."""
    value = {"name": "\x1b[31m\x7f\x9b2J\u202e\ud800 é 😀"}
    stream = io.StringIO()
    Output(as_json=True, stream=stream).document(value)
    printed = stream.getvalue()
    assert json.loads(printed) == value
    assert printed.replace("\n", "").isprintable()
    assert "é 😀" in printed


def test_json_fits_the_encoding_of_the_stream() -> None:
    """A terminal that is not Unicode gets escapes."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    Output(as_json=True, stream=stream).line({"name": "é 😀"})
    stream.seek(0)
    assert json.loads(stream.read()) == {"name": "é 😀"}


def test_a_question_shows_a_terminal_nothing_raw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names objects as the relay does."""
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    with pytest.raises(Misused, match="nothing was changed"):
        confirmed("Delete \x1b[31m?", argparse.Namespace(yes=False))
    assert capsys.readouterr().err == "Delete \\x1b[31m? [y/N] "


def test_bash_completes_files() -> None:
    """Where a command reads one."""
    script = subprocess.run(
        [sys.executable, "-m", "relay.cli.main", "completion", "bash"], capture_output=True, text=True, check=True
    )
    ask = "COMP_WORDS=(relay apply -f pyproject.t) COMP_CWORD=3; _shtab_relay; echo ${COMPREPLY[*]}"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script.stdout}\n{ask}"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout.strip() == "pyproject.toml"
