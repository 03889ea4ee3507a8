"""Terminals into which the shell blocks of a page are pasted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.cli.demo.ports import free_port

ENDS_WITHIN_S = 60


@pytest.fixture
def checkout(short_folder: Path) -> Path:
    """A folder that looks like a checkout after `make install`: all that the pages use of it is `.venv/bin`."""
    programs = {"relay": f"{sys.executable} -m relay.cli.main", "python": sys.executable}
    for name, program in programs.items():
        command = short_folder / ".venv/bin" / name
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        command.chmod(0o755)
    return short_folder


@pytest.fixture
def shell(checkout: Path, ports: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """A bash that reads what is pasted, with a free port in each variable of `ports`.

    When the test ends, so does everything that the shell has started.
    """
    with bash(checkout, ports, out=subprocess.PIPE) as process:
        yield process


@contextmanager
def bash(folder: Path, ports: Sequence[str], *, out: int) -> Iterator["subprocess.Popen[str]"]:
    """The same, which writes to `out`: a pipe for output and errors each, or a terminal for both."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY", "RECEIVER"))}
    process = subprocess.Popen(
        ["bash"],
        cwd=folder,
        env=clean | {"TERM": "dumb"} | {name: str(free_port()) for name in ports},
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=out,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Killed at once, `relay serve` could not end the embedded server.
        end(session_of(process.pid), signal.SIGTERM)
        deadline = time.monotonic() + ENDS_WITHIN_S
        while session_of(process.pid) and time.monotonic() < deadline:
            process.poll()
            time.sleep(0.1)
        end(session_of(process.pid), signal.SIGKILL)
        process.communicate()


def session_of(leader: int) -> list[int]:
    """The processes of a session that are there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except ProcessLookupError:
            continue
    return found


def end(members: list[int], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for pid in members:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
