"""A hundred thousand deliveries wait for their next try: those whose time has come go out in time."""

from collections.abc import AsyncIterator

from relay.domain.model import Endpoint, MessageId, StoredEvent
from relay.domain.references import Reference, tag_of
from relay.store import keys
from relay.store.configuration import newest_version
from relay.store.events import pack_event
from relay.store.pages import RowCommit, first_prefix
from tests.fault.case import Finding, case
from tests.fault.checker import p
from tests.fault.stage import ROUTE, SOURCE, Stage, now_ms, stage, until

SCHEDULED = 100_000
RATE = 500
"""Tries that come due each second, while it is looked at."""
SECONDS = 15
BEGINS_MS = 8_000
"""When the first comes due: the worker is up by then."""


@case("retries", goal="G24", seconds=45)
async def retries(seed: int) -> AsyncIterator[Finding]:
    """100,000 are scheduled, 500 of them come due each second: how late is each?"""
    async with stage(seed) as on:
        endpoint = await on.endpoint("e00", everything=True)
        await _commit(on, endpoint)
        first_due = now_ms() + BEGINS_MS
        due = {number: first_due + number * 1000 // RATE for number in range(1, SCHEDULED + 1)}
        await _schedule(on, endpoint, due)
        await on.worker()
        count = RATE * SECONDS
        await until(lambda: len(on.recorder.arrivals) >= count, within_s=60, what="the tries")
        late = [arrival.wall_ms - due[arrival.row] for arrival in on.recorder.arrivals]
        note = f"of {len(late)} tries, {SCHEDULED} scheduled; p50 {p(late, 0.5):.0f} ms"
        yield Finding("p99 of the lateness of a try", p(late, 0.99) / 1000, "<=", 1, "s", note)
        yield Finding("tries before their time", sum(1 for each in late if each < 0), "==", 0)


async def _commit(on: Stage, endpoint: Endpoint) -> None:
    token = await on.stores.routes.take(SOURCE)
    assert token is not None
    version = await newest_version(on.stores.redis)
    rows = [_row(number, endpoint) for number in range(1, SCHEDULED + 1)]
    while rows:
        prefix = first_prefix(rows[:1000])
        await on.stores.pages.commit(
            SOURCE, ROUTE, prefix, space="t", cursor=None, token=token, version=version, now_ms=now_ms()
        )
        rows = rows[len(prefix) :]
    await on.stores.redis.set(keys.sequence(SOURCE), SCHEDULED)


async def _schedule(on: Stage, endpoint: Endpoint, due: dict[int, int]) -> None:
    """Take them out of the lane and put them where failed ones wait."""
    redis = on.stores.redis
    await redis.delete(keys.lane(SOURCE, endpoint.id), keys.ready(SOURCE), keys.lanes(SOURCE))
    members = list(due.items())
    for start in range(0, len(members), 5000):
        some = {f"{endpoint.id} {_second_try(number)}": at_ms for number, at_ms in members[start : start + 5000]}
        await redis.zadd(keys.due(SOURCE), some)


def _row(number: int, endpoint: Endpoint) -> RowCommit:
    message = _message(number)
    body = b'"timestamp":"2026-01-02T03:04:05.000Z","data":{"rowId":"%d"}}' % number
    event = StoredEvent(message, str(number), now_ms(), 1, b"\x04", body)
    return RowCommit(number, b"s" * 27, message, number, pack_event(event), [(endpoint.id, 4)])


def _message(number: int) -> MessageId:
    return MessageId(f"msg_{number:052d}")


def _second_try(number: int) -> str:
    return Reference(number, 4, tag_of(_message(number)), attempt=2).text()
