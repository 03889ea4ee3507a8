"""The rigs, on an emptied database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from relay.pipeline import polling
from tests.fakes.faulty_redis import faulty
from tests.integration.pipeline.rig import Rig
from tests.integration.pipeline.vouching_rig import Relay, opened


@pytest.fixture
async def rig(redis_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Everything over one client, whose connection may break when a test wants it."""
    # The clock stands still: what moves it should be noticed sooner than in half a second.
    monkeypatch.setattr(polling, "LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(polling, "STORE_RETRY_S", 0.01)
    client = faulty(redis_url)
    yield Rig(client, redis)
    await client.aclose()


@pytest.fixture
async def relay(redis: Redis, redis_url: str, tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay with checkpoints."""
    async with opened(redis, redis_url, tmp_path) as on:
        yield on
