"""`make demo`: it judges itself, ends by itself or when asked to, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A running demo whose temporary files are below `folder`; afterwards nothing of it may be left."""
    mark = f"demo-{uuid.uuid4()}"
    environment = os.environ | {"DEMO_MARK": mark, "TMPDIR": str(folder), "RELAY_PORT": "stray"}
    command = [sys.executable, "-m", "relay.cli.main", "demo", *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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


def test_asked_to_end_it_judges_and_leaves(short_folder: Path) -> None:
    """After the first callback, SIGTERM (as Ctrl-C) ends it: with a verdict, and without a process left."""
    with demo(short_folder) as process:
        assert process.stdout
        for line in process.stdout:
            if line.endswith("verified\n"):
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read().endswith(" 0 duplicates, 0 missing.\n")


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
