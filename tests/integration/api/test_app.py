"""The application as it is started."""

import base64
from pathlib import Path

import pytest
from litestar.testing import AsyncTestClient
from redis.asyncio import Redis

from relay.api.app import create_app
from relay.config import Settings
from relay.domain.epoch import Epoch
from relay.domain.model import Secret
from relay.errors import Invalid
from relay.store.epochs import Epochs, new_id

RING = (Secret(base64.b64encode(b"k" * 32).decode()),)


@pytest.mark.usefixtures("redis")
async def test_settings_are_all_that_it_needs(redis_url: str) -> None:
    """It opens its stores when it starts, and is ready."""
    app = create_app(Settings(redis_url=Secret(redis_url), admin_key=Secret("k" * 16), encryption_key=RING))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/api/v1/source")).status_code == 401


async def test_without_its_store_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    """A probe that restarts it would not help; one that sends no requests does."""
    nowhere = Secret(f"unix://{tmp_path}/no.sock")
    app = create_app(Settings(redis_url=nowhere, admin_key=Secret("k" * 16), encryption_key=RING))
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        asked = await client.get("/api/v1/source", headers={"authorization": f"Bearer {'k' * 16}"})
    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
    assert (asked.status_code, asked.json()["code"], asked.headers["retry-after"]) == (503, "unavailable", "1")


async def test_an_emptied_store_is_not_changed(redis: Redis, redis_url: str) -> None:
    """Where there are checkpoints, the configuration may come back: until then it can be read, and nothing else."""
    settings = Settings(
        redis_url=Secret(redis_url), admin_key=Secret("k" * 16), encryption_key=RING, checkpoint_url="file:///nowhere"
    )
    async with AsyncTestClient(create_app(settings)) as client:
        client.headers["authorization"] = f"Bearer {'k' * 16}"
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
        assert "Start a worker" in ready.json()["detail"]
        refused = await client.post("/api/v1/app", json={"name": "a"})
        assert (refused.status_code, refused.json()["detail"]) == (503, ready.json()["detail"])
        assert (await client.get("/api/v1/app")).status_code == 200
        await Epochs(redis, needed=True).begin(Epoch(id=new_id()), after=None)
        assert (await client.post("/api/v1/app", json={"name": "a"})).status_code == 201
        assert (await client.get("/health/ready")).status_code == 200


def test_it_does_not_start_without_a_key() -> None:
    """There is no open API by accident."""
    with pytest.raises(Invalid, match="RELAY_ADMIN_KEY"):
        create_app(Settings(encryption_key=RING))
