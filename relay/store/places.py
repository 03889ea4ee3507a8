"""Where deliveries stand that have not ended, endpoint by endpoint, while they move."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import number_of
from relay.store import keys, replay_keys

AT_ONCE = 1_000
Found = dict[int, int]
"""For each block of events, a bit for each of its events."""


class Places:
    """A look at the deliveries of one source. What was read once is not read again.

    A delivery that moves during the look can escape it: only one that two looks did not find may be nowhere.
    """

    def __init__(self, redis: Redis, source: SourceUid) -> None:
        self._redis = redis
        self._source = source
        self._found: dict[EndpointId, Found] = {}

    def has(self, endpoint: EndpointId, number: int) -> bool:
        """Whether a delivery waits in its lane or for its next attempt, or is in flight. Its endpoint was read."""
        block, offset = divmod(number, keys.EVENTS_PER_BUCKET)
        return bool(self._found[endpoint].get(block, 0) >> offset & 1)

    async def read(self, endpoints: Collection[EndpointId]) -> None:
        """Look for the deliveries to some endpoints."""
        fresh = {endpoint: defaultdict[int, int](int) for endpoint in endpoints if endpoint not in self._found}
        if not fresh:
            return
        for endpoint, found in fresh.items():
            # In the direction in which they go: from the lane into flight, and then to those that are due.
            await self._read_list(replay_keys.replay_list(self._source, endpoint), found)
            await self._read_list(keys.lane(self._source, endpoint), found)
            async for key, _ in self._redis.hscan_iter(keys.blocked(self._source, endpoint), count=AT_ONCE):
                await self._read_list(keys.waiting(self._source, endpoint, key.decode()), found)
            _note(found, await self._redis.smembers(keys.flight(self._source, endpoint)))  # type: ignore[misc]
        async for member, _ in self._redis.zscan_iter(keys.due(self._source), count=AT_ONCE):
            name, _, reference = member.partition(b" ")
            if (due := fresh.get(EndpointId(name.decode("utf-8", "replace")))) is not None:
                _note(due, [reference])
        self._found |= fresh

    async def _read_list(self, name: str, found: Found) -> None:
        """From its end on: a worker that takes from the head moves nothing that was not read yet."""
        last = -1
        while entries := await self._redis.lrange(name, last - AT_ONCE + 1, last):  # type: ignore[misc]
            _note(found, entries)
            last -= AT_ONCE


def _note(found: Found, references: Iterable[bytes]) -> None:
    for reference in references:
        if (number := number_of(reference)) is not None:
            block, offset = divmod(number, keys.EVENTS_PER_BUCKET)
            found[block] |= 1 << offset
