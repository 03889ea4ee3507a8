"""Where routes would continue in a new store, by what commits and deliveries leave behind in this one."""

import time
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from relay.domain.checkpoint import RouteMark
from relay.domain.model import ApiKeyAuth, EndpointId, Source
from relay.domain.reading.place import Place as Reached
from relay.domain.reading.place import write_place
from relay.domain.reading.plan import Overlap
from relay.domain.sending.effects import HandIn
from relay.store import keys, reading_keys
from relay.store.low_water import AGAIN_AFTER_MS, LowWater
from relay.store.pages import Pages, RowCommit
from relay.store.retention import Retention
from relay.store.routes import Routes, Token, space_of
from tests.fakes.eyes import commands_of
from tests.integration.store.floor import UK, A, B, Floor, message, packed

HOUR = 3_600_000
DAY = 24 * HOUR
BIG = 2**62


class Place:
    """A source with routes, whose rows are committed and delivered."""

    def __init__(self, redis: Redis, *routes: str) -> None:
        self.redis = redis
        self.source = Source(
            uid=UK, name="UK", base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"), routes=routes
        )
        self.now_ms = time.time_ns() // 1_000_000
        overlap = Overlap(rows=100, seconds=600, interval_seconds=60)
        self.low_water = LowWater(redis, overlap=overlap, reach_s=4 * 86_400)
        self.floor = Floor(redis)
        self._token: Token | None = None

    async def commit(
        self,
        *row_ids: int,
        first: int,
        route: str = "all",
        to: Sequence[EndpointId] = (A,),
        cursor: int | None = None,
        ago_ms: int = HOUR,
    ) -> None:
        """Commit rows as events from a number on."""
        self._token = self._token or await Routes(self.redis).take(UK)
        assert self._token is not None
        numbers = range(first, first + len(row_ids))
        rows = [
            RowCommit(row_id, b"seen", message(n), n, packed(n, self.now_ms), [(endpoint, 2) for endpoint in to])
            for n, row_id in zip(numbers, row_ids, strict=True)
        ]
        await Pages(self.redis).commit(
            UK, route, rows, space=space_of(route), cursor=cursor, token=self._token, version=0,
            now_ms=self.now_ms - ago_ms,
        )  # fmt: skip

    async def marks(self) -> dict[str, int | None]:
        """The cursor of each route's mark."""
        found = await self.low_water.read([self.source], now_ms=self.now_ms)
        return {route: mark.cursor for route, mark in found[UK].items()}

    async def deliver(self, *numbers: int, endpoint: EndpointId = A) -> None:
        """End deliveries."""
        await self.floor.exchange("s", claim=10, per_lane=1000)
        await self.floor.exchange("s", HandIn(endpoint, ended=[b"a%d:2:00000" % number for number in numbers]))


@pytest.fixture
def place(redis: Redis) -> Place:
    return Place(redis, "all")


async def test_without_deliveries_it_is_the_reach_of_the_overlap(place: Place) -> None:
    """Rows may still appear there, and nobody would know which of them had been there."""
    await place.commit(500, first=1, to=(), cursor=500, ago_ms=HOUR)
    await place.commit(550, first=2, to=(), cursor=550, ago_ms=10_000)
    assert await place.marks() == {"all": 500}
    await place.commit(900, first=3, to=(), cursor=900, ago_ms=5_000)
    assert await place.marks() == {"all": 800}


async def test_a_row_that_is_not_delivered_everywhere_holds_it_back(place: Place) -> None:
    """Until its last delivery ended, whichever endpoint it was for."""
    await place.commit(501, first=1, to=(A, B), cursor=501)
    await place.commit(*range(600, 900), first=300, cursor=900)
    assert await place.marks() == {"all": 500}
    await place.deliver(1)
    assert await place.marks() == {"all": 500}
    await place.deliver(1, endpoint=B)
    assert await place.marks() == {"all": 599}
    await place.deliver(*range(300, 600))
    assert await place.marks() == {"all": 900}


async def test_a_late_row_holds_it_back(place: Place) -> None:
    """The smallest rowId counts, not the oldest event; with as many digits as there may be."""
    await place.commit(BIG + 5, first=1, cursor=BIG + 5)
    await place.commit(BIG, first=2)
    assert await place.marks() == {"all": BIG - 1}
    await place.commit(99, first=3)
    assert await place.marks() == {"all": 98}


async def test_a_delivery_that_was_given_up_holds_it_back(place: Place) -> None:
    """It stands in the list of undelivered messages, which is lost with the store; the new store makes it again."""
    await place.commit(501, first=1, cursor=501)
    await place.commit(900, first=300, cursor=900)
    floor = Floor(place.redis)
    await floor.exchange("s", claim=10, per_lane=1000)
    await floor.exchange("s", HandIn(A, dead=[(b"a1:2:00000", "gone")], ended=[b"a300:2:00000"]))
    assert await place.marks() == {"all": 500}
    await Retention(place.redis).forget_dead(UK, before_ms=BIG)
    assert await place.marks() == {"all": 900}


async def test_a_restored_relay_looks_back_four_days(place: Place) -> None:
    """An endpoint that has been down for longer does not make all others get so much again."""
    await place.commit(501, first=1, cursor=501)
    await place.commit(900, first=300, to=(), cursor=900)
    for cursor, days in ((510, 6), (700, 5), (800, 3)):
        await place.redis.zadd(keys.marks(UK, "t"), {str(cursor): place.now_ms - days * DAY})
    assert await place.marks() == {"all": 700}


async def test_routes_and_spaces_have_marks_of_their_own(redis: Redis) -> None:
    """A row holds back the route that it was committed for."""
    place = Place(redis, "all", "calls", "itemisedCalls")
    await place.commit(501, first=1, cursor=900)
    await place.commit(601, first=300, route="calls", cursor=700)
    await place.commit(11, first=600, route="itemisedCalls", to=(), cursor=20)
    assert await place.marks() == {"all": 500, "calls": 600, "itemisedCalls": 20}


async def test_a_route_that_has_not_begun_keeps_how_it_would_begin(place: Place) -> None:
    """Behind the newest row or at startRowId; a route whose cursor is damaged is left out."""
    await place.redis.hset(keys.route(UK, "all"), mapping={"joined": "creation", "start": "none"})  # type: ignore[misc]
    found = await place.low_water.read([place.source], now_ms=place.now_ms)
    assert found == {UK: {"all": RouteMark(cursor=None, joined="creation", start="none")}}
    await place.redis.hset(keys.route(UK, "all"), "cursor", "damage")  # type: ignore[misc]
    place.now_ms += AGAIN_AFTER_MS
    assert await place.marks() == {}


async def test_a_reading_of_the_overlap_that_is_under_way_counts(place: Place) -> None:
    """It may have begun long ago."""
    await place.commit(900, first=1, to=(), cursor=900)
    await place.redis.hset(reading_keys.readings(UK), "all/overlap", write_place(Reached(300, until=890)))  # type: ignore[misc]
    assert await place.marks() == {"all": 300}


async def test_a_damaged_count_holds_it_back(place: Place) -> None:
    """Nobody knows whether somebody waits."""
    await place.commit(501, first=1, to=(), cursor=900)
    await place.redis.hset(keys.references(UK), "0", "damage")  # type: ignore[misc]
    assert await place.marks() == {"all": 500}


async def test_a_source_in_which_nothing_happens_costs_one_command(place: Place) -> None:
    """A thousand of them are read in one round trip, and looked at again each minute."""
    await place.commit(500, first=1, to=(), cursor=500, ago_ms=HOUR)
    await place.commit(550, first=2, to=(), cursor=550, ago_ms=0)

    async def commands() -> int:
        return (await commands_of(place.redis, place.marks))[1]

    assert await commands() > 1
    assert await commands() == 1
    assert await place.marks() == {"all": 500}
    place.now_ms += HOUR
    assert await place.marks() == {"all": 550}
    assert await commands() == 1
    await place.commit(540, first=300)
    assert await place.marks() == {"all": 539}


async def test_what_is_kept_for_it_goes_with_the_events(place: Place) -> None:
    """Eight digits or so for a bucket of 256 events, and nothing when they are forgotten."""
    await place.commit(501, first=1, to=(), cursor=501)
    await place.commit(900, first=300, to=(), cursor=900)
    assert await place.redis.hgetall(keys.lowest(UK, "all")) == {b"0": b"501", b"1": b"900"}  # type: ignore[misc]
    await place.redis.set(keys.sequence(UK), 1000)
    await Retention(place.redis).forget_events(UK, before_ms=BIG)
    assert await place.redis.exists(keys.lowest(UK, "all"), keys.references(UK)) == 0
