"""`relay receiver` as a process: it listens, verifies, writes its log, and ends well when told to."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from relay.cli.demo.ports import free_port
from tests.patience import PATIENCE_S

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
BODY = b'{"type": "call.created", "data": {"source": "main", "rowId": "7", "revision": 0, "classes": ["call"]}}'


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/state", timeout=PATIENCE_S)
        except httpx.ConnectError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("the receiver does not listen")


def test_it_verifies_logs_counts_and_stops(tmp_path: Path) -> None:
    """A signed callback is answered 204 and logged, a forged one 401, /state counts both, SIGTERM ends it with 0."""
    log, port = tmp_path / "callbacks.ndjson", free_port()
    command = [sys.executable, "-m", "relay.cli.main", "receiver", "--port", str(port), "--log", str(log), "--quiet"]
    process = subprocess.Popen(command, env=os.environ | {"RECEIVER_SECRETS": f"crm={SECRET}"})
    try:
        url, now = f"http://127.0.0.1:{port}", datetime.now(UTC)
        wait_until_ready(url, process)
        headers = {
            "webhook-id": "msg_a",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign("msg_a", now, BODY.decode()),
        }
        statuses = [
            httpx.post(f"{url}/crm", content=BODY, headers=headers, timeout=PATIENCE_S).status_code,
            httpx.post(f"{url}/crm", content=BODY + b" ", headers=headers, timeout=PATIENCE_S).status_code,
            httpx.get(f"{url}/elsewhere", timeout=PATIENCE_S).status_code,
        ]
        assert statuses == [204, 401, 404]
        state = httpx.get(f"{url}/state", timeout=PATIENCE_S).json()
        assert (state["verified"], state["duplicates"], state["refused"]) == (1, 0, 1)
        assert [json.loads(line)["verified"] for line in log.read_text().splitlines()] == [True, False]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """When it cannot listen it says why and exits with 1, as the API does, instead of seeming to run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "relay.cli.main", "receiver", "--port", str(taken.getsockname()[1])]
        result = subprocess.run(
            [*command, "--secret", SECRET], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    assert result.returncode == 1
    assert "Address already in use" in result.stderr
