"""Streams that are closed, full or of another encoding end no command with a traceback."""

import base64
import http.client
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from relay.cli.demo.ports import free_port
from tests.patience import PATIENCE_S

RELAY = f"{sys.executable} -m relay.cli.main"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a script does."""
    env = {"PATH": "/usr/bin:/bin", "WEBHOOK_SECRET": SECRET, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env, timeout=120, check=False)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("verify {file} --at 0 >/dev/full", 1, "relay verify: No space left on device\n"),
        ("verify {file} --at 0 >&-", 1, ""),
        ("verify - --at 0 <&-", 2, "relay verify: the file has no empty line between headers and body"),
        ("apply -f - <&-", 2, "relay apply: the URL and the key of a relay are not set"),
        ("receiver --secret $WEBHOOK_SECRET --port 0 --log /nowhere/x", 1, "relay receiver: /nowhere/x: No such file"),
        ("verify é.http", 2, "cannot be read: No such file"),
    ],
)
def test_a_command_says_what_is_wrong_with_a_stream(tmp_path: Path, command: str, code: int, says: str) -> None:
    """In one line."""
    file = tmp_path / "x.http"
    file.write_bytes(b"webhook-id: msg_1\n\n{}")
    done = shell(f"{RELAY} {command.format(file=file)}")
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b"> POST / HTTP/1.1\n> "])
def test_what_others_add_to_a_request_is_recognised(tmp_path: Path, begin: bytes) -> None:
    """An editor's byte order mark is no part of it, and what curl -v prints is none."""
    file = tmp_path / "x.http"
    file.write_bytes(begin + b"webhook-id: msg_1\n\n{}")
    done = shell(f"{RELAY} verify {file} --at 0")
    assert ("curl -v" in done.stderr) if begin.startswith(b">") else ("webhook-id" not in done.stdout)


def test_a_workbench_takes_whatever_arrives(tmp_path: Path) -> None:
    """It answers, saves what arrived on one line, prints JSON, and ends when nobody reads it."""
    port = free_port()
    command = [sys.executable, "-m", "relay.cli.main", "listen", "--port", str(port), "--json", "--save", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listening:
        assert listening.stdout
        assert listening.stderr
        assert "listens" in listening.stderr.readline()
        bodies = [b'"\\ud800"', b"NaN", b"[" * 900 + b"]" * 900]
        targets = ["/%E2%82%AC", "/a%0d%0aX-Evil:%20y?x=1", "/z"]
        for target, body in zip(targets, bodies, strict=True):
            assert _post(port, target, body) == 204
            assert "NaN" not in listening.stdout.readline().replace('"NaN"', "")
        saved = (tmp_path / "00002.http").read_bytes()
        assert saved.startswith(b"POST /a%0d%0aX-Evil:%20y?x=1 HTTP/1.1\r\nhost:")
        listening.stdout.close()
        assert _post(port, "/", b"{}") == 503
        listening.wait(PATIENCE_S)


def _post(port: int, target: str, body: bytes) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("POST", target, body)
        return connection.getresponse().status
