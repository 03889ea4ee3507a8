"""Erasing: of a number nothing is left in any key of the server, whatever form it had and wherever it was."""

import re
from typing import Any

import pytest
from msgspec import structs
from redis.asyncio import Redis

from relay.domain import envelope, json_text
from relay.domain.condensing import expand
from relay.domain.erasing import Sought, phone
from relay.domain.event_types import POSTED
from relay.domain.model import Attempt, StoredEvent
from relay.domain.post import Post
from relay.domain.sending.effects import HandIn
from relay.store import keys
from relay.store.attempts import Attempts
from relay.store.erasing import Erasing
from relay.store.event_form import pack_event
from relay.store.events import Events
from relay.store.pages import Pages, RowCommit
from relay.store.past_events import PastEvents
from relay.store.retention import Retention
from relay.store.routes import Routes, Token
from tests.integration.books import dump
from tests.integration.store.floor import NOW, UK, A, Floor, attempt, message

NUMBER = Sought(phone("+442079460958"), NOW)
OTHER = "+442079460111"
FORMS = ["+442079460958", "00442079460958", "02079460958", "020 7946 0958", "+44 (0)20-7946-0958", "?n=%2B442079460958"]
BUCKET = keys.EVENTS_PER_BUCKET
DIGITS = b"2079460958"


def row(number: int, trigger: dict[str, Any], previous: dict[str, Any] | None = None) -> StoredEvent:
    data = envelope.data(source=UK, igrp=1, row_id=number, revision=1, classes=1, trigger=trigger, previous=previous)
    body = envelope.encode(data, timestamp="2026-09-21T00:00:00.000Z")
    return StoredEvent(
        id=message(number), row_id=str(number), stored_at_ms=NOW - 50, revision=1, types=b"\2", body=body
    )


def posted(number: int, payload: dict[str, Any], name: str) -> StoredEvent:
    post = Post("call.noted", event_id=name, tags=(name,))
    body = json_text.encode(payload)
    return structs.replace(row(number, {}), row_id="", types=bytes((POSTED,)), body=body, post=post)


class Kept:
    """A stream with events, and what else is kept of it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.floor = Floor(redis)
        self._token: Token | None = None

    async def events(self, *events: tuple[int, StoredEvent], to: bool = False) -> None:
        token = self._token = self._token or await Routes(self.redis).take(UK)
        assert token is not None
        lanes = [(A, 2)] if to else []
        rows = [RowCommit(n, b"seen", event.id, n, pack_event(event), lanes) for n, event in events]
        token.sequence = max(number for number, _ in events)
        await self.redis.set(keys.sequence(UK), token.sequence)
        await Pages(self.redis).commit(UK, "all", rows, space="t", cursor=None, token=token, version=0, now_ms=NOW)

    async def line(self, digest: str, text: str) -> None:
        token = self._token = self._token or await Routes(self.redis).take(UK)
        assert token is not None
        entry = {"route": "all", "rowId": None, "reason": "not JSON", "line": text, "seenAtMs": NOW}
        await Routes(self.redis).set_aside(UK, {digest: entry}, token=token)

    async def attempts(self, *records: Attempt) -> None:
        await self.floor.exchange("s", HandIn(A, attempts=list(records)))


@pytest.fixture
def kept(redis: Redis) -> Kept:
    return Kept(redis)


async def erase(redis: Redis) -> int:
    """All steps, in their order; gives how much was found."""
    erasing, found = Erasing(redis), 0
    for bucket in await erasing.buckets(UK):
        found += (await erasing.from_events(UK, bucket, NUMBER))[0]
    for bucket in await erasing.past_buckets(UK):
        found += await erasing.from_past(UK, bucket, NUMBER)
    for bucket in await erasing.attempt_buckets(UK):
        found += await erasing.from_attempts(UK, bucket, NUMBER)
    return found + await erasing.from_lines(UK, NUMBER)


async def places(redis: Redis) -> list[str]:
    """The keys that have the digits of the number, with or without something between them, also condensed."""
    found = []
    for name, value in (await dump(redis)).items():
        raw = name.encode() + b" " + b" ".join(parts_of(value))
        if DIGITS in re.sub(rb"[\s().\-/]", b"", raw):
            found.append(name)
    return found


def parts_of(value: Any) -> list[bytes]:
    if isinstance(value, dict):
        return [part for pair in value.items() for each in pair for part in parts_of(each)]
    if isinstance(value, (list, set, tuple)):
        return [part for each in value for part in parts_of(each)]
    raw = value if isinstance(value, bytes) else str(value).encode()
    return [raw, *expand(raw).values()]


async def test_nothing_is_left_of_a_number(kept: Kept) -> None:
    """Events and what they were before, posts and their names, past events, answers of receivers, and lines."""
    past = [(n, row(n, {"num": form})) for n, form in enumerate(FORMS, 1)] + [(9, row(9, {"num": OTHER}))]
    await kept.events(*past)
    assert await Retention(kept.redis).forget_events(UK, before_ms=NOW, past_from_ms=NOW - 100) == 0
    await kept.events((BUCKET, row(BUCKET, {"act": "call"})))
    assert await Retention(kept.redis).forget_events(UK, before_ms=NOW, past_from_ms=NOW - 100) == 7
    live = [
        (BUCKET + n, row(BUCKET + n, {"c_plan": form}, {"notes": [{"n": form}]})) for n, form in enumerate(FORMS, 1)
    ]
    live += [
        (BUCKET + 10, row(BUCKET + 10, {"num": OTHER})),
        (BUCKET + 11, posted(BUCKET + 11, {"from": 442079460958}, "call-02079460958")),
        (BUCKET + 12, posted(BUCKET + 12, {"from": OTHER}, "another")),
    ]
    await kept.events(*live)
    await kept.attempts(
        attempt(A, BUCKET + 1, NOW, body=b"an answer"),
        attempt(A, BUCKET + 10, NOW + 1, body=b"thanks for 020 7946 0958", headers=(("x-from", "+442079460958"),)),
        attempt(A, BUCKET + 12, NOW + 2, body=b"fine"),
    )
    await kept.line("aa", '{"num": "+44 20 7946 0958", ')
    await kept.line("bb", f'{{"num": "{OTHER}", ')
    assert len(await places(kept.redis)) >= 4

    # The answers go with the first event of their bucket, and are not counted here.
    assert await erase(kept.redis) == len(FORMS) + len(FORMS) + 1 + 1
    assert await places(kept.redis) == []
    assert await erase(kept.redis) == 0

    events = await Events(kept.redis).read(UK, range(BUCKET, BUCKET + 13))
    assert {n - BUCKET for n, event in events.items() if not envelope.is_expunged(event)} == {0, 10, 12}
    assert sorted(await PastEvents(kept.redis).read(UK, range(1, 10))) == [9]
    told = await Attempts(kept.redis).of_endpoint(UK, A, limit=9)
    assert [each and each.body.strip() for _, each in told] == [b"fine", b"", b""]
    assert [each["digest"] for each in await Routes(kept.redis).quarantined(UK, 9)] == ["bb"]


async def test_what_is_counted_stays_right(kept: Kept) -> None:
    """A delivery that waits for an erased event keeps its place, and the bytes that it is said to keep are there."""
    await kept.events((1, row(1, {"num": FORMS[0]})), (2, row(2, {"num": OTHER})), to=True)
    before = await kept.floor.owed()
    await kept.attempts(attempt(A, 1, NOW, body=b"an answer"))
    size = await Attempts(kept.redis).total_bytes(UK)
    assert await erase(kept.redis) == 1
    assert (await kept.floor.owed(), await Attempts(kept.redis).total_bytes(UK)) == (before, size)
    assert len(await kept.floor.waiting(A)) == 2


async def test_an_answer_goes_before_its_event(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies in between leaves the event, which leads the next one to the answer."""
    await kept.events((1, row(1, {"num": FORMS[0]})))
    await kept.attempts(attempt(A, 1, NOW, body=b"an answer"))

    async def dies(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(Erasing, "_clear", dies)
        with pytest.raises(ConnectionError):
            await erase(kept.redis)
    assert await places(kept.redis) != []
    assert await erase(kept.redis) == 1
    assert await places(kept.redis) == []
    (told,) = await Attempts(kept.redis).of_event(UK, 1, "00000")
    assert told.body.strip() == b""


async def test_an_event_that_came_in_between_is_left_alone(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number was given again after the step had read it."""
    await kept.events((1, row(1, {"num": FORMS[0]})))
    other = pack_event(row(1, {"num": OTHER}))

    async def replaced(*_: object) -> None:
        await kept.redis.hset(keys.events(UK, 0), mapping={"1": other})  # type: ignore[misc]

    monkeypatch.setattr(Erasing, "_answers_of", replaced)
    await erase(kept.redis)
    assert await kept.redis.hget(keys.events(UK, 0), "1") == other  # type: ignore[misc]
