"""The log of attempts: found by event and by endpoint, and shed oldest first within its budget."""

import asyncio

import pytest
from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId
from relay.domain.sending.effects import HandIn
from relay.store import keys
from relay.store.attempts import Attempts, pack_attempt
from tests.integration.store.floor import NOW, UK, A, B, Floor

BUCKET = keys.ATTEMPTS_PER_BUCKET


@pytest.fixture
def floor(redis: Redis) -> Floor:
    return Floor(redis)


def attempt(endpoint: EndpointId, number: int, began_ms: int) -> tuple[int, int, bytes]:
    made = Attempt(
        endpoint_id=endpoint, seq=number, number=1, type_code=2, started_at_ms=began_ms,
        duration_ms=3, status=500, verdict="retry", tag="00000",
    )  # fmt: skip
    return number, began_ms, pack_attempt(made)


async def note(floor: Floor, endpoint: EndpointId, *tries: tuple[int, int]) -> None:
    """Attempts of an endpoint: the event's number, and ms after NOW."""
    for number, at_ms in tries:
        floor.now_ms = NOW + at_ms
        await floor.exchange("s", HandIn(endpoint, attempts=[attempt(endpoint, number, NOW + at_ms)]))


async def test_attempts_of_an_event(floor: Floor) -> None:
    """All tries of one event are found, to whichever endpoint, oldest first."""
    await note(floor, A, (1, 5), (11, 6), (1, 9))
    await note(floor, B, (1, 7))
    found = await Attempts(floor.redis).of_event(UK, 1, "00000")
    assert [(each.endpoint_id, each.started_at_ms - NOW) for each in found] == [(A, 5), (B, 7), (A, 9)]


async def test_attempts_of_an_endpoint(floor: Floor) -> None:
    """They are listed newest first, a page at a time."""
    await note(floor, A, *((number, number) for number in range(1, 8)))
    attempts = Attempts(floor.redis)
    page = await attempts.of_endpoint(UK, A, before=None, limit=3)
    assert [each.seq for _, each in page] == [7, 6, 5]
    page = await attempts.of_endpoint(UK, A, before=page[-1][0], limit=10)
    assert [each.seq for _, each in page] == [4, 3, 2, 1]
    assert await attempts.of_endpoint(UK, A, before=page[-1][0], limit=10) == []


async def test_the_oldest_are_shed(floor: Floor) -> None:
    """Whole buckets go, those whose newest attempt is oldest first, until the log is within its budget."""
    attempts = Attempts(floor.redis)
    await note(floor, A, (1, 1), (BUCKET, 2), (2 * BUCKET, 3), (2, 4))
    size = await attempts.total_bytes(UK)
    assert await attempts.shed(UK, budget_bytes=size) == 0
    assert await attempts.shed(UK, budget_bytes=size - 1) == size // 4
    assert [each.seq for _, each in await attempts.of_endpoint(UK, A, before=None, limit=9)] == [2, 2 * BUCKET, 1]
    assert await attempts.shed(UK, budget_bytes=0) == size - size // 4
    assert await attempts.total_bytes(UK) == 0
    assert await attempts.of_event(UK, 1, "00000") == []
    left = {keys.endpoint_attempts(UK, A), keys.attempt_buckets(UK), keys.attempts(UK, 0)}
    assert await floor.redis.exists(*left) == 0


async def test_shedding_at_the_same_time_counts_once(floor: Floor) -> None:
    """Two workers that shed the same bucket leave the right total."""
    await note(floor, A, *((number, number) for number in range(1, 6 * BUCKET, BUCKET)))
    attempts = Attempts(floor.redis)
    size = await attempts.total_bytes(UK)
    await asyncio.gather(*(attempts.shed(UK, budget_bytes=size // 2) for _ in range(8)))
    sizes = {bucket: int(size) for bucket, size in (await floor.redis.hgetall(keys.attempt_sizes(UK))).items()}
    total = sizes.pop(b"total")
    assert total == sum(sizes.values()) <= size // 2
