"""The cache of events: what it gives is what a reference means, and it is bounded."""

from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from relay.domain.model import MessageId, SourceUid, StoredEvent
from relay.domain.references import Reference
from relay.store import keys
from relay.store.bodies import OVERHEAD_BYTES, Bodies
from relay.store.events import Events, bucket_of, pack_event

UK, US = SourceUid("uk"), SourceUid("us")


class CountedEvents(Events):
    """Counts what is read."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.read_numbers: list[list[int]] = []

    async def read(self, source: SourceUid, numbers: Iterable[int]) -> dict[int, StoredEvent]:
        self.read_numbers.append(sorted(numbers))
        return await super().read(source, self.read_numbers[-1])


@pytest.fixture
def events(redis: Redis) -> CountedEvents:
    return CountedEvents(redis)


def event(tag: str, body: bytes = b"{}") -> StoredEvent:
    message = MessageId(f"msg_{tag}{'a' * 47}")
    return StoredEvent(id=message, row_id="1", stored_at_ms=1, revision=1, types=b"\0", body=body)


def reference(number: int, tag: str) -> Reference:
    return Reference(number, 0, tag)


async def store(redis: Redis, number: int, stored: StoredEvent, source: SourceUid = UK) -> None:
    await redis.hset(keys.events(source, bucket_of(number)), str(number), pack_event(stored))  # type: ignore[misc]


async def test_an_event_is_read_once(redis: Redis, events: CountedEvents) -> None:
    """What was read or stored a moment ago costs no read; a source's numbers are its own."""
    await store(redis, 1, event("aaaaa"))
    await store(redis, 1, event("bbbbb"), US)
    bodies = Bodies(events)
    bodies.keep(UK, 2, event("ccccc"))
    for _ in range(2):
        found = await bodies.read(UK, [reference(1, "aaaaa"), reference(2, "ccccc")])
        assert found == {1: event("aaaaa"), 2: event("ccccc")}
    assert await bodies.read(US, [reference(1, "bbbbb")]) == {1: event("bbbbb")}
    assert events.read_numbers == [[1], [1]]


async def test_a_number_that_is_given_again_has_another_event(redis: Redis, events: CountedEvents) -> None:
    """After a loss, or in a source made anew, the old event of a number is never given for the new one, nor back."""
    bodies = Bodies(events)
    bodies.keep(UK, 1, event("aaaaa", b"of before"))
    await store(redis, 1, event("bbbbb", b"of now"))
    assert await bodies.read(UK, [reference(1, "bbbbb")]) == {1: event("bbbbb", b"of now")}
    assert await bodies.read(UK, [reference(1, "ccccc")]) == {}
    both = await bodies.read(UK, [reference(1, "ddddd"), reference(1, "bbbbb")])
    assert both == {1: event("bbbbb", b"of now")}


async def test_an_event_that_is_gone_is_left_out(redis: Redis, events: CountedEvents) -> None:
    """One that is kept no more, or unreadable, is no event."""
    await redis.hset(keys.events(UK, 0), "1", b"\xffdamaged")  # type: ignore[misc]
    assert await Bodies(events).read(UK, [reference(1, "aaaaa"), reference(2, "aaaaa")]) == {}


async def test_what_was_used_longest_ago_goes_first(redis: Redis, events: CountedEvents) -> None:
    """Reading keeps an event near; storing it again counts its bytes once."""
    size = OVERHEAD_BYTES + len(b"{}")
    bodies = Bodies(events, most_bytes=3 * size)
    for number in (1, 2, 3, 3, 3):
        bodies.keep(UK, number, event("aaaaa"))
    await bodies.read(UK, [reference(1, "aaaaa")])
    bodies.keep(UK, 4, event("aaaaa"))
    found = await bodies.read(UK, [reference(number, "aaaaa") for number in (1, 2, 3, 4)])
    assert sorted(found) == [1, 3, 4]
    assert events.read_numbers == [[2]]


async def test_an_event_beyond_the_budget_is_given_and_not_kept(redis: Redis, events: CountedEvents) -> None:
    """Nothing else is lost to it for good: the budget holds, and the next events are kept."""
    await store(redis, 1, event("aaaaa", b"x" * 5000))
    bodies = Bodies(events, most_bytes=1000)
    assert sorted(await bodies.read(UK, [reference(1, "aaaaa")])) == [1]
    bodies.keep(UK, 2, event("bbbbb"))
    assert sorted(await bodies.read(UK, [reference(2, "bbbbb")])) == [2]
