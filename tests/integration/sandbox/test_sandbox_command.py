"""`relay sandbox` as a process: what it prints, serves, and how it ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.sandbox.config import SandboxConfig
from relay.sandbox.journeys import rows
from tests.patience import PATIENCE_S

Start = Callable[..., tuple[subprocess.Popen[str], str]]
HEADERS = {"Authorization": f"ApiKey {SandboxConfig().api_key}"}
CALLS = "/reports/v2.1/igrps/1/triggers/calls"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command on a free port; gives the process and the URL that it printed."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "relay.cli.main", "sandbox", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_at_once_and_ends_cleanly(start: Start, number: signal.Signals) -> None:
    """The first line is a URL that answers; a signal ends the process with 0, also while a slow body is sent."""
    process, url = start("--rows", "50", "--rate", "0", "--seed", "9", "--hazard", "slow,probability=1,seconds=30")
    state = httpx.get(f"{url}/sandbox/state", timeout=PATIENCE_S).json()
    assert (state["rows"], state["producing"]) == (50, False)
    with httpx.stream("GET", url + CALLS, headers=HEADERS, timeout=PATIENCE_S) as response:
        assert response.status_code == 200
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 0


def test_a_signal_right_after_the_first_line_is_not_lost(start: Start) -> None:
    """There is no moment in which SIGTERM would be overheard."""
    process, _ = start("--rows", "1", "--rate", "0")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 0


def test_it_serves_a_file_on_the_paths_of_v2(start: Start, tmp_path: Path) -> None:
    """Rows of a file are there at once, for the user that was named."""
    made = list(rows(5, 40))
    (tmp_path / "rows.ndjson").write_text("".join(json.dumps(row) + "\n" for row in made))
    _, url = start("--file", str(tmp_path / "rows.ndjson"), "--username", "ann", "--password", "pw", "--igrp", "7")
    query = "limit=1000&sort[]=rowId-asc&filter[]=rowId-gt-value-0"
    response = httpx.get(f"{url}/reports/v2/igrps/7/triggers/all?{query}", auth=("ann", "pw"), timeout=PATIENCE_S)
    assert [json.loads(line) for line in response.text.splitlines()] == made


def test_rows_come_by_the_clock(start: Start) -> None:
    """Without a rate a few rows a second appear, without end."""
    _, url = start("--rate", "200")

    def newest() -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"{url}/sandbox/state", timeout=PATIENCE_S).json()
        return state

    before, deadline = newest(), time.monotonic() + PATIENCE_S
    while newest()["rows"] < before["rows"] + 20:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert newest()["producing"]


def test_live_rows_happen_now(start: Start) -> None:
    """The newest landing is a moment old, whatever the rate."""
    _, url = start("--rate", "100", "--live", "--seed", "4")
    query = "limit=1000&filter[]=act-eq-value-land&sort[]=rowId-desc"
    deadline = time.monotonic() + PATIENCE_S
    while len(landings := httpx.get(f"{url}/reports/v2.1/igrps/1/triggers/all?{query}", headers=HEADERS).text) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    happened = datetime.fromisoformat(json.loads(landings.splitlines()[0])["triggerDatetime"]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - happened) < timedelta(seconds=PATIENCE_S)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--file", "/nonsuch"],
        ["--rate", "0"],
        ["--live", "--rows", "5", "--rate", "0"],
        ["--live", "--file", "rows.ndjson", "--rate", "5"],
        ["--hazard", "nonsuch"],
        ["--host", "203.0.113.1"],
    ],
)
def test_wrong_arguments_are_told(start: Start, arguments: list[str]) -> None:
    """What cannot work is said on stderr, with exit code 2 and without a trace."""
    process, first_line = start(*arguments)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, first_line) == (2, "")
    assert "relay sandbox: " in errors
    assert "Traceback" not in errors
