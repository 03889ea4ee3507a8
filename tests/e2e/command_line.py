"""A relay, its sandbox and a workbench as processes, and `relay …` as a person runs it."""

import base64
import io
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from unittest.mock import patch

import httpx

from relay.cli.demo.ports import free_port
from relay.cli.main import main
from tests.patience import PATIENCE_S

KEY = "a-key-for-the-command-line"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
COLUMNS = 80


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class World:
    """Where everything is."""

    env: dict[str, str]
    sandbox: str
    receiver: str
    folder: Path

    def run(self, *arguments: str, **further: str) -> Done:
        """Run a command in this process, with an environment of its own."""
        out, err = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, self.env | further, clear=True), redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(arguments)
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    @contextmanager
    def started(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command as a process that runs as long as the block, whose output is read from a pipe."""
        command = [sys.executable, "-m", "relay.cli.main", *arguments]
        # Whoever runs the tests in the background ignores Ctrl-C. The process would inherit that.
        ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, env=self.env, text=True)
        finally:
            signal.signal(signal.SIGINT, ignored)
        with process:
            try:
                yield process
            finally:
                process.kill()

    def at_a_terminal(self, *arguments: str, keys: bytes = b"", **further: str) -> Done:
        """Run a command in a pseudo-terminal of 80 columns, where `keys` are typed when it has asked something."""
        leader, follower = pty.openpty()
        ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        command = [sys.executable, "-m", "relay.cli.main", *arguments]
        env = self.env | {"TERM": "xterm-256color"} | further
        process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True
        )
        os.close(follower)
        shown = b""
        deadline = time.monotonic() + 2 * PATIENCE_S
        try:
            while time.monotonic() < deadline:
                if not select.select([leader], [], [], 0.5)[0]:
                    continue
                try:
                    part = os.read(leader, 65_536)
                except OSError:
                    break  # The terminal is closed.
                shown += part
                if keys and b"[y/N]" in shown:
                    os.write(leader, keys)
                    keys = b""
            return Done(process.wait(PATIENCE_S), shown.decode().replace("\r\n", "\n"), "")
        finally:
            process.kill()
            process.wait()
            os.close(leader)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run all processes until the block ends."""
    ports = {name: free_port() for name in ("api", "worker", "sandbox", "receiver")}
    env = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "RELAY_ADMIN_KEY": KEY, "RELAY_EGRESS_ALLOW": "127.0.0.0/8",
        "RELAY_UPSTREAM_ALLOW": "127.0.0.0/8", "RELAY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
        "RELAY_PORT": str(ports["api"]), "RELAY_WORKER_PORT": str(ports["worker"]),
        "RELAY_DATA_DIR": str(folder / "data"),
        "RELAY_API_URL": "", "RELAY_API_KEY": "",
    }  # fmt: skip
    listen = ["listen", "--port", str(ports["receiver"]), "--json", "--secret", SECRET, "--save", str(folder / "saved")]
    commands = {
        "sandbox": ["sandbox", "--port", str(ports["sandbox"]), "--rows", "300", "--rate", "0"],
        "receiver": listen,
        "api": ["serve"],
        "worker": ["worker"],
    }
    running = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                program = [sys.executable, "-m", "relay.cli.main", *command]
                running.append(subprocess.Popen(program, env=env, stdout=log, stderr=log, start_new_session=True))
        for name in ("api", "worker"):
            _wait_until_ready(f"http://127.0.0.1:{ports[name]}/health/ready", folder / f"{name}.log")
        url = "http://127.0.0.1:{}"
        yield World(env, url.format(ports["sandbox"]), url.format(ports["receiver"]), folder)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(2 * PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=PATIENCE_S).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())
