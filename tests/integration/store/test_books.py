"""The books: whatever becomes of a delivery stands there, for a time and within a budget of bytes."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from relay.domain.books import State, states
from relay.domain.model import EndpointId
from relay.domain.sending.effects import HandIn
from relay.store import book_keys, keys
from relay.store.backlog import Backlog
from relay.store.books import Books
from relay.store.deleted_lanes import DeletedLanes
from relay.store.pages import Pages, RowCommit
from relay.store.retention import Retention
from relay.store.routes import Routes
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, B, C, Floor, message, packed

DAY_MS = 86_400_000
FOREVER = 10**9
Part = list[tuple[int, list[EndpointId]]]


class Desk(Floor):
    """Lanes with their books."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.of = Books(redis)

    async def state(self, number: int, endpoint: EndpointId = A) -> State:
        await self.books()
        return (await self.of.states(UK, [(endpoint, number)]))[endpoint, number]

    async def told(self) -> dict[tuple[EndpointId, int], State]:
        """Everything that the books say of deliveries, block by block."""
        found: dict[tuple[EndpointId, int], State] = {}
        for block in range(8):
            async for some in self.of.block(UK, block):
                found |= {(e, 256 * block + at): state for e, halves in some.items() for at, state in states(halves)}
        return found

    async def rows(self, after: int = 0, until: int = 2**62) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        async for part in self.of.rows(UK, "t", after=after, until=until):
            found |= part
        return found


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


def ref(number: int) -> bytes:
    return f"a{number}:2:00000".encode()


async def test_each_end_of_a_delivery_has_its_state(desk: Desk) -> None:
    """What a receiver confirmed is told apart from what it did not want, and from what was given up or dropped."""
    await desk.fill(A, numbers=range(1, 9))
    assert [await desk.state(n) for n in (1, 8)] == [State.WAITING] * 2
    await desk.claim("s")
    handed = HandIn(
        A, ended=[ref(1)], unwanted=[ref(2)], dead=[(ref(3), "exhausted"), (ref(4), "exhausted")],
        due=[(ref(5), "a5:2:00000:2", NOW + 1, "")], leaving="go",
    )  # fmt: skip
    await desk.exchange("s", handed)
    ends = [await desk.state(n) for n in range(1, 7)]
    assert ends == [State.CONFIRMED, State.UNWANTED, State.DEAD, State.DEAD, State.WAITING, State.WAITING]
    backlog = Backlog(desk.redis)
    await backlog.drop_waiting(UK, A, reason="backlog_full", now_ms=NOW, below=7)
    await backlog.drop_waiting(UK, A, reason="backlog_too_old", now_ms=NOW, below=8)
    assert [await desk.state(n) for n in (5, 6, 7, 8)] == [
        State.DROPPED_FULL, State.DROPPED_FULL, State.DROPPED_OLD, State.WAITING,
    ]  # fmt: skip
    await desk.resend(A, "a4:2:00000")
    assert await desk.state(4) is State.WAITING
    await Retention(desk.redis).forget_dead(UK, before_ms=NOW + 1)
    assert await desk.state(3) is State.FORGOTTEN


async def test_many_results_of_one_call_are_noted(desk: Desk) -> None:
    """Of several blocks, in each half of a byte, and only those that are named."""
    await desk.fill(A, B, numbers=range(250, 270))
    await desk.claim("s", lanes=2, per_lane=20)
    of_a = HandIn(A, ended=[ref(n) for n in range(250, 266)], unwanted=[ref(268), ref(269)], leaving="go")
    await desk.exchange("s", of_a, HandIn(B, ended=[ref(257), ref(258)], leaving="go"))
    told = await desk.told()
    assert {n for n in range(250, 270) if told[A, n] is State.CONFIRMED} == set(range(250, 266))
    assert [told[A, n] for n in (266, 267, 268, 269)] == [State.WAITING] * 2 + [State.UNWANTED] * 2
    assert {n for n in range(250, 270) if told[B, n] is State.CONFIRMED} == {257, 258}


async def test_a_delivery_that_the_books_never_had_stays_out_of_them(desk: Desk) -> None:
    """One from before there were books ends, and nobody was owed it as far as they know."""
    await desk.fill(A, numbers=range(1, 5))
    await desk.redis.hset(book_keys.books(UK, 0), A, b"\x01\x00\x10")
    await desk.claim("s")
    await desk.exchange("s", HandIn(A, ended=[ref(n) for n in range(1, 5)], leaving="go"))
    assert await desk.told() == {(A, 1): State.CONFIRMED, (A, 4): State.CONFIRMED}


async def test_one_that_kills_workers_is_dead_in_the_books_too(desk: Desk) -> None:
    """A poisonous delivery is given up by the sweep, not by a worker."""
    await desk.fill(A, numbers=range(1, 2))
    await desk.redis.lset(keys.lane(UK, A), 0, "a1:2:00000:1:4")
    await desk.claim("s")
    await desk.redis.sadd(keys.tried(UK, "s"), f"{A} a1:2:00000:1:4")
    await desk.dies("s")
    assert (await desk.lanes.sweep(UK, now_ms=NOW)).poisoned == 1
    assert await desk.state(1) is State.DEAD


async def test_a_dead_one_that_makes_room_is_not_listed_any_more(desk: Desk) -> None:
    """It stays given up: that it let its event go does not make it one that was never tried."""
    await desk.fill(A, numbers=range(1, 2))
    await desk.claim("s")
    await desk.exchange("s", HandIn(A, dead=[(ref(1), "exhausted")], leaving="go"))
    await Backlog(desk.redis).drop_dead(UK, {A: FOREVER})
    assert await desk.state(1) is State.FORGOTTEN


async def test_an_event_that_is_sent_to_another_endpoint_is_owed_to_it(desk: Desk) -> None:
    """What somebody sends by hand is in the books of an endpoint that did not want it before."""
    await desk.fill(A, numbers=range(1, 4))
    await desk.resend(B, "a3:2:00000")
    assert await desk.state(3, B) is State.WAITING
    assert await desk.state(2, B) is State.NOT_OWED
    await desk.resend(B, "a2:2:00000")
    assert await desk.state(2, B) is State.WAITING


async def test_a_result_of_a_lost_lane_changes_nothing(desk: Desk) -> None:
    """Only who holds a delivery can say what became of it."""
    await desk.fill(A, numbers=range(1, 2))
    await desk.claim("s")
    await desk.exchange("s", HandIn(A, ended=[b"a1:2:other"]))
    assert await desk.state(1) is State.WAITING


async def test_rows_lead_to_their_events(desk: Desk) -> None:
    """Rows are found by ranges, in their order, each with the numbers of all its events."""
    token = await Routes(desk.redis).take(UK)
    assert token is not None
    token.sequence = 1000
    await desk.redis.set(keys.sequence(UK), 1000)
    ids = [7, 99, 100, 100_000, 250_123, 2**60]
    for numbers in (range(1, 7), range(301, 307)):
        rows = [RowCommit(row, b"s", message(n), n, packed(n)) for row, n in zip(ids, numbers, strict=True)]
        await Pages(desk.redis).commit(UK, "all", rows, space="t", cursor=None, token=token, version=0, now_ms=NOW)
    assert await desk.rows() == {row: [n, 300 + n] for n, row in enumerate(ids, 1)}
    assert list(await desk.rows(after=7, until=250_123)) == ids[1:5]
    assert await desk.rows(after=100, until=99_999) == {}


async def test_a_route_says_from_where_on_it_has_rows(desk: Desk) -> None:
    """The books begin with the first cursor that a commit moved, and again where somebody sets the cursor."""
    routes = Routes(desk.redis)
    token = await routes.take(UK)
    assert token is not None
    await routes.start(UK, "all", 500, token=token, now_ms=NOW)
    for cursor, after in ((600, 500), (700, 600)):
        await Pages(desk.redis).commit(
            UK, "all", [], space="t", cursor=cursor, after=after, token=token, version=0, now_ms=NOW
        )
    assert await desk.redis.hget(keys.route(UK, "all"), "books_from") == b"500"
    await routes.move(UK, "all", 300, now_ms=NOW)
    assert await desk.redis.hget(keys.route(UK, "all"), "books_from") is None


async def test_blocks_are_shed_when_their_time_is_over(desk: Desk) -> None:
    """Old blocks go with their rows, and what ends later does not bring them back."""
    await desk.fill(A, numbers=range(1, 300), stored_at_ms=NOW - DAY_MS)
    await desk.fill(A, numbers=range(100_001, 100_003), stored_at_ms=NOW)
    await desk.claim("s", per_lane=400)
    assert (await desk.of.shed(UK, before_ms=NOW - 1, most_bytes=FOREVER))[0] == 2
    assert list(await desk.rows()) == [100_001, 100_002]
    since = await desk.of.since(UK)
    assert (since.number, since.rows) == (512, {"t": 99_999})
    await desk.exchange("s", HandIn(A, ended=[ref(n) for n in range(1, 300)], leaving="go"))
    await desk.resend(A, "a7:2:00000")
    assert {number for _, number in await desk.told()} == set()
    assert await desk.redis.exists(book_keys.books(UK, 0)) == 0


async def test_a_shelf_stays_while_one_of_its_rows_has_an_event_in_the_books(desk: Desk) -> None:
    """Rows whose events were shed are known to have had some."""
    await desk.fill(A, numbers=range(1, 300), stored_at_ms=NOW - DAY_MS)
    await desk.fill(A, numbers=range(600, 601), stored_at_ms=NOW)
    await desk.of.shed(UK, before_ms=NOW - 1, most_bytes=FOREVER)
    assert len(await desk.rows()) == 300
    assert (await desk.of.since(UK)).rows == {}


async def test_the_oldest_blocks_make_room(desk: Desk) -> None:
    """The books keep to their budget, and their size is what they have."""
    for first in range(0, 2560, 256):
        await desk.fill(A, B, numbers=range(first + 1, first + 257), stored_at_ms=NOW + first)
    size = await desk.of.total_bytes(UK)
    names = [name async for name in desk.redis.scan_iter(match=keys.prefix(UK) + "book*")]
    counted = sum([await desk.redis.memory_usage(name, samples=0) for name in names])
    assert size == pytest.approx(counted, rel=0.35)
    dropped, freed = await desk.of.shed(UK, before_ms=0, most_bytes=size // 2)
    assert 4 <= dropped <= 7
    assert await desk.of.total_bytes(UK) == size - freed <= size // 2
    assert await desk.state(1) is State.NOT_OWED
    assert await desk.state(2560) is State.WAITING
    await desk.of.shed(UK, before_ms=NOW * 2, most_bytes=0)
    left = [name for name in await dump(desk.redis) if "book" in name]
    assert left == [book_keys.books_from(UK)]


async def test_a_deleted_endpoint_leaves_the_books(desk: Desk) -> None:
    """Nothing is kept of it, and the size is right afterwards."""
    await desk.fill(A, B, numbers=range(1, 600))
    both = await desk.of.total_bytes(UK)
    assert await DeletedLanes(desk.redis).empty(UK, [A]) == set()
    assert {endpoint for endpoint, _ in await desk.told()} == {B}
    await desk.fill(C, numbers=range(600, 601))
    await DeletedLanes(desk.redis).empty(UK, [B, C])
    assert await desk.told() == {}
    # The half bytes of two whole blocks and of 88 events in the third; then a new group with one row.
    states_of_both, row = 2 * (128 + 128 + 44 + 3 * 90), 7 + 90
    assert await desk.of.total_bytes(UK) == both - states_of_both + row


ENDPOINTS = st.lists(st.sampled_from([A, B, C]), unique=True)
PARTS = st.lists(st.lists(st.tuples(st.integers(1, 700), ENDPOINTS), max_size=12), max_size=5)


@given(parts=PARTS)
@settings(max_examples=40)
async def test_whatever_is_committed_is_owed(redis: Redis, parts: Sequence[Part]) -> None:
    """Numbers with gaps, of any endpoints, in any order: each endpoint is owed just what it was given."""
    await redis.flushdb()
    desk, owed = Desk(redis), dict[tuple[EndpointId, int], State]()
    token = await Routes(redis).take(UK)
    assert token is not None
    for part in parts:
        lanes = dict(part)
        rows = [RowCommit(n, b"s", message(n), n, packed(n), [(e, 2) for e in lanes[n]]) for n in lanes]
        await Pages(redis).commit(UK, "all", rows, space="t", cursor=None, token=token, version=0, now_ms=NOW)
        for number, endpoints in lanes.items():
            owed |= {(endpoint, number): State.WAITING for endpoint in endpoints}
    assert await desk.told() == owed
