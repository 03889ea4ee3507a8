"""The lags of deliveries, minute by minute: each worker writes its own, and readers merge those of the last minutes."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from relay.domain.lags import Lags, merged
from relay.domain.model import ROUTES, SourceUid
from relay.errors import Unreadable
from relay.store import keys
from relay.store.packing import Packing

MINUTE_MS = 60_000
SHOWN_MINUTES = 5
"""What is shown is of so many whole minutes, and of the one that is under way."""
KEPT_MS = 2 * SHOWN_MINUTES * MINUTE_MS
SOURCES_AT_ONCE = 100


class _Minute(msgspec.Struct, array_like=True):
    routes: dict[int, Lags]
    """By the indexes of the routes in model.ROUTES."""


_PACKING = Packing(_Minute, version=1)


class LagWindows:
    """The lags of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, session: str, minute: int, lags: Mapping[SourceUid, Mapping[int, Lags]]) -> None:
        """Write down what a worker has counted in a minute so far, in place of what it wrote before.

        Raises StoreUnavailable.
        """
        packed = [(source, _PACKING.pack(_Minute(dict(routes)))) for source, routes in lags.items()]
        for first in range(0, len(packed), SOURCES_AT_ONCE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for source, routes in packed[first : first + SOURCES_AT_ONCE]:
                    name = keys.lags(source, minute)
                    pipe.hset(name, mapping={session: routes})
                    pipe.pexpire(name, KEPT_MS)
                await pipe.execute()

    async def read(self, source: SourceUid, *, now_ms: int) -> dict[str, Lags]:
        """The lags of each route of a source in the last minutes; without routes that had no delivery."""
        newest = now_ms // MINUTE_MS
        async with self._redis.pipeline(transaction=False) as pipe:
            for minute in range(newest - SHOWN_MINUTES, newest + 1):
                pipe.hvals(keys.lags(source, minute))
            found = await pipe.execute()
        routes = merged(_read(packed for of_minute in found for packed in of_minute))
        return {ROUTES[route]: lags for route, lags in sorted(routes.items()) if 0 <= route < len(ROUTES)}


def _read(packed: Iterable[bytes]) -> Iterable[dict[int, Lags]]:
    for each in packed:
        # What another release wrote is only a number that is shown.
        with suppress(Unreadable):
            yield _PACKING.unpack(each).routes
