"""An endpoint's backlog within its budget: the oldest is dropped, listed with its reason, and keeps nothing."""

from collections import Counter

import pytest
from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.domain.sending.effects import HandIn
from relay.pipeline.backlogs import Backlogs
from relay.store import backlog, keys
from relay.store.backlog import Backlog
from relay.store.operations import Operations
from relay.store.undelivered import Undelivered
from tests.integration.store.floor import NOW, UK, A, B, Floor, message, packed

SIZE = len(packed(100))
"""Of each event, with numbers from 100 to 999."""


class Shop(Floor):
    """Lanes, and what their deliveries keep."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.backlog = Backlog(redis)

    async def owe(self) -> dict[str, int]:
        """Count what each endpoint's deliveries keep, and write that down."""
        books, owed = await self.books(with_owed=False), Counter[str]()
        for endpoint, number in books.places.elements():
            bucket = keys.events(UK, number // keys.EVENTS_PER_BUCKET)
            owed[endpoint] += int(await self.redis.hstrlen(bucket, str(number)))
        await self.redis.delete(keys.owed(UK))
        if owed:
            await self.redis.hset(keys.owed(UK), mapping=dict(owed))
        return dict(owed)

    async def adds_up(self) -> None:
        """What is written down is what there is."""
        written = await self.backlog.owed(UK)
        assert written == await self.owe()

    async def drop(self, endpoint: EndpointId = A, *, events: int = 10**6, below: int = 10**6) -> list[int]:
        """Drop as many events' bytes of what waits; gives the numbers of those that are listed then, oldest first."""
        await self.owe()
        await self.backlog.drop_waiting(
            UK, endpoint, reason="backlog_full", now_ms=NOW, most_bytes=events * SIZE, below=below
        )
        await self.adds_up()
        return await self.dropped(endpoint)

    async def dropped(self, endpoint: EndpointId = A) -> list[int]:
        found = await Undelivered(self.redis).dropped(UK, endpoint, limit=100)
        return sorted(each.reference.number for each in found if each.reference)

    async def key(self, key: str, number: int, *numbers: int) -> None:
        """A key waits for an event: others wait behind it."""
        await self.block(A, key, number)
        for each in numbers:
            await self.fill(A, numbers=range(each, each + 1))
            await self.redis.lmove(keys.lane(UK, A), keys.waiting(UK, A, key), "RIGHT", "RIGHT")

    async def keys(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = await self.redis.hgetall(keys.blocked(UK, A))
        return found


def ref(number: int) -> str:
    return f"a{number}:2:00000"


def refs(numbers: range) -> list[bytes]:
    return [ref(number).encode() for number in numbers]


@pytest.fixture
def shop(redis: Redis) -> Shop:
    return Shop(redis)


async def test_the_oldest_of_a_lane_go_first(shop: Shop) -> None:
    """As many as are asked for, and no more; they are listed with what they were and why."""
    await shop.fill(A, B, numbers=range(100, 120))
    assert await shop.drop(events=3) == [100, 101, 102]
    assert (await shop.waiting(A))[0] == ref(103)
    assert len(await shop.waiting(B)) == 20
    newest = (await Undelivered(shop.redis).dropped(UK, A, limit=1))[0]
    assert (newest.at_ms, newest.reason, newest.message, newest.row) == (NOW, "backlog_full", message(102), "102")
    assert await shop.redis.hget(keys.dropped_counts(UK), A) == b"3"


@pytest.mark.parametrize("state", ["ready", "parked", "held"])
async def test_a_lane_may_be_in_any_state(shop: Shop, state: str) -> None:
    """What waits is cut; what is in flight is its worker's, and the lane goes on as if nothing had been."""
    await shop.fill(A, numbers=range(100, 120))
    if state != "ready":
        await shop.claim("s", per_lane=4)
    if state == "parked":
        back = [(each, each) for each in refs(range(100, 104))]
        await shop.exchange("s", HandIn(A, leaving="park", until_ms=NOW + 10**9, back=back))
    dropped = await shop.drop()
    assert dropped == list(range(104 if state == "held" else 100, 120))
    if state == "held":
        await shop.exchange("s", HandIn(A, ended=refs(range(100, 104)), take=8))
        assert (await shop.books()).lanes == {}
    if state == "parked":
        await shop.lanes.unpark(UK, A)
    await shop.fill(A, numbers=range(200, 201))
    assert await shop.claim("t") == {A: [ref(200).encode()]}


async def test_then_come_those_behind_keys_and_then_those_that_are_tried_again(shop: Shop) -> None:
    """The lane, what waits behind its keys, and what waits for its time, each from its oldest on."""
    await shop.fill(A, numbers=range(100, 106))
    await shop.claim("s", per_lane=2)
    retries = [(ref(n).encode(), f"{ref(n)}:2", NOW + 10**6 - n, "") for n in (100, 101)]
    await shop.exchange("s", HandIn(A, due=retries, leaving="go"))
    await shop.key("k", 100, 110, 111)
    await shop.redis.hset(keys.events(UK, 0), mapping={str(n): packed(n) for n in (110, 111)})
    assert await shop.drop(events=4) == [102, 103, 104, 105]
    assert await shop.drop(events=1) == [102, 103, 104, 105, 110]
    assert await shop.drop(events=2) == [100, 102, 103, 104, 105, 110, 111]
    assert [reference.number for _, reference in (await shop.books()).due] == [101]
    assert await shop.keys() == {}


@pytest.mark.parametrize("place", ["lane", "due"])
async def test_the_next_one_of_its_key_takes_the_place_of_one_that_is_dropped(shop: Shop, place: str) -> None:
    """Nothing waits forever for what is not there any more, and the order of the key stays."""
    await shop.fill(A, numbers=range(100, 101))
    if place == "due":
        await shop.claim("s")
        await shop.exchange("s", HandIn(A, due=[(ref(100).encode(), ref(100), NOW + 10**6, "")], leaving="go"))
    await shop.key("k", 100, 110, 111)
    await shop.redis.hset(keys.events(UK, 0), mapping={str(n): packed(n) for n in (110, 111)})
    assert await shop.drop(below=101) == [100]
    assert await shop.keys() == {b"k": b"110"}
    assert await shop.claim("t") == {A: [ref(110).encode()]}
    await shop.exchange("t", HandIn(A, ended=[ref(110).encode()], freed=["k"], take=8))
    assert (await shop.books()).flying == {A: [parse_reference(ref(111).encode())]}


@pytest.mark.parametrize("place", ["lane", "due"])
async def test_what_a_key_waits_for_is_left_to_who_holds_the_lane(shop: Shop, place: str) -> None:
    """A worker believes what it was told of keys when it took the lane: it would wait for ever."""
    await shop.fill(A, numbers=range(100, 102))
    await shop.claim("s", per_lane=1)
    if place == "due":
        await shop.exchange("s", HandIn(A, due=[(ref(100).encode(), ref(100), NOW + 10**6, "")], take=1))
        await shop.key("k", 100)
    else:
        await shop.key("k", 101)
    assert await shop.drop() == []
    assert len(await shop.keys()) == 1


async def test_the_dead_let_go_of_their_events_first(shop: Shop) -> None:
    """The oldest of the endpoint's own, with the reason for which they were given up; others stay."""
    for endpoint, first in ((A, 100), (B, 110)):
        await shop.fill(endpoint, numbers=range(first, first + 10))
        await shop.claim("s", per_lane=10)
        for at in range(first, first + 10):
            shop.now_ms = NOW + at
            await shop.exchange("s", HandIn(endpoint, dead=[(ref(at).encode(), "schedule_used_up")]))
    await shop.owe()
    dropped = await shop.backlog.drop_dead(UK, {A: 3 * SIZE})
    await shop.adds_up()
    assert dropped[A].deliveries == 3
    assert len((await shop.books()).dead) == 17
    found = await Undelivered(shop.redis).dropped(UK, A, limit=9)
    assert [(each.at_ms - NOW, each.reason, each.row) for each in found] == [
        (n, "schedule_used_up", str(n)) for n in (102, 101, 100)
    ]


async def test_the_dead_are_gone_through_in_rounds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round looks at so many, and the next one goes on where it ended."""
    monkeypatch.setattr(backlog, "DEAD_AT_ONCE", 2)
    monkeypatch.setattr(backlog, "DEAD_PAGES", 2)
    await shop.fill(A, numbers=range(100, 101))
    await shop.redis.zadd(keys.dead(UK), {f"ep_b a{n}:2:00000 x": n for n in range(10)})
    await shop.redis.zadd(keys.dead(UK), {"": 3, "ep_a \n": 4, f"ep_a {ref(100)} x": 99})
    got = [(await shop.backlog.drop_dead(UK, {A: 1}))[A].deliveries for _ in range(5)]
    assert got == [0, 0, 0, 1, 0]


async def test_the_list_of_dropped_ones_is_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are listed; all are counted."""
    monkeypatch.setattr(backlog, "LISTED", 5)
    monkeypatch.setattr(backlog, "AT_ONCE", 4)
    await shop.fill(A, numbers=range(100, 120))
    shop.now_ms = NOW
    assert await shop.drop() == [115, 116, 117, 118, 119]
    assert await shop.redis.hget(keys.dropped_counts(UK), A) == b"20"


async def test_damaged_references_go_without_being_listed(shop: Shop) -> None:
    """What can't be read is in nobody's way."""
    await shop.fill(A, numbers=range(100, 103))
    await shop.owe()
    await shop.redis.lpush(keys.lane(UK, A), b"\xff", "z9", "")
    await shop.redis.hset(keys.blocked(UK, A), mapping={"k": "x"})
    await shop.redis.zadd(keys.due(UK), {b"ep_a \xff": 1})
    await shop.backlog.drop_waiting(UK, A, reason="backlog_full", now_ms=NOW, most_bytes=2 * SIZE)
    assert await shop.redis.lrange(keys.lane(UK, A), 0, -1) == refs(range(102, 103))
    assert await shop.dropped() == [100, 101]


async def test_events_that_are_gone_are_no_obstacle(shop: Shop) -> None:
    """Their deliveries are dropped like others, and free nothing."""
    await shop.fill(A, numbers=range(100, 105))
    await shop.redis.hdel(keys.events(UK, 0), "100", "101")
    assert await shop.drop(events=1) == [100, 101, 102]


class Told:
    """What an operator sees."""

    def __init__(self, shop: Shop, *, most_bytes: int, longest_s: float) -> None:
        self.operations = Operations(shop.redis)
        self.backlogs = Backlogs(
            backlog=shop.backlog, operations=self.operations, most_bytes=most_bytes, longest_s=longest_s
        )

    async def trim(self, *sources: SourceUid, now_ms: int = NOW) -> list[dict[str, object]]:
        """One round; gives all operational events, oldest first."""
        await self.backlogs.trim(sources or (UK,), now_ms=now_ms)
        await self.backlogs.drop_old(sources or (UK,), now_ms=now_ms)
        return [each.data for each in await self.operations.page(limit=99)][::-1]


async def test_an_endpoint_over_its_budget_is_told_once_a_round(shop: Shop) -> None:
    """It gets some room below the budget, so that this does not happen each time; others keep what they have."""
    told = Told(shop, most_bytes=20 * SIZE, longest_s=100)
    await shop.fill(A, B, numbers=range(100, 120))
    await shop.owe()
    assert await told.trim() == []
    await shop.fill(A, numbers=range(120, 140))
    await shop.owe()
    (event,) = await told.trim()
    assert event == {"endpointId": A, "givenUp": 0, "waiting": 21, "tooOld": 0, "bytes": 21 * SIZE}
    await shop.adds_up()
    assert (await shop.backlog.owed(UK)) == {A: 19 * SIZE, B: 20 * SIZE}
    assert await told.trim() == [event]


async def test_the_budget_is_over_all_sources(shop: Shop) -> None:
    """Two that are below it can be over it together: each gives its share."""
    other = SourceUid("other")
    told = Told(shop, most_bytes=20 * SIZE, longest_s=100)
    await shop.fill(A, numbers=range(100, 116))
    await shop.owe()
    for name in await shop.redis.keys(f"{keys.prefix(UK)}*"):
        # Not COPY: the other source may be on another node.
        twin = name.decode().replace(keys.prefix(UK), keys.prefix(other))
        await shop.redis.restore(twin, 0, await shop.redis.dump(name))
    await told.trim(UK, other)
    assert [await shop.redis.llen(keys.lane(source, A)) for source in (UK, other)] == [9, 9]


async def test_what_waits_too_long_is_dropped(shop: Shop) -> None:
    """By the age of the event, wherever its delivery waits; what was stored later stays."""
    told = Told(shop, most_bytes=10**9, longest_s=100)
    size = keys.EVENTS_PER_BUCKET + 100
    await shop.fill(numbers=range(10, 20), stored_at_ms=NOW - 200_000)
    await shop.fill(A, B, numbers=range(size - 5, size), stored_at_ms=NOW - 100_001)
    await shop.fill(A, numbers=range(size, size + 5), stored_at_ms=NOW - 99_000)
    await shop.claim("s", lanes=2, per_lane=2)
    retries = [(each, each.decode() + ":2", NOW, "") for each in refs(range(size - 5, size - 3))]
    await shop.exchange("s", HandIn(B, due=retries, leaving="go"))
    await shop.owe()
    events = {event["endpointId"]: event["tooOld"] for event in await told.trim()}
    assert events == {A: 3, B: 5}
    books = await shop.books()
    assert sorted(number for _, number in books.places) == [size - 5, size - 4, *range(size, size + 5)]
    assert await told.trim(now_ms=NOW) == await told.trim(now_ms=NOW)
    found = await Undelivered(shop.redis).dropped(UK, B, limit=1)
    assert found[0].reason == "backlog_too_old"
    assert found[0].reference == Reference(size - 1, 2, "00000")
