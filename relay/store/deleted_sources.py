"""What is left of a deleted source, or of the posts of a deleted application.

It is closed first, then removed, key by key, in steps that can end anywhere.
"""

import re
from collections.abc import AsyncIterator, Iterable

from redis.asyncio import Redis

from relay.domain.model import ROUTES, EndpointId, SourceUid
from relay.store import book_keys, keys, outbox_keys, reading_keys, replay_keys
from relay.store.deletions import Deletion, Deletions
from relay.store.scripts import script

AT_ONCE = 500
"""Keys that are removed, or looked at, in one command."""
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
SPACES = ("t", "i")
_SPECIAL = re.compile(r"([*?\[\]\\^])")


class DeletedSources:
    """Empties sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._deletions = Deletions(redis)

    async def empty(self, source: SourceUid, deletion: Deletion) -> bool:
        """Remove all that is kept of a source but its fence; False: a worker still has lanes of it.

        Every command is bounded, and it can be cut short anywhere, and done by many workers at once. A worker that
        was asleep changes nothing when it wakes, also when there is another source of that name by then.
        """
        mark = f"-{deletion.version}"
        if not await self._closed(source, deletion, mark):
            return True  # Another worker has ended it.
        if await self._is_held(source):
            return False
        async for names in self._names(source):
            if not await self._remove(source, mark, names):
                return True
        return await self._look_for_more(source, mark)

    async def _closed(self, source: SourceUid, deletion: Deletion, mark: str) -> bool:
        while True:
            seen = await self._redis.get(keys.fence(source))
            if not await self._deletions.is_pending(deletion):
                return False
            names = [keys.fence(source), keys.lease(source)]
            if await script("close_source")(self._redis, names, [mark, seen or b""]):
                return True

    async def _is_held(self, source: SourceUid) -> bool:
        """Whether a worker lives that has not let the source go: what it hands in would stay behind."""
        seconds, micros = await self._redis.time()
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        return bool(await self._redis.zcount(keys.sessions(source), f"({now_ms}", "+inf"))

    async def _remove(self, source: SourceUid, mark: str, names: Iterable[str], *, at: str = "") -> bool:
        """False: the source is not closed any more, so another worker has removed everything."""
        answer = await script("remove_keys")(
            self._redis, [keys.fence(source), keys.emptying(source)], [mark, at, *names]
        )
        return int(answer) >= 0

    async def _look_for_more(self, source: SourceUid, mark: str) -> bool:
        """Look through the server for keys that nothing led to. Where that stands is kept in the source."""
        prefix, spared = keys.prefix(source), {keys.fence(source), keys.emptying(source)}
        cursor = int(await self._redis.get(keys.emptying(source)) or 0)
        while True:
            cursor, found = await self._redis.scan(cursor, match=_SPECIAL.sub(r"\\\1", prefix) + "*", count=AT_ONCE)
            names = {bytes(name).decode() for name in found} - spared
            if not await self._remove(source, mark, sorted(names), at=str(cursor)) or int(cursor) == 0:
                return True

    async def _names(self, source: SourceUid) -> AsyncIterator[list[str]]:
        """The names of its keys, as far as something leads to them; what leads to others comes after those."""
        prefix = keys.prefix(source)
        async for buckets in self._fields(keys.references(source)):
            yield [f"{prefix}events:{bucket}" for bucket in buckets]
        for part in (self._histories, self._books, self._reconciliations):
            async for names in part(source):
                yield names
        for first in BASE32:
            yield [keys.message_ids(source, first + second) for second in BASE32]
        for space in SPACES:
            async for names in self._rows(source, space):
                yield names
        async for endpoints in self._endpoints(source):
            async for names in self._lanes(source, endpoints):
                yield names
        yield [
            *_single(source),
            *(key(source, route) for route in ROUTES for key in (keys.route, keys.trail, keys.lowest)),
        ]

    async def _histories(self, source: SourceUid) -> AsyncIterator[list[str]]:
        """Attempts, and what rows were before."""
        for index, kind in ((keys.attempt_sizes, "attempts"), (reading_keys.past_buckets, "past")):
            async for buckets in self._fields(index(source)):
                yield [f"{keys.prefix(source)}{kind}:{bucket}" for bucket in buckets]

    async def _rows(self, source: SourceUid, space: str) -> AsyncIterator[list[str]]:
        """Buckets of rows that are known."""
        first, index = 0, keys.seen_buckets(source, space)
        while found := await self._redis.zrange(index, first, first + AT_ONCE - 1):
            yield [keys.seen(source, space, int(bucket)) for bucket in found]
            first += AT_ONCE

    async def _reconciliations(self, source: SourceUid) -> AsyncIterator[list[str]]:
        runs = [bytes(run).decode() for run in await self._redis.zrange(book_keys.reconciliations(source), 0, -1)]
        for key in (book_keys.reconciliation, book_keys.differences):
            yield [key(source, run) for run in runs]

    async def _books(self, source: SourceUid) -> AsyncIterator[list[str]]:
        """Blocks of the books, and shelves of rows."""
        async for blocks in self._fields(book_keys.book_sizes(source)):
            yield [f"{keys.prefix(source)}books:{block}" for block in blocks]
        for space in SPACES:
            first, index = 0, book_keys.book_shelves(source, space)
            while found := await self._redis.zrange(index, first, first + AT_ONCE - 1):
                yield [book_keys.book_rows(source, space, int(shelf)) for shelf in found]
                first += AT_ONCE

    async def _endpoints(self, source: SourceUid) -> AsyncIterator[list[EndpointId]]:
        """Endpoints that may have lanes: those that are there, and those of which something is kept."""
        index, last = keys.config("index"), "[endpoint/"
        while found := await self._redis.zrangebylex(index, last, "(endpoint0", start=0, num=AT_ONCE):
            members = [bytes(member).decode() for member in found]
            yield [EndpointId(member.rpartition("/")[2]) for member in members]
            last = f"({members[-1]}"
        for key in (keys.lanes(source), keys.owed(source)):
            async for fields in self._fields(key):
                yield [EndpointId(field) for field in fields]

    async def _lanes(self, source: SourceUid, endpoints: list[EndpointId]) -> AsyncIterator[list[str]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for endpoint in endpoints:
                pipe.exists(keys.blocked(source, endpoint))
            blocked = await pipe.execute()
        for endpoint, is_blocked in zip(endpoints, blocked, strict=True):
            names = [
                key(source, endpoint)
                for key in (
                    keys.lane,
                    replay_keys.replay_list,
                    keys.flight,
                    keys.endpoint_attempts,
                    keys.blocked,
                    keys.dropped,
                )
            ]
            if is_blocked:
                async for waited in self._fields(keys.blocked(source, endpoint)):
                    yield [keys.waiting(source, endpoint, key) for key in waited]
            yield names

    async def _fields(self, key: str) -> AsyncIterator[list[str]]:
        batch: list[str] = []
        async for name, _ in self._redis.hscan_iter(key, count=AT_ONCE):
            batch.append(bytes(name).decode())
            if len(batch) == AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch


def _single(source: SourceUid) -> list[str]:
    """Keys that there is one of."""
    single = (
        keys.subscriptions, keys.lease, keys.handover, keys.sequence, keys.life, keys.quarantine, keys.references,
        keys.owed, keys.lanes, keys.ready, keys.parked, keys.due, keys.dead, keys.sessions, keys.attempt_buckets,
        keys.attempt_sizes, keys.turns, keys.swept, keys.blockers, keys.dropped_counts, keys.revived,
        outbox_keys.outbox,
        reading_keys.readings, reading_keys.past_buckets, reading_keys.backfills,
        book_keys.book_blocks, book_keys.book_sizes, book_keys.books_from,
        book_keys.reconciliations, book_keys.reconciling,
        replay_keys.replaying, replay_keys.replays, replay_keys.replay_counts,
    )  # fmt: skip
    rows = (keys.seen_buckets, keys.marks, reading_keys.known_from, book_keys.book_shelves)
    return [*(key(source) for key in single), *(key(source, space) for space in SPACES for key in rows)]
