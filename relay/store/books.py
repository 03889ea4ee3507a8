"""The books as the store has them: read for a range of rows, and shed. Commits and exchanges write them."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from redis.asyncio import Redis

from relay.domain.books import ROWS_PER_GROUP, ROWS_PER_SHELF, State, numbers_of, place_of, state_of
from relay.domain.model import EndpointId, SourceUid
from relay.store import book_keys, keys
from relay.store.events import bucket_of
from relay.store.places import Places
from relay.store.scripts import script

BLOCKS_AT_ONCE = 500
STEPS = 40
"""20,000 blocks, which is five million events, in a round."""
GROUPS_AT_ONCE = 50
"""5,000 rows at most."""
PAIRS_AT_ONCE = 5_000
ENDPOINTS_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Since:
    """What the books do not have any more."""

    number: int
    """They have nothing of events with lower numbers."""
    rows: Mapping[str, int]
    """For each space, the rowId up to which a row without an event need not be a missing one."""


class Books:
    """The books of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def places(self, source: SourceUid) -> Places:
        """A look at where the deliveries of a source stand that have not ended."""
        return Places(self._redis, source)

    async def since(self, source: SourceUid) -> Since:
        """What was shed."""
        found = await self._redis.hgetall(book_keys.books_from(source))  # type: ignore[misc]
        read = {name.decode(): int(value) for name, value in found.items() if value.isdigit()}
        rows = {space: shelf * ROWS_PER_SHELF - 1 for space, shelf in read.items() if space != "number"}
        return Since(read.get("number", 0), rows)

    async def begins(self, source: SourceUid, routes: Sequence[str]) -> dict[str, int]:
        """Behind which rowId the books have the rows of each route; without those that have no row yet."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for route in routes:
                pipe.hget(keys.route(source, route), "books_from")
            found = await pipe.execute()
        return {route: int(begin) for route, begin in zip(routes, found, strict=True) if begin and begin.isdigit()}

    async def have(self, source: SourceUid, space: str, row_ids: Collection[int]) -> set[int]:
        """Which of some rows have events."""
        groups = sorted({place_of(row_id)[:2] for row_id in row_ids})
        async with self._redis.pipeline(transaction=False) as pipe:
            for shelf, group in groups:
                pipe.hget(book_keys.book_rows(source, space, shelf), str(group))
            packed = await pipe.execute() if groups else []
        found = (numbers_of(shelf, [(group, of or b"")]) for (shelf, group), of in zip(groups, packed, strict=True))
        return {row for rows in found for row in rows} & set(row_ids)

    async def revisions(self, source: SourceUid, rows: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[int]]:
        """The numbers of the events of some rows, as they were stored. A row: its space and rowId."""
        groups = sorted({(space, *place_of(row_id)[:2]) for space, row_id in rows})
        async with self._redis.pipeline(transaction=False) as pipe:
            for space, shelf, group in groups:
                pipe.hget(book_keys.book_rows(source, space, shelf), str(group))
            packed = await pipe.execute() if groups else []
        found: dict[tuple[str, int], list[int]] = {}
        for (space, shelf, group), of in zip(groups, packed, strict=True):
            numbers = numbers_of(shelf, [(group, of or b"")])
            found |= {(space, row): those for row, those in numbers.items() if (space, row) in rows}
        return found

    async def total_bytes(self, source: SourceUid) -> int:
        """The size of a source's books, about."""
        size = await self._redis.hget(book_keys.book_sizes(source), "total")  # type: ignore[misc]
        return int(size) if size is not None and size.isdigit() else 0

    async def rows(
        self, source: SourceUid, space: str, *, after: int, until: int
    ) -> AsyncIterator[dict[int, list[int]]]:
        """The rows above `after` and up to `until` that have events, ascending, with the events' numbers; in parts.

        A part has 5,000 rows at most. The numbers of a row are in the order in which its events were stored.
        """
        for shelf in await self._shelves(source, space, after, until):
            name = book_keys.book_rows(source, space, shelf)
            groups = sorted(int(group) for group in await self._redis.hkeys(name) if group.isdigit())  # type: ignore[misc]
            first = shelf * ROWS_PER_SHELF
            groups = [
                g for g in groups if after < first + (g + 1) * ROWS_PER_GROUP and first + g * ROWS_PER_GROUP <= until
            ]
            for at in range(0, len(groups), GROUPS_AT_ONCE):
                some = groups[at : at + GROUPS_AT_ONCE]
                found = await self._redis.hmget(name, [str(group) for group in some])  # type: ignore[misc]
                packed = [(group, value) for group, value in zip(some, found, strict=True) if value is not None]
                rows = {row: of for row, of in numbers_of(shelf, packed).items() if after < row <= until}
                if rows:
                    yield rows

    async def _shelves(self, source: SourceUid, space: str, after: int, until: int) -> list[int]:
        first, last = place_of(after + 1)[0], place_of(until)[0]
        name = book_keys.book_shelves(source, space)
        found = [int(shelf) async for shelf, _ in self._redis.zscan_iter(name, count=BLOCKS_AT_ONCE)]
        return sorted({shelf for shelf in found if first <= shelf <= last})

    async def block(self, source: SourceUid, block: int) -> AsyncIterator[dict[EndpointId, bytes]]:
        """What became of the events of a block, some endpoints at a time."""
        name, cursor, given = book_keys.books(source, block), 0, set[bytes]()
        while True:
            cursor, found = await self._redis.hscan(name, cursor, count=ENDPOINTS_AT_ONCE)
            # A scan can show a field twice.
            fresh = found.keys() - given
            given |= fresh
            yield {EndpointId(endpoint.decode()): found[endpoint] for endpoint in sorted(fresh)}
            if not cursor:
                return

    async def of_endpoint(self, source: SourceUid, block: int, endpoint: EndpointId) -> bytes:
        """What became of the events of a block for one endpoint."""
        return await self._redis.hget(book_keys.books(source, block), endpoint) or b""  # type: ignore[misc]

    async def is_waited_for(self, source: SourceUid, number: int) -> bool:
        """Whether a delivery of an event has not ended, to whichever endpoint."""
        async for halves in self.block(source, bucket_of(number)):
            for each in halves.values():
                with suppress(ValueError):
                    if state_of(each, number % keys.EVENTS_PER_BUCKET) is State.WAITING:
                        return True
        return False

    async def states(
        self, source: SourceUid, deliveries: Iterable[tuple[EndpointId, int]]
    ) -> dict[tuple[EndpointId, int], State]:
        """What became of some deliveries: endpoints, and numbers of events."""
        wanted = list(deliveries)
        blocks: dict[int, dict[EndpointId, None]] = {}
        for endpoint, number in wanted:
            blocks.setdefault(bucket_of(number), {})[endpoint] = None
        async with self._redis.pipeline(transaction=False) as pipe:
            for block, endpoints in blocks.items():
                pipe.hmget(book_keys.books(source, block), list(endpoints))
            found = await pipe.execute() if wanted else []
        halves = {
            (endpoint, block): value
            for (block, endpoints), values in zip(blocks.items(), found, strict=True)
            for endpoint, value in zip(endpoints, values, strict=True)
        }
        told = {}
        for endpoint, number in wanted:
            # What can't be read is damage, and tells nothing.
            with suppress(ValueError):
                of_block = halves[endpoint, bucket_of(number)] or b""
                told[endpoint, number] = state_of(of_block, number % keys.EVENTS_PER_BUCKET)
        return told

    async def settle(self, source: SourceUid, deliveries: Sequence[tuple[EndpointId, int]], state: State) -> None:
        """Write down what became of deliveries that are in no lane. `deliveries`: endpoints and numbers of events."""
        args = [keys.prefix(source), keys.EVENTS_PER_BUCKET, int(state), *chain.from_iterable(deliveries)]
        if deliveries:
            await script("settle_deliveries")(self._redis, [book_keys.book_blocks(source)], args)

    async def forget(self, source: SourceUid, endpoints: Collection[EndpointId]) -> None:
        """Forget everything about deleted endpoints."""
        if not endpoints:
            return
        blocks = [
            block async for block, _ in self._redis.zscan_iter(book_keys.book_blocks(source), count=BLOCKS_AT_ONCE)
        ]
        head = [keys.prefix(source), len(endpoints), *endpoints]
        at_once = max(1, PAIRS_AT_ONCE // len(endpoints))
        for first in range(0, len(blocks), at_once):
            args = [*head, *blocks[first : first + at_once]]
            await script("forget_books")(self._redis, [book_keys.book_sizes(source)], args)

    async def shed(self, source: SourceUid, *, before_ms: int, most_bytes: int) -> tuple[int, int]:
        """Drop blocks whose newest event is older, and the oldest beyond `most_bytes`; gives blocks and bytes."""
        dropped = size = 0
        for _ in range(STEPS):
            blocks = await self._old(source, before_ms, most_bytes)
            gone, freed, emptied = await self._drop(source, blocks)
            dropped, size = dropped + gone, size + freed
            if len(blocks) < BLOCKS_AT_ONCE and emptied < BLOCKS_AT_ONCE:
                break
        return dropped, size

    async def _old(self, source: SourceUid, before_ms: int, most_bytes: int) -> list[bytes]:
        """The next blocks to drop, the oldest first."""
        found = await self._redis.zrange(book_keys.book_blocks(source), 0, BLOCKS_AT_ONCE - 1, withscores=True)
        excess = await self.total_bytes(source) - most_bytes
        if not found or (found[0][1] >= before_ms and excess <= 0):
            return []
        sizes = await self._redis.hmget(book_keys.book_sizes(source), [block for block, _ in found])  # type: ignore[misc]
        old: list[bytes] = []
        for (block, newest_ms), size in zip(found, sizes, strict=True):
            if newest_ms >= before_ms and excess <= 0:
                break
            old.append(block)
            excess -= int(size) if size is not None and size.isdigit() else 0
        return old

    async def _drop(self, source: SourceUid, blocks: Collection[bytes]) -> tuple[int, int, int]:
        names = [
            book_keys.book_blocks(source), book_keys.book_sizes(source), book_keys.books_from(source),
            book_keys.book_shelves(source, "t"), book_keys.book_shelves(source, "i"),
        ]  # fmt: skip
        args = [keys.prefix(source), keys.EVENTS_PER_BUCKET, BLOCKS_AT_ONCE, *blocks]
        dropped, size, emptied = await script("shed_books")(self._redis, names, args)
        return int(dropped), int(size), int(emptied)
