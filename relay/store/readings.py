"""Readings: how far each of them is, the trail of each route that they follow, and the gaps that they probe."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.domain.reading.backfill import Backfill
from relay.domain.reading.place import MOST_ROW_ID, Place, read_place, write_place
from relay.domain.reading.trail import Step
from relay.domain.route_state import RouteState
from relay.store import keys, reading_keys
from relay.store.backfills import readable
from relay.store.route_states import read_state
from relay.store.routes import Token, refused
from relay.store.scripts import script

BUDGET = "budget"
"""The field for when the budget allows the next request, in ms. No route has this name."""
TRAIL_READ = 10_000
LEAVING_AT_ONCE = 2_000
"""Entries of a trail that one step removes."""
BUCKETS_AT_ONCE = 100


class Places(NamedTuple):
    """Where all readings of a source are."""

    of: dict[str, dict[str, Place]]
    """By route and reading."""
    budget_ms: int
    """When the budget allows the next request."""


class Footing(NamedTuple):
    """What a slice begins with."""

    states: list[RouteState]
    trails: dict[str, list[Step]]
    """By route, in the order of time."""
    places: Places
    backfills: list[Backfill]


class Readings:
    """The readings of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def load(self, source: SourceUid) -> Places:
        """Where all readings of a source are. What is damaged is left out: that reading begins again."""
        return _read_places(await self._redis.hgetall(reading_keys.readings(source)))  # type: ignore[misc]

    async def footing(self, source: SourceUid, routes: Sequence[str], *, trails_of: Sequence[str]) -> Footing:
        """All that a slice begins with, in one round trip: the states of routes, and the trails of some of them."""
        names = [reading_keys.readings(source), reading_keys.backfills(source)]
        names += [keys.route(source, route) for route in routes]
        names += [keys.trail(source, route) for route in trails_of]
        args = [len(routes), len(trails_of), TRAIL_READ]
        places, backfills, states, trails = await script("read_footing")(self._redis, names, args)
        return Footing(
            [read_state(route, dict(_pairs(fields))) for route, fields in zip(routes, states, strict=True)],
            {route: _read_trail(_pairs(trail)) for route, trail in zip(trails_of, trails, strict=True)},
            _read_places(dict(_pairs(places))),
            [backfill for _, backfill in readable(backfills)],
        )

    async def save(
        self,
        source: SourceUid,
        route: str,
        places: Mapping[str, Place | None],
        *,
        token: Token,
        budget_ms: int | None = None,
    ) -> None:
        """Write where readings of a route are (None: there is no such reading any more). Raises Fenced, or Astray."""
        names = [keys.fence(source), keys.sequence(source), reading_keys.readings(source)]
        args: list[Any] = [token.number, token.sequence]
        for name, place in places.items():
            args += (f"{route}/{name}", b"" if place is None else write_place(place))
        if budget_ms is not None:
            args += (BUDGET, budget_ms)
        answer = await script("save_places")(self._redis, names, args)
        if answer != b"ok":
            raise refused(answer, source)

    async def trail(self, source: SourceUid, route: str) -> list[Step]:
        """The trail of a route, in the order of time. What is damaged is left out."""
        return _read_trail(await self._redis.zrange(keys.trail(source, route), 0, TRAIL_READ - 1, withscores=True))

    async def tidy(
        self, source: SourceUid, route: str, *, leaving: Sequence[int], moved: Sequence[Step], token: Token
    ) -> None:
        """Remove cursors from a route's trail, as many as one step may, and correct the times of others.

        Raises Fenced, or Astray.
        """
        names = [keys.fence(source), keys.sequence(source), keys.trail(source, route)]
        gone = leaving[:LEAVING_AT_ONCE]
        args = [token.number, token.sequence, len(gone), *gone, *(part for step in moved for part in step)]
        answer = await script("tidy_trail")(self._redis, names, args)
        if answer != b"ok":
            raise refused(answer, source)

    async def known_from(self, source: SourceUid, space: str) -> int:
        """Up to this rowId nothing is known of rows although readings need it: see `Rows`."""
        found = await self._redis.get(reading_keys.known_from(source, space))
        return int(found) if found is not None and found.isdigit() else 0

    async def behind_full(self, source: SourceUid, space: str, after: int, until: int) -> int:
        """The rowId behind which the first gap after `after` may lie: buckets of known rows without gaps are passed."""
        size = keys.ROWS_PER_BUCKET
        while after < until:
            buckets = range((after + 1) // size, min((after + 1) // size + BUCKETS_AT_ONCE, until // size + 1))
            async with self._redis.pipeline(transaction=False) as pipe:
                for bucket in buckets:
                    pipe.hlen(keys.seen(source, space, bucket))
                rows = await pipe.execute()
            full = next((at for at, known in enumerate(rows) if known < size), len(rows))
            if not full:
                break
            after = (buckets[0] + full) * size - 1
            if full < len(rows):
                break
        return min(after, until)


def _pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _read_places(found: dict[bytes, bytes]) -> Places:
    budget = found.pop(BUDGET.encode(), b"0")
    places: dict[str, dict[str, Place]] = {}
    for field, kept in found.items():
        route, _, name = field.decode("utf-8", "replace").partition("/")
        if (place := read_place(kept)) is not None:
            places.setdefault(route, {})[name] = place
    return Places(places, int(budget) if budget.isdigit() and len(budget) < 16 else 0)


def _read_trail(found: Iterable[tuple[bytes, float]]) -> list[Step]:
    # In the order of their numbers where the time is the same: the server orders texts.
    return sorted(Step(int(float(at_ms)), int(cursor)) for cursor, at_ms in found if _is_cursor(cursor))


def _is_cursor(text: bytes) -> bool:
    return text.isdigit() and len(text) < 20 and int(text) <= MOST_ROW_ID
