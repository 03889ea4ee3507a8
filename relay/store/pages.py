"""Pages: what is known of their rows before, and the one step that commits them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

import msgspec
from redis.asyncio import Redis

from relay.domain.model import EndpointId, MessageId, SourceUid
from relay.domain.references import CHECKED, UNCHECKED, tag_of
from relay.errors import Astray
from relay.store import book_keys, keys
from relay.store.book_entries import entries_of
from relay.store.events import bucket_of, shard_of
from relay.store.routes import Token, refused
from relay.store.scripts import script

LANE_ENTRIES_AT_ONCE = 10_000
"""28 ms of the server's time when each is for another lane (design.md 5)."""
EVENTS_AT_ONCE = 1_000
"""2 MB of events in one script call."""


class RowCommit(msgspec.Struct, frozen=True):
    """What one row of a page leaves behind."""

    row_id: int
    seen: bytes | None
    """What is known of the row from now on; None: nothing new is."""
    message: MessageId | None = None
    number: int = 0
    event: bytes = b""
    """The packed StoredEvent; empty: the row makes no event."""
    lanes: Sequence[tuple[EndpointId, int]] = ()
    """The endpoints that want the event, with the code of its type for each."""
    unchecked: Collection[EndpointId] = frozenset()
    """Those of them (and others) whose filters were not asked."""
    before: int = 0
    """The number of an event that may be kept, and is the same; 0: there is none."""


class Pages:
    """Reads what a page must be compared with, and commits it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.committed = 0
        """How many rows this process has committed."""

    async def known(
        self, source: SourceUid, space: str, row_ids: Sequence[int], *, token: Token | None = None
    ) -> tuple[dict[int, bytes], int]:
        """What is known of rows, and the number of the first of as many events as there are rows.

        The numbers are taken whether they are used or not: gaps in them mean nothing. Without a token none is taken.
        One round trip. Raises Astray when the store is not where the token's holder left it.
        """
        taken = 0 if token is None else len(row_ids)
        buckets: dict[int, list[int]] = {}
        for row_id in row_ids:
            buckets.setdefault(row_id // keys.ROWS_PER_BUCKET, []).append(row_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.incrby(keys.sequence(source), taken)
            for bucket, members in buckets.items():
                pipe.hmget(keys.seen(source, space, bucket), [str(r % keys.ROWS_PER_BUCKET) for r in members])
            newest, *found = await pipe.execute()
        if token is not None:
            if int(newest) - taken != token.sequence:
                raise Astray(f"the store lost events of source {source}")
            token.sequence = int(newest)
        known = {
            row_id: value
            for members, values in zip(buckets.values(), found, strict=True)
            for row_id, value in zip(members, values, strict=True)
            if value is not None
        }
        return known, int(newest) - taken + 1

    async def unlearn(self, source: SourceUid, space: str, row_ids: Sequence[int]) -> None:
        """Forget that rows were seen, so that they become events again."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for row_id in row_ids:
                bucket, field = divmod(row_id, keys.ROWS_PER_BUCKET)
                pipe.hdel(keys.seen(source, space, bucket), str(field))
            if row_ids:
                await pipe.execute()

    async def commit(
        self,
        source: SourceUid,
        route: str,
        rows: Sequence[RowCommit],
        *,
        space: str,
        cursor: int | None,
        token: Token,
        version: int,
        now_ms: int,
        after: int | None = None,
    ) -> None:
        """Commit one prefix of a page (see `first_prefix`), all of it or nothing; cursor None leaves the cursor.

        `after` is the cursor that the route must have (None: any). Raises Fenced, Astray when the store is not where
        the token's holder left it, or StaleSubscriptions when the rows must be matched again.
        """
        names = (keys.fence(source), keys.subscriptions(source), keys.route(source, route), keys.trail(source, route))
        lanes = (keys.lanes(source), keys.ready(source), keys.references(source), keys.owed(source))
        moved, before = ("" if each is None else each for each in (cursor, after))
        head = [keys.prefix(source), token.number, version, moved, now_ms, keys.WAKE_CHANNEL, source]
        args = [*head, token.sequence, before, space, *_rows(rows), *_lanes(rows), *entries_of(rows)]
        rest = (keys.sequence(source), keys.lowest(source, route))
        books = (book_keys.book_blocks(source), book_keys.book_sizes(source), book_keys.book_shelves(source, space))
        answer = await script("commit_page")(self._redis, [*names, *lanes, *rest, *books], args)
        if answer != b"ok":
            raise refused(answer, source)
        token.sequence += 1
        self.committed += len(rows)


def first_prefix(rows: Iterable[RowCommit]) -> list[RowCommit]:
    """As many rows as one step may commit: its work is bounded, by a row at the least."""
    prefix: list[RowCommit] = []
    entries = 0
    for row in rows:
        entries += len(row.lanes)
        if prefix and (entries > LANE_ENTRIES_AT_ONCE or len(prefix) >= EVENTS_AT_ONCE):
            break
        prefix.append(row)
    return prefix


def _rows(rows: Iterable[RowCommit]) -> Iterator[str | bytes | int]:
    """What is known of the rows, their events, and the index of the events' ids, as the script takes them."""
    seen: dict[int, list[bytes | int]] = {}
    events: dict[int, list[bytes | int]] = {}
    ids: list[str | int] = []
    for row in rows:
        if row.seen is not None:
            bucket, field = divmod(row.row_id, keys.ROWS_PER_BUCKET)
            seen.setdefault(bucket, []).extend((field, row.seen))
        if row.message is not None:
            events.setdefault(bucket_of(row.number), []).extend((row.number, row.event))
            ids += (*shard_of(row.message), row.number)
    return chain(_counted(seen), _counted(events), (len(ids) // 3,), ids)


def _counted(hashes: dict[int, list[bytes | int]]) -> Iterator[str | bytes | int]:
    yield len(hashes)
    for bucket, fields in hashes.items():
        yield bucket
        yield len(fields)
        yield from fields


def _lanes(rows: Iterable[RowCommit]) -> list[str | bytes | int]:
    """How many deliveries each bucket of events gets and its smallest rowId, and what each lane gets."""
    references: dict[int, int] = {}
    lowest: dict[int, int] = {}
    lanes: dict[EndpointId, list[str]] = {}
    owed: dict[EndpointId, int] = {}
    for row in rows:
        if row.message is None:
            continue
        bucket, size = bucket_of(row.number), len(row.event)
        references[bucket] = references.get(bucket, 0) + len(row.lanes)
        lowest[bucket] = min(lowest.get(bucket, row.row_id), row.row_id)
        # As Reference.text() writes a first attempt.
        number, tag = f"{row.number}:", f":{tag_of(row.message)}"
        for endpoint, type_code in row.lanes:
            form = UNCHECKED if endpoint in row.unchecked else CHECKED
            reference = f"{form}{number}{type_code}{tag}"
            if endpoint in lanes:
                lanes[endpoint].append(reference)
                owed[endpoint] += size
            else:
                lanes[endpoint], owed[endpoint] = [reference], size
    buckets = ((bucket, deliveries, lowest[bucket]) for bucket, deliveries in references.items())
    args: list[str | bytes | int] = [len(references), *chain.from_iterable(buckets), len(lanes)]
    for endpoint, waiting in lanes.items():
        args += (endpoint, owed[endpoint], len(waiting))
        args += waiting
    return args
