"""A delivery that is sent again by hand: out of those that were given up, into its lane, marked until its next try."""

import pytest
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference
from relay.errors import NotFound
from relay.store import keys, undelivered
from relay.store.lanes import Lanes
from relay.store.undelivered import Undelivered
from tests.integration.store.floor import packed

A, CRM, ERP = SourceUid("a"), EndpointId("ep_crm"), EndpointId("ep_erp")
AGAIN = Reference(7, 2, "00000", by_hand=1)
SIZE = len(packed(7))


@pytest.fixture
async def lists(redis: Redis) -> Undelivered:
    await redis.hset(keys.events(A, 0), "7", packed(7))  # type: ignore[misc]
    return Undelivered(redis)


async def give_up(redis: Redis, endpoint: EndpointId, reference: str) -> None:
    await redis.zadd(keys.dead(A), {f"{endpoint} {reference} schedule_used_up": 1})
    await redis.hincrby(keys.references(A), "0", 1)  # type: ignore[misc]
    await redis.hincrby(keys.owed(A), endpoint, SIZE)  # type: ignore[misc]


async def test_it_is_taken_from_among_many(redis: Redis, lists: Undelivered, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others of its event and others of its endpoint stay, and so does the count of what keeps the event alive."""
    monkeypatch.setattr(undelivered, "LOOK_AT_ONCE", 10)
    for number in range(70, 270):
        await give_up(redis, CRM, f"a{number}:2:00000:10")
    for endpoint in (CRM, ERP):
        await give_up(redis, endpoint, "a7:2:00000:10")
    await lists.resend(A, CRM, AGAIN)
    assert await redis.zcard(keys.dead(A)) == 201
    assert await redis.zscore(keys.dead(A), f"{ERP} a7:2:00000:10 schedule_used_up") == 1
    assert await redis.lrange(keys.lane(A, CRM), 0, -1) == [AGAIN.text().encode()]  # type: ignore[misc]
    assert await redis.hget(keys.references(A), "0") == b"202"  # type: ignore[misc]
    assert await redis.hget(keys.owed(A), CRM) == b"%d" % (201 * SIZE)  # type: ignore[misc]
    await lists.resend(A, CRM, AGAIN)
    assert await redis.hget(keys.references(A), "0") == b"203"  # type: ignore[misc]
    assert await redis.hget(keys.owed(A), CRM) == b"%d" % (202 * SIZE)  # type: ignore[misc]


async def test_one_that_was_dropped_needs_its_event_again(redis: Redis, lists: Undelivered) -> None:
    """It is not among the dropped ones any more, and keeps its event from now on."""
    entry, other = "a7:2:00000:3 backlog_full msg_x 7", "a7:2:11111:3 backlog_full msg_y 7"
    await redis.zadd(keys.dropped(A, CRM), {entry: 1, other: 1})
    await lists.resend(A, CRM, AGAIN)
    assert await redis.zrange(keys.dropped(A, CRM), 0, -1) == [other.encode()]
    assert await redis.hgetall(keys.references(A)) == {b"0": b"1"}  # type: ignore[misc]
    assert await redis.hgetall(keys.owed(A)) == {CRM.encode(): b"%d" % SIZE}  # type: ignore[misc]


async def test_an_event_that_is_gone_is_not_sent_again(redis: Redis, lists: Undelivered) -> None:
    """Whoever asks for it is told, and nothing changes."""
    await give_up(redis, CRM, "a8:2:00000:10")
    with pytest.raises(NotFound, match="not kept any more"):
        await lists.resend(A, CRM, AGAIN._replace(number=8))
    assert await redis.zcard(keys.dead(A)) == 1
    assert await redis.hget(keys.references(A), "0") == b"1"  # type: ignore[misc]
    assert await redis.exists(keys.lane(A, CRM), keys.lanes(A)) == 0


async def test_it_is_marked_after_a_crash_too(redis: Redis, lists: Undelivered) -> None:
    """A worker that dies with it in flight has not tried it: whoever does, does what was asked for by hand."""
    store = Lanes(redis)
    await lists.resend(A, CRM, AGAIN)
    exchanged = await store.exchange(A, [], session="s", turn=1, before=0, now_ms=0, lives_ms=-1, claim=1, per_lane=8)
    (given,) = exchanged.given
    assert given.references == [AGAIN.text().encode()]
    assert (await store.sweep(A, now_ms=0)).reclaimed == 1
    again = Reference(7, 2, "00000", crashes=1, by_hand=1).text()
    assert await redis.lrange(keys.lane(A, CRM), 0, -1) == [again.encode()]  # type: ignore[misc]


async def test_many_at_once(redis: Redis, lists: Undelivered, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is put back by itself: one whose event is gone changes nothing, and names its event."""
    monkeypatch.setattr(undelivered, "RESENT_AT_ONCE", 2)
    gone = AGAIN._replace(number=8)
    for endpoint, reference in ((CRM, "a7:2:00000:10"), (CRM, "a8:2:00000:10"), (ERP, "a7:2:11111:10")):
        await give_up(redis, endpoint, reference)
    await redis.zadd(keys.dropped(A, ERP), {"a7:2:00000:3 backlog_full msg_x 7": 1})
    await redis.zadd(keys.dropped(A, CRM), {"a8:2:00000:3 backlog_full msg_x 8": 1})
    deliveries = [(CRM, gone), (CRM, AGAIN), (ERP, AGAIN)]
    listed = {(endpoint, reference.number) for endpoint, reference in deliveries}
    assert await lists.resend_all(A, deliveries, listed=listed) == {8}
    left = [f"{CRM} a8:2:00000:10 schedule_used_up", f"{ERP} a7:2:11111:10 schedule_used_up"]
    assert await redis.zrange(keys.dead(A), 0, -1) == [each.encode() for each in left]
    assert [await redis.zcard(keys.dropped(A, each)) for each in (CRM, ERP)] == [1, 0]
    for endpoint in (CRM, ERP):
        assert await redis.lrange(keys.lane(A, endpoint), 0, -1) == [AGAIN.text().encode()]  # type: ignore[misc]
    assert await redis.hgetall(keys.references(A)) == {b"0": b"4"}  # type: ignore[misc]
    owed = {CRM.encode(): b"%d" % (2 * SIZE), ERP.encode(): b"%d" % (2 * SIZE)}
    assert await redis.hgetall(keys.owed(A)) == owed  # type: ignore[misc]
