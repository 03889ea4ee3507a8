"""README, "Running it": pasted into a shell as it stands, it ends with a callback that arrived."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.processes import free_port
from tests.patience import PATIENCE_S

README = Path(__file__).parents[2] / "README.md"
ENDS_WITHIN_S = 60
PORTS = ("RELAY_PORT", "RELAY_WORKER_PORT", "SANDBOX_PORT", "RECEIVER_PORT")


@pytest.fixture
def checkout(short_folder: Path) -> Path:
    """A folder that looks like a checkout after `make install`: all that the README uses of it is `.venv/bin/relay`."""
    command = short_folder / ".venv/bin/relay"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m relay.cli.main "$@"\n')
    command.chmod(0o755)
    return short_folder


@pytest.fixture
def shell(checkout: Path) -> Iterator["subprocess.Popen[str]"]:
    """A bash that reads what is pasted. When the test ends, so does everything that the shell has started."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY", "RECEIVER"))}
    process = subprocess.Popen(
        ["bash"],
        cwd=checkout,
        env=clean | {name: str(free_port()) for name in PORTS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
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


def test_running_it_works_when_it_is_pasted(checkout: Path, shell: "subprocess.Popen[str]") -> None:
    """Keys in a private file, four processes, a source, an application, an endpoint, and a verified callback."""
    out, err = shell.communicate(pasted() + "\njobs -p >pids\nkill $(jobs -p)\nwait\n", timeout=200)
    first = json.loads(out.strip().splitlines()[-1])
    assert first["verified"], (out, err)
    assert first["source"] == "main"
    assert (checkout / "data/relay.env").stat().st_mode & 0o777 == 0o600
    assert len((checkout / "pids").read_text().split()) == 4


def test_what_the_helper_refuses_is_shown(checkout: Path) -> None:
    """`api` prints the body of an error, and ends with another code than 0."""
    helper = next(block for block in blocks() if "api()" in block).partition("api POST")[0]
    script = helper.replace("RELAY=http", ": http") + 'RELAY=$1; api GET app; echo "code $?"'
    server = subprocess.Popen([sys.executable, "-c", REFUSING], stdout=subprocess.PIPE, text=True, cwd=checkout)
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        done = subprocess.run(
            ["bash", "-c", script, "bash", url], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    finally:
        server.kill()
        server.communicate()
    assert done.stdout == '{"code":"invalid"}\ncode 22\n'


REFUSING = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(422)
        self.send_header("content-length", "18")
        self.end_headers()
        self.wfile.write(b'{"code":"invalid"}')
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def pasted() -> str:
    """The section's shell blocks, one after the other."""
    return "\n".join(blocks())


def blocks() -> list[str]:
    """The shell blocks of "Running it"."""
    section = README.read_text().partition("## Running it")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


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
