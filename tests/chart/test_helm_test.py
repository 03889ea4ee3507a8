"""`helm test`: its script passes against an API that works, and fails otherwise."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.chart.rendering import one, rendered
from tests.integration.cli.test_starting import NEEDED, environment, start

READY_WITHIN_S = 30


@pytest.mark.usefixtures("redis")
async def test_its_script_checks_the_api(short_folder: Path, redis_url: str) -> None:
    """Alive, ready, and the key of the Secret is accepted."""
    env = environment(short_folder, RELAY_REDIS_URL=redis_url)
    process = await start("serve", env)
    try:
        await listening(int(env["RELAY_PORT"]))
        relay = f"http://127.0.0.1:{env['RELAY_PORT']}"
        assert await run(relay, NEEDED["RELAY_ADMIN_KEY"]) == 0
        assert await run(relay, "another-key-0123456789") != 0
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
    assert process.returncode == 0, output
    assert await run(relay, NEEDED["RELAY_ADMIN_KEY"]) != 0


async def run(relay: str, key: str) -> int:
    """The exit code of the script of the pod."""
    (container,) = one(rendered("everything"), "Pod")["spec"]["containers"]
    python, *arguments = container["command"]
    assert python == "python"
    assert {each["name"] for each in container["env"]} == {"RELAY", "RELAY_ADMIN_KEY"}
    env = {"RELAY": relay, "RELAY_ADMIN_KEY": key}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def listening(port: int) -> None:
    """Wait until a port accepts connections."""
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
