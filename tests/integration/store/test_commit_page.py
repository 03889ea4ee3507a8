"""commit_page.lua: all of a page or nothing of it."""

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from relay.domain.model import EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.reading.trail import Step
from relay.domain.sending.effects import HandIn
from relay.errors import Astray, Fenced, StaleSubscriptions, StoreFull
from relay.store import keys
from relay.store.events import Events, pack_event
from relay.store.lanes import Lanes
from relay.store.pages import EVENTS_AT_ONCE, LANE_ENTRIES_AT_ONCE, Pages, RowCommit, first_prefix
from relay.store.readings import Readings
from relay.store.routes import Routes, Token
from tests.integration.books import dump, read_books, restore, snapshot
from tests.patience import PATIENCE_S

UK = SourceUid("uk")
A, B = EndpointId("ep_a"), EndpointId("ep_b")
NOW = 1_790_000_000_000

Commit = Callable[..., Awaitable[None]]


def message(number: int) -> MessageId:
    return MessageId(f"msg_{number:012d}{0:040d}")


def row(number: int, *endpoints: EndpointId, row_id: int | None = None) -> RowCommit:
    event = StoredEvent(
        id=message(number), row_id=str(row_id or number), stored_at_ms=NOW, revision=1, types=b"\0", body=b"{}"
    )
    lanes = [(endpoint, 2) for endpoint in endpoints]
    return RowCommit(row_id or number, b"seen", message(number), number, pack_event(event), lanes)


@pytest.fixture
async def token(redis: Redis) -> Token:
    token = await Routes(redis).take(UK)
    assert token is not None
    return token


@pytest.fixture
def commit(redis: Redis, token: Token) -> Commit:
    async def commit(
        *rows: RowCommit, cursor: int | None = None, after: int | None = None, token: Token = token, version: int = 0
    ) -> None:
        await Pages(redis).commit(
            UK, "all", rows, space="t", after=after, cursor=cursor, token=token, version=version, now_ms=NOW
        )

    return commit


async def test_everything_is_there_afterwards(redis: Redis, commit: Commit) -> None:
    """Events, what was seen, the lanes that want them, the counts that keep them, and the cursor: one step."""
    await commit(row(1, A, row_id=101), row(2, A, B, row_id=102), row(300), cursor=300)
    pages, events, routes = Pages(redis), Events(redis), Routes(redis)
    assert await pages.known(UK, "t", [101, 102, 103]) == ({101: b"seen", 102: b"seen"}, 2)
    assert set(await events.read(UK, [1, 2, 3, 300])) == {1, 2, 300}
    found = await events.find(UK, message(2))
    assert found is not None
    assert found[0] == 2
    assert (await routes.states(UK, ["all"]))[0].cursor == 300
    assert await Readings(redis).trail(UK, "all") == [Step(NOW, 300)]
    books = await read_books(redis, UK)
    assert {e: [ref.text() for ref in refs] for e, refs in books.waiting.items()} == {
        A: ["a1:2:00000", "a2:2:00000"],
        B: ["a2:2:00000"],
    }
    assert books.ready == [A, B]
    assert books.references == {0: 3, 1: 0}
    sizes = [len(row(1, row_id=101).event), len(row(2, row_id=102).event)]
    assert await redis.hgetall(keys.owed(UK)) == {b"ep_a": b"%d" % sum(sizes), b"ep_b": b"%d" % sizes[1]}  # type: ignore[misc]
    assert books.faults() == []


async def test_an_older_token_changes_nothing(redis: Redis, commit: Commit, token: Token) -> None:
    """A poller that slept while another took over is refused, whatever it brings (goal G7)."""
    await redis.delete(keys.lease(UK))
    newer = await Routes(redis).take(UK)
    assert newer is not None
    assert newer.number > token.number
    before = await dump(redis)
    with pytest.raises(Fenced):
        await commit(row(1, A), cursor=1)
    assert await dump(redis) == before
    await commit(row(1, A), cursor=1, token=newer)


async def test_without_a_fence_nothing_is_taken(redis: Redis, commit: Commit) -> None:
    """A server that lost its memory takes no page from a poller that remembers more than it does."""
    await redis.flushdb()
    with pytest.raises(Fenced):
        await commit(row(1, A), cursor=1)
    assert await dump(redis) == {}


async def test_a_store_that_went_back_in_time_takes_nothing(redis: Redis, commit: Commit, token: Token) -> None:
    """A page is refused whose numbers, or what was committed before it, the server does not know any more."""
    earlier = [await snapshot(redis)]
    pages = Pages(redis)
    await pages.known(UK, "t", [1], token=token)
    earlier.append(await snapshot(redis))
    await commit(row(1, A), cursor=1)
    earlier.append(await snapshot(redis))
    _, number = await pages.known(UK, "t", [2], token=token)
    for copy in earlier:
        await restore(redis, copy)
        before = await dump(redis)
        with pytest.raises(Astray):
            await commit(row(number, A), cursor=2)
        assert await dump(redis) == before
    for copy in earlier[:2]:
        await restore(redis, copy)
        token.sequence = number - 1
        with pytest.raises(Astray):
            await pages.known(UK, "t", [2], token=token)
    await Routes(redis).look(UK, token)
    _, number = await pages.known(UK, "t", [1], token=token)
    await commit(row(number, A), cursor=1)
    assert (await read_books(redis, UK)).faults() == []


async def test_a_cursor_moves_from_where_it_is_believed(redis: Redis, commit: Commit) -> None:
    """A route that stands elsewhere, or nowhere, gets no page that would jump over rows."""
    await commit(row(1, A), cursor=5)
    before = await dump(redis)
    with pytest.raises(Astray):
        await commit(row(2, A), after=4, cursor=6)
    assert await dump(redis) == before
    await commit(row(2, A), after=5, cursor=6)
    await redis.hdel(keys.route(UK, "all"), "cursor")  # type: ignore[misc]
    with pytest.raises(Astray):
        await commit(row(3, A), after=6, cursor=7)


async def test_older_subscriptions_change_nothing(redis: Redis, commit: Commit) -> None:
    """A page that was matched before an endpoint was made is refused, so that the endpoint misses nothing."""
    await redis.set(keys.subscriptions(UK), 7)
    before = await dump(redis)
    with pytest.raises(StaleSubscriptions):
        await commit(row(1, A), cursor=1, version=6)
    assert await dump(redis) == before
    await commit(row(1, A), cursor=1, version=7)
    await commit(row(2, A), cursor=2, version=8)


async def test_a_full_server_changes_nothing(redis: Redis, commit: Commit) -> None:
    """With no memory left a page is refused before it began: no script fails half way."""
    await commit(row(1, A), cursor=1)
    before = await dump(redis)
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises((OutOfMemoryError, StoreFull)):
            await commit(row(2, A, B), cursor=2)
    finally:
        await redis.config_set("maxmemory", 0)
    assert await dump(redis) == before


@pytest.mark.parametrize("damage", ["many", "1.5", "", "inf", "0x10"])
async def test_a_damaged_count_stops_no_page_half_way(redis: Redis, commit: Commit, damage: str) -> None:
    """A row that is noted as seen, and stands in no lane, would be lost; events that nobody can count are kept."""
    await commit(row(1, A), cursor=1)
    await redis.hset(keys.owed(UK), A, damage)  # type: ignore[misc]
    await redis.hset(keys.references(UK), "0", damage)  # type: ignore[misc]
    await commit(row(2, A), cursor=2)
    assert [reference.number for reference in (await read_books(redis, UK)).waiting[A]] == [1, 2]
    assert int(await redis.hget(keys.owed(UK), A)) == await redis.hstrlen(keys.events(UK, 0), "2")  # type: ignore[misc]
    assert int(await redis.hget(keys.references(UK), "0")) > 2**32  # type: ignore[misc]


async def test_without_a_cursor_the_cursor_stays(redis: Redis, commit: Commit) -> None:
    """Late rows are stored, and the route stands where it stood."""
    await commit(row(1), cursor=50)
    await commit(row(2, A, row_id=20))
    assert (await Routes(redis).states(UK, ["all"]))[0].cursor == 50
    assert await redis.zrange(keys.trail(UK, "all"), 0, -1) == [b"50"]


async def test_a_row_that_is_no_event_leaves_only_what_is_known_of_it(redis: Redis, commit: Commit) -> None:
    """A row that another route took over gets its note, and no event."""
    await commit(RowCommit(5, b"owner"), cursor=5)
    assert (await Pages(redis).known(UK, "t", [5]))[0] == {5: b"owner"}
    books = await read_books(redis, UK)
    assert (books.waiting, books.references) == ({}, {})


async def test_a_lane_is_made_ready_once(redis: Redis, commit: Commit) -> None:
    """A lane that is ready, parked or held gets what comes, and stays what it is."""
    parked, held = EndpointId("ep_parked"), EndpointId("ep_held")
    lanes = Lanes(redis)
    await commit(row(1, parked), cursor=1)
    claim = {"now_ms": NOW, "lives_ms": 60_000, "per_lane": 10}
    await lanes.exchange(UK, [], session="s", turn=1, before=0, claim=1, **claim)
    await lanes.exchange(
        UK,
        [HandIn(parked, leaving="park", until_ms=NOW + 1000, ended=[b"a1:2:00000"])],
        session="s",
        turn=2,
        before=1,
        claim=0,
        **claim,
    )
    await commit(row(2, held), cursor=2)
    await lanes.exchange(UK, [], session="s", turn=3, before=2, claim=1, **claim)
    await commit(row(3, A, parked, held), cursor=3)
    await commit(row(4, A, parked, held), cursor=4)
    books = await read_books(redis, UK)
    assert books.lanes == {A: "r", parked: "p", held: "s"}
    assert books.ready == [A]
    assert {endpoint: len(refs) for endpoint, refs in books.waiting.items()} == {A: 2, parked: 2, held: 2}
    assert books.faults() == []


async def test_who_waits_for_work_is_told(redis: Redis, commit: Commit) -> None:
    """One notice with the source's uid for a page that fills lanes, none for one that fills none."""
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.WAKE_CHANNEL)
        await channel.get_message(timeout=PATIENCE_S)
        # Nodes of a cluster pass notices on, so one of an earlier test may still come.
        while await channel.get_message(timeout=0.2) is not None:
            pass
        await commit(row(1), cursor=1)
        await commit(row(2, A, B), row(3, A), cursor=3)
        heard = await channel.get_message(timeout=PATIENCE_S)
        assert heard is not None
        assert heard["data"] == b"uk"
        assert await channel.get_message(timeout=0) is None


async def test_a_step_of_the_largest_size_fits(redis: Redis, commit: Commit) -> None:
    """Ten thousand entries, in one lane or in as many lanes, pass Lua's stack in order and none is left out."""
    await commit(*(row(number, A) for number in range(1, LANE_ENTRIES_AT_ONCE + 1)), cursor=LANE_ENTRIES_AT_ONCE)
    many = [EndpointId(f"ep_{n}") for n in range(LANE_ENTRIES_AT_ONCE)]
    await commit(row(20_000, *many), cursor=20_000)
    books = await read_books(redis, UK)
    assert [ref.number for ref in books.waiting[A]] == list(range(1, LANE_ENTRIES_AT_ONCE + 1))
    assert books.ready == [A, *many]
    assert books.faults() == []


def test_a_step_is_bounded() -> None:
    """A page is cut where a step would have too many events or lane entries, and never before its first row."""
    many = [EndpointId(f"ep_{n}") for n in range(6_000)]
    assert len(first_prefix([row(n) for n in range(1, 5_000)])) == EVENTS_AT_ONCE
    assert len(first_prefix([row(n, *many) for n in range(1, 4)])) == 1
    assert len(first_prefix([row(1, *many, *many), row(2)])) == 1
    assert len(first_prefix([row(1, A), row(2, B)])) == 2
    assert first_prefix([]) == []


async def test_numbers_are_given_once(redis: Redis, token: Token) -> None:
    """Each page that is looked up gets numbers of its own; who only looks takes none."""
    pages = Pages(redis)
    _, first = await pages.known(UK, "t", range(1, 11), token=token)
    await pages.known(UK, "t", range(1, 6))
    _, second = await pages.known(UK, "t", range(1, 6), token=token)
    assert (first, second) == (1, 11)
    assert await Events(redis).newest(UK) == 15


async def test_spaces_are_apart(redis: Redis, commit: Commit) -> None:
    """Itemised calls count for themselves: the same rowId there is another row."""
    await commit(row(1, row_id=7), cursor=7)
    assert (await Pages(redis).known(UK, "i", [7]))[0] == {}
