"""append_post.lua: a posted event with all of its deliveries, or nothing of it."""

import asyncio

import pytest
from redis.asyncio import Redis

from relay.domain.identity import posted_id
from relay.domain.model import ApplicationId, EndpointId, StoredEvent
from relay.domain.post import Post
from relay.domain.streams import posts_of
from relay.errors import StaleSubscriptions
from relay.store import book_keys, keys
from relay.store.events import Events
from relay.store.posts import Posts, Taken
from relay.store.retention import Retention
from relay.store.scripts import script

APP = ApplicationId("app_1")
STREAM = posts_of(APP)
ONE, TWO = EndpointId("ep_1"), EndpointId("ep_2")


def event(name: str, at_ms: int = 1) -> StoredEvent:
    return StoredEvent(posted_id(APP, name), "", at_ms, 1, b"\xff", b'{"a":1}', post=Post("a.b", name))


async def test_an_event_has_its_deliveries_its_books_and_its_id(redis: Redis) -> None:
    """References say whether the filter was asked, and what is owed is counted as for rows."""
    posts = Posts(redis)
    for number, name in enumerate(("x", "y", "z"), start=1):
        await posts.append(APP, event(name), [ONE, TWO], unchecked={TWO}, version=1, now_ms=number)
    tags = [event(name).id[4:9] for name in ("x", "y", "z")]
    for endpoint, form in ((ONE, "a"), (TWO, "u")):
        lane = await redis.lrange(keys.lane(STREAM, endpoint), 0, -1)  # type: ignore[misc]
        assert [bytes(each).decode() for each in lane] == [f"{form}{n}:255:{t}" for n, t in enumerate(tags, start=1)]
    assert await redis.hgetall(keys.references(STREAM)) == {b"0": b"6"}  # type: ignore[misc]
    assert await redis.lrange(keys.ready(STREAM), 0, -1) == [b"ep_2", b"ep_1"]  # type: ignore[misc]
    assert await redis.hget(book_keys.books(STREAM, 0), ONE) == b"\x01\x11"  # type: ignore[misc]
    assert await Events(redis).find(STREAM, event("y").id) == (2, event("y"))


async def test_an_id_has_one_event(redis: Redis) -> None:
    """Of fifty at once, one is kept, and the others learn which."""
    posts = Posts(redis)
    outcomes = await asyncio.gather(
        *(posts.append(APP, event("x", at), [ONE], version=1, now_ms=at) for at in range(50)), return_exceptions=True
    )
    taken = [outcome for outcome in outcomes if isinstance(outcome, Taken)]
    kept = await Events(redis).find(STREAM, event("x").id)
    assert kept is not None
    assert [each.event for each in taken] == [kept[1]] * 49
    assert await redis.llen(keys.lane(STREAM, ONE)) == 1  # type: ignore[misc]


async def test_it_is_refused_if_endpoints_changed_since(redis: Redis) -> None:
    """Nothing is changed, not even the count of events."""
    await script("raise_subscriptions")(redis, [keys.subscriptions(STREAM)], ["7"])
    with pytest.raises(StaleSubscriptions):
        await Posts(redis).append(APP, event("x"), [ONE], version=6, now_ms=1)
    assert [bytes(name) async for name in redis.scan_iter(match="relay:s:*")] == [keys.subscriptions(STREAM).encode()]


async def test_an_id_is_free_when_its_event_is_forgotten(redis: Redis) -> None:
    """Retention works on posts as on rows, and an eventId lasts as long as its event."""
    posts = Posts(redis)
    for number in range(300):
        await posts.append(APP, event(str(number)), [], version=1, now_ms=1)
    assert await Retention(redis).forget_events(STREAM, before_ms=2) == 255
    await posts.append(APP, event("0"), [], version=1, now_ms=3)
    with pytest.raises(Taken):
        await posts.append(APP, event("299"), [], version=1, now_ms=3)
