"""An argument that a command cannot work with ends it with exit code 2 and one line, before anything is asked."""

import argparse

import pytest

from relay.cli import arguments
from relay.cli.main import main

ENDPOINT = ("crm", "all")


@pytest.mark.parametrize(
    "command",
    [
        ["endpoint", "attempts", *ENDPOINT, "--limit", "-5"],
        ["endpoint", "attempts", *ENDPOINT, "--limit", "0"],
        ["endpoint", "attempts", *ENDPOINT, "--limit", "9223372036854775807"],
        ["endpoint", "secret", "rotate", *ENDPOINT, "--grace", "-1"],
        ["endpoint", "test", *ENDPOINT, "--wait", "-1"],
        ["endpoint", "test", *ENDPOINT, "--wait", "nan"],
        ["undelivered", "--limit", "-5"],
        ["undelivered", "--limit", "0"],
        ["undelivered", "--limit", "1_0"],
        ["reconcile", "main", "--limit", "-1"],
        ["reconcile", "main", "--after-row-id", "-1"],
        ["replay", *ENDPOINT, "--rate", "0"],
        ["backfill", "main", "all", "--after-row-id", "-1", "--endpoints", "none"],
        ["source", "rewind", "main", "all", "-1"],
        ["key", "rotate", "key_1", "--grace", "-1"],
        ["portal", "link", "crm", "--expiry", "0"],
        ["tail", "--seconds", "0"],
        ["verify", "x.http", "--at", "-1"],
        ["listen", "--retry-after", "-1"],
        ["listen", "--delay", "601"],
        ["listen", "--port", "70000"],
        ["listen", "--port", "-1"],
        ["receiver", "--port", "70000"],
        ["sandbox", "--port", "70000"],
        ["sandbox", "--port", "-1"],
        ["sandbox", "--rate", "-1"],
        ["sandbox", "--rows", "-1"],
        ["demo", "--seconds", "-1"],
        ["demo", "--rate", "nan"],
    ],
    ids=" ".join,
)
def test_a_number_out_of_range_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the number, and what is allowed."""
    with pytest.raises(SystemExit) as ended:
        main(command)
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert " must be a " in said
    assert " from " in said


@pytest.mark.parametrize(
    ("reads", "text", "value"),
    [
        (arguments.positive, "1", 1),
        (arguments.natural, "0", 0),
        (arguments.row_id, "9223372036854775807", 2**63 - 1),
        (arguments.port, "0", 0),
        (arguments.port, "65535", 65_535),
        (arguments.amount(), "0.5", 0.5),
    ],
    ids=["positive", "natural", "row_id", "port 0", "port 65535", "amount"],
)
def test_both_ends_of_a_range_are_allowed(reads: arguments.Reads, text: str, value: float) -> None:
    """And the value is a number."""
    assert reads(text) == value


@pytest.mark.parametrize("text", ["", "x", "٣", "1.5", "+1", " 1", "9" * 5000], ids=range(7))
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    """Also what Python would read."""
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number from 1 to 1000000000") as refused:
        arguments.positive(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "command",
    [
        ["source", "pause", "main", "--route", ""],
        ["source", "list", "--profile", " "],
        ["endpoint", "list", "--app", ""],
        ["undelivered", "--endpoint", ""],
        ["undelivered", "--reason", ""],
        ["tail", "--types", ","],
        ["tail", "--source", ""],
        ["replay", *ENDPOINT, "--types", ""],
        ["replay", *ENDPOINT, "--states", ""],
        ["backfill", "main", "all", "--after-row-id", "1", "--endpoints", ""],
        ["key", "create", "ci", "--scopes", ""],
        ["portal", "end", "crm", "--session", ""],
    ],
    ids=" ".join,
)
def test_an_empty_option_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that is not set must not pause all routes, or ask another relay."""
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert f"argument {command[-2]}: must not be empty" in capsys.readouterr().err


def test_a_repair_cannot_be_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It begins when the comparison has ended, so nobody would start it."""
    monkeypatch.setenv("RELAY_API_KEY", "k")
    monkeypatch.setenv("RELAY_API_URL", "http://127.0.0.1:1")
    assert main(["reconcile", "main", "--repair", "--no-wait"]) == 2
    assert "--repair and --no-wait exclude each other" in capsys.readouterr().err
