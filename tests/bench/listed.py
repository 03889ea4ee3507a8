"""A million messages in a store, with a million attempts and undelivered deliveries: what lists are read from."""

from collections.abc import Iterator, Sequence
from itertools import islice

from relay.domain.event_types import POSTED
from relay.domain.model import Attempt, Endpoint, MessageId, Source, SourceUid, StoredEvent
from relay.domain.post import Post
from relay.domain.references import Reference, tag_of
from relay.domain.streams import posts_of
from relay.store import keys
from relay.store.attempts import pack_attempt
from relay.store.events import pack_event
from relay.store.identifiers import base62
from relay.store.pages import RowCommit, first_prefix
from tests.bench.ground import ROUTE, Ground

AT_ONCE = 5_000
RARE = 1_000
"""One message in so many has the rare type, or the rare channel."""
CALL, GOAL = b"\x04", b"\x02"
"""Types of events by their codes, see relay.domain.event_types."""
PAD = "x" * 400
MS_APART = 10
"""Between two messages."""
FIRST_MS = 1_700_000_000_000


def message_of(stream: str, number: int) -> MessageId:
    """The id of a message: as long as real ones, and as well spread."""
    return MessageId("msg_" + base62((number * 0x9E3779B97F4A7C15 << 64 | hash(stream)) % 2**158)[:24])


def at_ms(number: int) -> int:
    """When a message was stored."""
    return FIRST_MS + number * MS_APART


def rows_of(stream: SourceUid, count: int, lanes: Sequence[Endpoint], *, posts: bool) -> Iterator[RowCommit]:
    """Rows as they are committed, or posts in their form."""
    for number in range(1, count + 1):
        rare = number % RARE == 0
        body = f'"timestamp":"2026-01-02T03:04:05.000Z","data":{{"rowId":"{number}","c_pad":"{PAD}"}}'
        post = None
        if posts:
            body = f'{{"number":{number},"pad":"{PAD}"}}'
            post = Post("order.paid", channels=("rare" if rare else "all",))
        types = bytes((POSTED,)) if posts else GOAL + CALL if rare else CALL
        event = StoredEvent(
            message_of(stream, number), "" if posts else str(number), at_ms(number), 1, types, body.encode(), post=post
        )
        row_lanes = [(each.id, types[0]) for each in lanes]
        yield RowCommit(number, None, event.id, number, pack_event(event), row_lanes)


async def fill_messages(store: Ground, stream: SourceUid, count: int, lanes: Sequence[Endpoint] = ()) -> None:
    """Commit messages, as pollers do."""
    token = await store.stores.routes.take(stream)
    assert token is not None
    version, rows = await store.version(), rows_of(stream, count, lanes, posts=stream.startswith("posts@"))
    while page := list(islice(rows, AT_ONCE)):
        while page:
            prefix = first_prefix(page)
            await store.stores.pages.commit(
                stream, ROUTE, prefix, space="t", cursor=None, token=token, version=version, now_ms=at_ms(1)
            )
            page = page[len(prefix) :]
        await store.stores.routes.keep(stream, token)
    await store.stores.redis.set(keys.sequence(stream), count)


async def fill_attempts(store: Ground, source: Source, endpoint: Endpoint, count: int) -> None:
    """An attempt of each message to an endpoint. One in RARE failed."""
    redis, url = store.stores.redis, endpoint.url
    for first in range(1, count + 1, AT_ONCE):
        buckets: dict[int, dict[str, bytes]] = {}
        listed: dict[str, int] = {}
        for number in range(first, min(first + AT_ONCE, count + 1)):
            began_ms, failed = at_ms(number) + 5, number % RARE == 0
            tag = tag_of(message_of(source.uid, number))
            verdict, status = ("retry", 503) if failed else ("delivered", 204)
            attempt = Attempt(endpoint.id, number, 1, 4, began_ms, 9, status, verdict, url=url, tag=tag)
            field = f"{number}:{endpoint.id}:{began_ms}"
            buckets.setdefault(number // keys.ATTEMPTS_PER_BUCKET, {})[field] = pack_attempt(attempt)
            listed[f"{number}:{began_ms}"] = began_ms
        async with redis.pipeline(transaction=False) as pipe:
            for bucket, fields in buckets.items():
                pipe.hset(keys.attempts(source.uid, bucket), mapping=fields)  # type: ignore[arg-type]
            pipe.zadd(keys.endpoint_attempts(source.uid, endpoint.id), listed)
            await pipe.execute()


async def fill_dead(store: Ground, source: Source, endpoint: Endpoint, count: int) -> None:
    """A delivery of each message that was given up."""
    for first in range(1, count + 1, AT_ONCE):
        dead: dict[str, int] = {}
        for number in range(first, min(first + AT_ONCE, count + 1)):
            reference = Reference(number, 4, tag_of(message_of(source.uid, number)), attempt=10)
            dead[f"{endpoint.id} {reference.text()} schedule_used_up"] = at_ms(number)
        await store.stores.redis.zadd(keys.dead(source.uid), dead)


def posts_stream(store: Ground) -> SourceUid:
    """The posts of the application."""
    return posts_of(store.application.id)
