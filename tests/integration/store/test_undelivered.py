"""The lists of what was not delivered, read page by page while they change."""

import pytest
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.store import keys
from relay.store.undelivered import Undelivered

A, CRM = SourceUid("a"), EndpointId("ep_crm")


async def give_up(redis: Redis, number: int, *, at_ms: int) -> str:
    member = f"{CRM} a{number}:0:abcde:10 schedule_used_up"
    await redis.zadd(keys.dead(A), {member: at_ms})
    return member


@pytest.mark.parametrize("going", [True, False])
async def test_the_newest_come_first_and_none_is_left_out_while_others_go(redis: Redis, going: bool) -> None:
    """What was read last may be sent again before the next page is asked for, also where many ended at once."""
    members = [await give_up(redis, number, at_ms=1000 + number // 4) for number in range(12)]
    undelivered = Undelivered(redis)
    seen: list[int] = []
    edge = None
    while page := await undelivered.dead(A, edge=edge, limit=3):
        seen += [dead.reference.number for dead in page]
        edge = page[-1].at_ms, page[-1].member
        if going:
            await redis.zrem(keys.dead(A), members[page[-1].reference.number])
        await give_up(redis, 100 + len(seen), at_ms=2000)
    assert len(seen) == 12
    assert set(seen) == set(range(12))
    assert [number // 4 for number in seen] == sorted((number // 4 for number in seen), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_what_waits_behind_a_key_waits_too(redis: Redis, limit: int) -> None:
    """A lane comes first, then the lists of its blocked keys, as if they were one."""
    await redis.rpush(keys.lane(A, CRM), "a1:0:abcde", "a2:0:abcde:3")  # type: ignore[misc]
    for key, references in (("k1", ["a5:0:abcde", "a6:0:abcde", "a7:0:abcde"]), ("k2", ["a8:0:abcde"])):
        await redis.hset(keys.blocked(A, CRM), key, "4")  # type: ignore[misc]
        await redis.rpush(keys.waiting(A, CRM, key), *references)  # type: ignore[misc]
    undelivered = Undelivered(redis)
    seen: list[tuple[int, int]] = []
    while page := await undelivered.waiting(A, CRM, first=len(seen), limit=limit):
        assert len(page) <= limit
        seen += [(place, reference.number) for place, reference in page]
    assert seen == list(enumerate([1, 2, 5, 6, 7, 8]))
    assert await undelivered.waiting(A, EndpointId("ep_none"), first=0, limit=1) == []
