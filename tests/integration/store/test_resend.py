"""A delivery that is sent again by hand: out of the dead ones, into its lane, and marked until its next try."""

import pytest
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference
from relay.store import keys, lanes
from relay.store.lanes import Lanes

A, CRM, ERP = SourceUid("a"), EndpointId("ep_crm"), EndpointId("ep_erp")
AGAIN = Reference(7, 2, "00000", by_hand=1).text()


async def give_up(redis: Redis, endpoint: EndpointId, reference: str) -> None:
    await redis.zadd(keys.dead(A), {f"{endpoint} {reference} schedule_used_up": 1})
    await redis.hincrby(keys.references(A), "0", 1)  # type: ignore[misc]


async def test_it_is_taken_from_among_many(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others of its event and others of its endpoint stay, and so does the count of what keeps the event alive."""
    monkeypatch.setattr(lanes, "LOOK_AT_ONCE", 10)
    for number in range(70, 270):
        await give_up(redis, CRM, f"a{number}:2:00000:10")
    for endpoint in (CRM, ERP):
        await give_up(redis, endpoint, "a7:2:00000:10")
    await Lanes(redis).resend(A, CRM, AGAIN)
    assert await redis.zcard(keys.dead(A)) == 201
    assert await redis.zscore(keys.dead(A), f"{ERP} a7:2:00000:10 schedule_used_up") == 1
    assert await redis.lrange(keys.lane(A, CRM), 0, -1) == [AGAIN.encode()]  # type: ignore[misc]
    assert await redis.hget(keys.references(A), "0") == b"202"  # type: ignore[misc]
    await Lanes(redis).resend(A, CRM, AGAIN)
    assert await redis.hget(keys.references(A), "0") == b"203"  # type: ignore[misc]


async def test_it_is_marked_after_a_crash_too(redis: Redis) -> None:
    """A worker that dies with it in flight has not tried it: whoever does, does what was asked for by hand."""
    store = Lanes(redis)
    await store.resend(A, CRM, AGAIN)
    _, (given,) = await store.exchange(A, [], session="s", turn=1, now_ms=0, lives_ms=-1, claim=1, per_lane=8)
    assert given.references == [AGAIN.encode()]
    assert (await store.sweep(A, now_ms=0)).reclaimed == 1
    again = Reference(7, 2, "00000", crashes=1, by_hand=1).text()
    assert await redis.lrange(keys.lane(A, CRM), 0, -1) == [again.encode()]  # type: ignore[misc]
