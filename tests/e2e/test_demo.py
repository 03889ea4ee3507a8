"""`make demo`: it judges itself, ends by itself or when asked to, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.terminals import frames, terminal
from tests.patience import PATIENCE_S

COLUMNS, LINES = 80, 24


@contextmanager
def demo(folder: Path, *arguments: str, out: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
    """A running demo whose temporary files are below `folder`; afterwards nothing of it may be left."""
    mark = f"demo-{uuid.uuid4()}"
    environment = os.environ | {"DEMO_MARK": mark, "TMPDIR": str(folder), "RELAY_PORT": "stray", "TERM": "xterm"}
    command = [sys.executable, "-m", "relay.cli.main", "demo", *arguments]
    process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            # Twice: at once. Killed, it could not end its own processes.
            for _ in range(2):
                process.terminate()
            process.wait(60)
    left = [entry for entry in Path("/proc").glob("[0-9]*/environ") if mark in environ(entry)]
    assert left == []
    assert list(folder.iterdir()) == []


def environ(entry: Path) -> str:
    try:
        return entry.read_text(errors="replace")
    except OSError:
        return ""


def test_the_demo_judges_itself(short_folder: Path) -> None:
    """It ends after its seconds with 0, and its only line of output says that all came, and came once."""
    with demo(short_folder, "--seconds", "3", "--json") as process:
        out, err = process.communicate()
        assert process.returncode == 0, err
    verdict = json.loads(out)
    assert set(verdict) == {"shown", "stored", "verified", "duplicates", "missing"}
    assert verdict["duplicates"] == verdict["missing"] == 0
    assert verdict["stored"] >= verdict["shown"] >= 100
    assert verdict["verified"] >= 50


def test_asked_twice_it_ends_at_once(short_folder: Path) -> None:
    """A second signal does not wait for a verdict; still everything is stopped."""
    with demo(short_folder) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                process.send_signal(signal.SIGINT)
            if line.startswith("No more rows"):
                process.send_signal(signal.SIGINT)
                break
        assert process.wait(60) == 1


def test_a_demo_without_rows_is_refused(short_folder: Path) -> None:
    """The error names the argument of the demo, and nothing is started."""
    with demo(short_folder, "--rate", "0") as process:
        out, err = process.communicate()
    assert (process.returncode, out, err) == (2, "", "relay demo: --rate must be above 0, such as 40\n")


def test_at_eighty_columns_it_shows_a_world_and_how_to_get_in(short_folder: Path) -> None:
    """The URL and the key of the screen lead to every kind of trouble. SIGTERM (as Ctrl-C) ends it with a verdict."""
    with terminal(columns=COLUMNS, lines=LINES) as (follower, shown), demo(short_folder, out=follower) as process:
        until(lambda: "╭─ " in shown())
        screen = "".join(frames(shown()))
        url, key = re.search(r"(http\S+)/console", screen), re.search(r"the key (\w+)", screen)
        assert url
        assert key
        with httpx.Client(base_url=url[1], timeout=PATIENCE_S, trust_env=False) as visitor:
            entered = visitor.post("/console/sign-in", data={"key": key[1]}, headers={"origin": url[1]})
            assert entered.status_code == 303
            visitor.headers["authorization"] = f"Bearer {key[1]}"
            until(lambda: world(visitor) == WORLD)
            assert "billing" in visitor.get("/console").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(2 * PATIENCE_S) == 0
        *_, last = all_frames = frames(shown())
        assert max(len(line) for frame in all_frames for line in frame.splitlines()) <= COLUMNS
        assert max(len(frame.splitlines()) for frame in all_frames[:-1]) < LINES
        assert (shown().count(url[0]), shown().count(key[0])) == (1, 1)
        for part in ("No matching signature found", '"type": "', "more columns", " 0 missing."):
            assert part in last


WORLD = {"paused": ["archive"], "filtered": ["leads"], "failing": ["billing"], "quarantine": 2, "changes": True}


def world(api: httpx.Client) -> dict[str, object]:
    """What there is to see."""
    endpoints = api.get("/api/v1/app/crm/endpoint").json()["data"]
    troubled = api.get("/api/v1/stats/failing-endpoint").json()["data"]
    return {
        "paused": [each["uid"] for each in endpoints if each["paused"]],
        "filtered": [each["uid"] for each in endpoints if each["filter"]],
        "failing": [each["endpointUid"] for each in troubled if each["lastStatus"] == 401],
        "quarantine": len(api.get("/api/v1/source/demo/quarantine").json()["data"]),
        "changes": bool(api.get("/api/v1/app/crm/msg?event_types=call.updated").json()["data"]),
    }


def until(condition: Callable[[], object]) -> None:
    """Wait for something that must happen."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
