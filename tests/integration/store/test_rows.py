"""What is known of rows: as long as a route can show them again, and no longer."""

import asyncio
import time
from itertools import pairwise

import pytest
from redis.asyncio import Redis

from relay.domain.identity import Seen
from relay.domain.model import ApiKeyAuth, Source
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Overlap, Plan
from relay.store import keys, rows
from relay.store.pages import Pages, RowCommit
from relay.store.readings import Readings
from relay.store.routes import Routes, Token, space_of
from relay.store.rows import Rows
from tests.integration.store.floor import UK
from tests.patience import PATIENCE_S

HOUR = 3_600_000
REACH = 600_000 + 2 * 60_000 + 120_000
"""How far back an overlap of ten minutes reaches, with the time that upkeep may take."""
KNOWN = (50, 150, 250, 350, 450)


def source(*routes: str) -> Source:
    return Source(
        uid=UK, name="UK", base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"), routes=routes
    )


class Shelf:
    """Rows that are known, of a source whose routes are somewhere."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.now_ms = time.time_ns() // 1_000_000
        self.rows = self.keeping()
        self.token: Token | None = None

    def keeping(self, *, most_bytes: int = 10**9, changes_s: tuple[float, ...] = ()) -> Rows:
        """What forgets, by some settings."""
        overlap = Overlap(rows=100_000, seconds=600, interval_seconds=60)
        plan = Plan(overlap=overlap, gap_deadline_s=0, change_schedule_s=changes_s, requests_per_hour=600)
        return Rows(self.redis, plan=plan, longest_s=14 * 86_400, most_bytes=most_bytes)

    async def know(self, *row_ids: int, route: str = "all", cursor: int | None = None, ago_ms: int = 0) -> None:
        """Commit rows, as a page does."""
        seen = Seen(owner=0, number=1, classes=1, raw=bytes(8), digests=(bytes(8),)).pack()
        await Pages(self.redis).commit(
            UK, route, [RowCommit(row_id, seen) for row_id in row_ids], space=space_of(route), cursor=cursor,
            token=await self.hold(), version=0, now_ms=self.now_ms - ago_ms,
        )  # fmt: skip

    async def route(self, route: str, *trail: tuple[int, int], caught_up_ago: int | None = None) -> None:
        """Where a route was: cursors, each with how many ms ago."""
        for cursor, ago_ms in trail:
            await self.know(cursor=cursor, route=route, ago_ms=ago_ms)
        if caught_up_ago is not None:
            await self.save(route, caught_up_at_ms=self.now_ms - caught_up_ago)

    async def hold(self) -> Token:
        """The right to write for the source."""
        self.token = self.token or await Routes(self.redis).take(UK)
        assert self.token is not None
        return self.token

    async def save(self, route: str, **changes: int | None) -> None:
        """Write down how a route is."""
        await Routes(self.redis).save(UK, route, changes, token=await self.hold())

    async def put(self, route: str, **places: Place) -> None:
        """Write down where readings are."""
        named = {name.replace("_", "."): place for name, place in places.items()}
        await Readings(self.redis).save(UK, route, named, token=await self.hold())

    async def marks(self, *marks: tuple[int, int], space: str = "t") -> None:
        """How far the furthest route was, and how many ms ago."""
        for cursor, ago_ms in marks:
            await self.redis.zadd(keys.marks(UK, space), {str(cursor): self.now_ms - ago_ms})

    async def forget(self, *routes: str) -> int:
        return await self.rows.forget(source(*routes), now_ms=self.now_ms)

    async def left(self, space: str = "t") -> list[int]:
        return sorted((await Pages(self.redis).known(UK, space, KNOWN))[0])


@pytest.fixture
async def shelf(redis: Redis) -> Shelf:
    shelf = Shelf(redis)
    await shelf.know(*KNOWN)
    return shelf


async def test_a_route_that_shows_little_keeps_no_more_than_the_others(shelf: Shelf) -> None:
    """Once it has nothing more to show, what was behind all routes then is forgotten, however old its own cursor is."""
    await shelf.route("all", (300, 2 * HOUR), (480, HOUR), (999, 0), caught_up_ago=0)
    await shelf.route("goals", (10, 90 * HOUR), caught_up_ago=0)
    await shelf.redis.zremrangebyrank(keys.trail(UK, "all"), 0, 0)
    await shelf.marks((330, REACH + 1), (480, REACH - 1))
    assert await shelf.forget("all", "goals") == 3
    assert await shelf.left() == [350, 450]


async def test_a_route_that_is_behind_keeps_what_it_has_not_shown(shelf: Shelf) -> None:
    """Rows that others showed since it was last caught up may come on it as well, whenever it goes on."""
    await shelf.route("all", (999, 0), caught_up_ago=0)
    await shelf.route("goals", (10, 90 * HOUR), caught_up_ago=3 * HOUR)
    await shelf.marks((210, 3 * HOUR + REACH + 1), (990, HOUR))
    assert await shelf.forget("all", "goals") == 2
    assert await shelf.left() == [250, 350, 450]


async def test_a_route_that_never_caught_up_keeps_all_from_its_cursor_on(shelf: Shelf) -> None:
    """What lies behind its cursor it can't show any more."""
    await shelf.route("all", (999, 0), caught_up_ago=0)
    await shelf.route("goals", (310, HOUR))
    await shelf.marks((990, HOUR))
    assert await shelf.forget("all", "goals") == 3
    assert await shelf.left() == [350, 450]


async def test_a_route_that_stands_still_for_good_keeps_rows_for_a_time(shelf: Shelf) -> None:
    """After that it may come to send a row twice; until then the store would have filled up."""
    await shelf.route("all", (999, 0), caught_up_ago=0)
    await shelf.marks((260, 14 * 24 * HOUR + 1), (990, HOUR))
    assert [await shelf.forget("all", "goals") for _ in range(2)] == [0, 2]
    assert await shelf.left() == [250, 350, 450]


async def test_a_route_that_has_not_begun_keeps_everything_for_that_time(shelf: Shelf) -> None:
    """Nobody knows where it will begin."""
    await shelf.route("all", (999, 0), caught_up_ago=0)
    await shelf.marks((990, HOUR))
    assert await shelf.forget("all", "goals") == 0


async def test_rows_that_are_read_again_are_known(shelf: Shelf) -> None:
    """What a route's overlap reaches is kept although other routes are far beyond, and so is a reading that goes on."""
    await shelf.route("all", (999, 0), caught_up_ago=0)
    await shelf.route("goals", (160, 90 * HOUR), (995, 1000), caught_up_ago=0)
    await shelf.marks((990, HOUR))
    assert await shelf.forget("all", "goals") == 1
    await shelf.redis.zrem(keys.trail(UK, "goals"), "160")
    await shelf.put("goals", overlap=Place(260, until=995))
    assert await shelf.forget("all", "goals") == 1
    await shelf.put("goals", overlap=Place(260))
    assert await shelf.forget("all", "goals") == 3


async def test_an_overlap_is_bounded_by_rows_too(shelf: Shelf) -> None:
    """Behind so many rowIds nothing is read again, however short a time ago the cursor was there."""
    await shelf.route("all", (0, 1000), (100_310, 0), caught_up_ago=0)
    await shelf.marks((100_300, HOUR))
    assert await shelf.forget("all") == 3
    assert await shelf.left() == [350, 450]


async def test_spaces_are_forgotten_apart(shelf: Shelf) -> None:
    """How far the charges of calls are says nothing about the triggers."""
    await shelf.know(*KNOWN, route="itemisedCalls")
    await shelf.route("calls", (0, 1))
    await shelf.route("itemisedCalls", (999, 5))
    assert await shelf.forget("calls", "itemisedCalls") == 5
    assert await shelf.left() == list(KNOWN)
    assert await shelf.left("i") == []


async def test_rows_with_gaps_of_billions_are_forgotten_in_no_time(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upkeep jumps from one that is known to the next: ids from 10^13 on, and a few, cost what a few cost."""
    monkeypatch.setattr(rows, "BUCKETS_AT_ONCE", 3)
    sparse = [10**13 + n * 7 * 10**9 for n in range(50)] + [9 * 10**17 + n for n in (1, 100, 200)]
    await shelf.know(*sparse)
    await shelf.route("all", (9 * 10**17 + 150, 0), caught_up_ago=0)
    async with asyncio.timeout(PATIENCE_S):
        assert await shelf.forget("all") == len(KNOWN) + 51
    assert len((await Pages(shelf.redis).known(UK, "t", sparse))[0]) == 2
    assert await shelf.redis.zcard(keys.seen_buckets(UK, "t")) == 2


async def test_a_round_does_a_bounded_part(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to forget, others get their turn; the next round goes on."""
    monkeypatch.setattr(rows, "BUCKETS_AT_ONCE", 1)
    monkeypatch.setattr(rows, "STEPS", 2)
    await shelf.route("all", (999, 0), caught_up_ago=0)
    assert [await shelf.forget("all") for _ in range(4)] == [2, 2, 1, 0]


async def test_marks_are_few_and_reach_far(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any time within two weeks one is known that is little older, and those before are not kept."""
    day = 24 * HOUR
    # As if each minute of fifteen days had had its round.
    for minute in range(15 * 24 * 60, 0, -7):
        await shelf.marks((10**6 - minute, minute * 60_000))
        if minute % 10 == 0:
            await shelf.route("all", (10**6 - minute, 0))
            await shelf.forget("all")
    await shelf.route("all", (10**6, 0))
    await shelf.forget("all")
    kept = await shelf.redis.zrange(keys.marks(UK, "t"), 0, -1, withscores=True)
    assert len(kept) < 250
    assert shelf.now_ms - kept[1][1] < 14 * day
    ages = [shelf.now_ms - at_ms for _, at_ms in kept]
    assert all(older - younger <= max(older / 8, 600_000) for older, younger in pairwise(ages[1:]))


async def test_a_source_that_was_deleted_gets_no_mark(shelf: Shelf) -> None:
    """Upkeep that is late must leave nothing behind for one that is made anew under its uid."""
    await shelf.forget("all", "goals")
    assert await shelf.redis.exists(keys.marks(UK, "t")) == 0


async def test_what_is_known_of_a_row_takes_little(redis: Redis) -> None:
    """36 bytes where ids are dense; the index of buckets adds two at the most."""
    shelf = Shelf(redis)
    await redis.flushall(asynchronous=False)
    for first in range(10_000_000, 10_100_000, 1000):
        await shelf.know(*range(first, first + 1000))
    names = [name async for name in redis.scan_iter(match=f"{keys.prefix(UK)}seen*", count=1000)]
    used = sum([await redis.memory_usage(name, samples=0) or 0 for name in names])
    index = await redis.memory_usage(keys.seen_buckets(UK, "t"), samples=0) or 0
    print(f"{used / 100_000:.1f} B a row, of these {index / 100_000:.2f} for the index")
    assert used / 100_000 < 40
    assert index / 100_000 < 2
