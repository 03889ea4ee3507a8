"""The Valkey of the chart, started with its own command, settings and user: a server that the relay can work with."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from relay.errors import StoreRefused, StoreUnavailable
from relay.store.connection import connect
from relay.store.embedded import server_binary
from relay.store.needs import GRANT, unmet_needs
from tests.chart.rendering import Object, one, rendered

PASSWORD = "an-example-of-a-password"
READY_WITHIN_S = 30


def test_its_user_has_the_documented_rules() -> None:
    """Those of docs/configuration.md, which the relay checks at its start."""
    assert f"user relay on >$REDISCLI_AUTH {GRANT} +config|get\n" in command()[-1]


async def test_the_relay_can_work_with_it(short_folder: Path) -> None:
    """It grants what the relay needs and no more, evicts nothing, and keeps changes when it is restarted."""
    async with started(short_folder) as url:
        redis = connect(url)
        assert await unmet_needs(redis) == []
        await redis.set("relay:{config}:probe", "kept")
        info = await redis.info("memory")
        assert (info["maxmemory"], info["maxmemory_policy"]) == (512 << 20, "noeviction")
        with pytest.raises(StoreRefused, match="flushall"):
            await redis.flushall()
        await redis.aclose()
        anybody = Redis.from_url(url.replace(f"relay:{PASSWORD}@", ""))
        with pytest.raises(AuthenticationError):
            await anybody.ping()
        await anybody.aclose()
    async with started(short_folder) as url:
        redis = connect(url)
        assert await redis.get("relay:{config}:probe") == b"kept"
        await redis.aclose()


def command() -> list[str]:
    """What the container runs."""
    spec: Object = one(rendered("trial"), "StatefulSet")["spec"]["template"]["spec"]
    return list(spec["containers"][0]["command"])


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[str]:
    """Run the command with the files of the pod in `folder`, on a free port; gives the URL of the relay's pods."""
    objects = rendered("trial")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = one(objects, "ConfigMap", "-valkey")["data"]["valkey.conf"]
    assert "port 6379\n" in settings
    assert "dir /data\n" in settings
    path = folder / "valkey.conf"
    path.write_text(settings.replace("port 6379", f"port {port}").replace("dir /data", f"dir {folder}"))
    if not (folder / "valkey-server").exists():
        (folder / "valkey-server").symlink_to(server_binary())
    words = [word.replace("/etc/valkey/valkey.conf", str(path)) for word in command()]
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "REDISCLI_AUTH": PASSWORD}
    process = await asyncio.create_subprocess_exec(*words, env=env, stdout=asyncio.subprocess.DEVNULL)
    try:
        url = relay_url(objects).replace("events-infinity-event-relay-valkey:6379", f"127.0.0.1:{port}")
        await answers(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


def relay_url(objects: tuple[Object, ...]) -> str:
    """RELAY_REDIS_URL of the API, as Kubernetes expands it."""
    env = one(objects, "Deployment", "-api")["spec"]["template"]["spec"]["containers"][0]["env"]
    (url,) = (each["value"] for each in env if each["name"] == "RELAY_REDIS_URL")
    return str(url).replace("$(VALKEY_PASSWORD)", PASSWORD)


async def answers(url: str) -> None:
    """Wait until the server accepts connections."""
    redis = connect(url)
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                await redis.ping()
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    await redis.aclose()
