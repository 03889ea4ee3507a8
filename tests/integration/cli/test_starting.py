"""How the two services start, or don't: what is wrong is one line, and who is told to end while it starts ends well."""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from relay.cli.demo.ports import free_port
from tests.fault.stage import until
from tests.integration.store.test_seal import NEW, fill
from tests.patience import PATIENCE_S

NEEDED = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}
SERVICES = ["serve", "worker"]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    ports = {"RELAY_PORT": str(free_port()), "RELAY_WORKER_PORT": str(free_port())}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return {**inherited, **NEEDED, **ports, "RELAY_DATA_DIR": str(folder), **settings}


async def start(service: str, env: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay.cli.main", service,
        env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def said(process: asyncio.subprocess.Process) -> str:
    """Everything that it says, until it ends by itself."""
    async with asyncio.timeout(2 * PATIENCE_S):
        output, _ = await process.communicate()
    return output.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_all_wrong_settings_are_told(service: str, short_folder: Path) -> None:
    env = environment(short_folder, RELAY_REDIS_URL="redis://:pa/ss#word@host/zero", RELAY_LOG_FORMAT="xml")
    process = await start(service, env)
    text = await said(process)
    assert process.returncode == 2
    assert text.splitlines()[0] == "Invalid settings:"
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["RELAY_REDIS_URL", "RELAY_LOG_FORMAT"]
    assert "pa/ss" not in text
    assert "word" not in text.replace("password", "")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("setting", ["", "RELAY_METRICS_PORT"])
async def test_a_taken_port_is_told_before_anything_starts(service: str, setting: str, short_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, setting = taken.getsockname()[1], setting or ("RELAY_PORT" if service == "serve" else "RELAY_WORKER_PORT")
        process = await start(service, environment(short_folder, **{setting: str(port)}))
        text = await said(process)
    assert process.returncode == 1
    assert f"port {port} of 127.0.0.1 can't be used" in text
    assert setting in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("folder", ["file", "below a file"])
async def test_a_data_directory_that_cannot_be_written_is_told(service: str, short_folder: Path, folder: str) -> None:
    (short_folder / "file").touch()
    path = short_folder / "file" if folder == "file" else short_folder / "file" / "below"
    process = await start(service, environment(path))
    text = await said(process)
    assert process.returncode == 1
    assert text.startswith(f"relay {service}: RELAY_DATA_DIR {path} can't be written")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_a_wrong_key_stops_the_start(service: str, short_folder: Path, redis_url: str, redis: Redis) -> None:
    """Also if it is another process that sealed what is stored."""
    env = environment(short_folder, RELAY_REDIS_URL=redis_url)
    await fill(redis, NEW)
    process = await start(service, env)
    text = await said(process)
    assert process.returncode == 1
    assert text.startswith(f"relay {service}: RELAY_ENCRYPTION_KEY can't open the source uk, and one more record.")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_a_redis_that_denies_is_told(service: str, short_folder: Path, redis_url: str) -> None:
    url = redis_url.replace("://", "://nobody:wrong@", 1) if "@" not in redis_url else redis_url
    process = await start(service, environment(short_folder, RELAY_REDIS_URL=url.replace("relay-tests", "wrong")))
    text = await said(process)
    assert process.returncode == 1
    assert "Redis rejects the user name or the password of RELAY_REDIS_URL" in text


def heeds_signals(pid: int) -> bool:
    """Whether a process has said what SIGTERM does. Before that, it ends it while Python starts."""
    (caught,) = re.findall(r"^SigCgt:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) & 1 << signal.SIGTERM - 1)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0])
async def test_who_is_told_to_end_while_it_starts_ends_well(service: str, short_folder: Path, after_s: float) -> None:
    """Whatever it was at: the embedded server, or a Redis that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0" if after_s else ""
        process = await start(service, environment(short_folder, RELAY_REDIS_URL=url))
        await until(lambda: heeds_signals(process.pid), what="the command to heed signals")
        await asyncio.sleep(after_s)
        process.send_signal(signal.SIGTERM)
        text = await said(process)
    assert process.returncode == 0, text
    assert "Traceback" not in text


@pytest.mark.parametrize("service", SERVICES)
async def test_metrics_have_a_port_of_their_own(service: str, short_folder: Path, redis_url: str, redis: Redis) -> None:
    """Both services answer there without a key, and end as they do without it."""
    port = free_port()
    env = environment(short_folder, RELAY_REDIS_URL=redis_url, RELAY_METRICS_PORT=str(port))
    process = await start(service, env)
    try:
        async with asyncio.timeout(30), httpx.AsyncClient() as client:
            text = ""
            while not text:
                await asyncio.sleep(0.05)
                with suppress(httpx.HTTPError):
                    text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        name = "api" if service == "serve" else "worker"
        assert f'relay_build_info{{process="{name}"' in text
        assert "process_resident_memory_bytes" in text
    finally:
        process.terminate()
        await said(process)
    assert process.returncode == 0
