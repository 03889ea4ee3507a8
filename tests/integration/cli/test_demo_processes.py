"""The demo's processes: none outlives it, one that ends is reported, and none sees the RELAY_ settings around it."""

import asyncio
import base64
import contextlib
import os
import signal
from pathlib import Path

import pytest

from relay.cli.demo.ports import free_port
from relay.cli.demo.processes import ChildEnded, Processes, processes
from tests.patience import FOREVER_S, PATIENCE_S

SECRET = {"RECEIVER_SECRETS": "whsec_" + base64.b64encode(b"s" * 32).decode()}


async def start_receiver(children: Processes) -> int:
    """Start one, and give its process id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/state"
    await children.start("receiver", "receiver", "--port", str(port), env=SECRET, ready=url)
    return children._children["receiver"].pid


async def test_no_process_outlives_the_demo(tmp_path: Path) -> None:
    """Whatever happens inside, the processes are gone when the block ends."""
    pid = 0
    with contextlib.suppress(ZeroDivisionError):
        async with processes(tmp_path) as children:
            pid = await start_receiver(children)
            raise ZeroDivisionError
    assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_process_that_ends_is_reported_at_once(tmp_path: Path) -> None:
    """When one dies, the work is given up with a message that names it."""
    async with processes(tmp_path) as children:
        os.kill(await start_receiver(children), signal.SIGKILL)
        with pytest.raises(ChildEnded, match="the receiver ended with code -9"):
            async with asyncio.timeout(PATIENCE_S):
                await children.during(asyncio.sleep(FOREVER_S))


async def test_a_process_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    """What it said last is in the error, line by line. The message is one line."""
    async with processes(tmp_path) as children:
        with pytest.raises(
            ChildEnded, match=r"\Athe receiver ended with code 2\. The end of its log is above\Z"
        ) as ended:
            await children.start("receiver", "receiver", env={}, ready="http://127.0.0.1:1/")
    assert "RECEIVER_SECRETS is required" in ended.value.log[-1]


async def test_stray_settings_do_not_reach_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RELAY_ variables of the shell that runs the demo are not seen: one could name a real Redis."""
    monkeypatch.setenv("RELAY_REDIS_URL", "redis://production")
    async with processes(tmp_path) as children:
        pid = await start_receiver(children)
        assert b"RELAY_" not in Path(f"/proc/{pid}/environ").read_bytes()
