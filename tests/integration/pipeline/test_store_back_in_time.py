"""A store that lost what was written last while a source is polled: rows may come twice, under one id; none is lost."""

import asyncio
from typing import Any

import pytest

from relay.domain.model import Endpoint
from relay.store import keys
from relay.store.events import Events
from tests.fakes.upstream import make_row
from tests.integration.books import read_books, restore, snapshot
from tests.integration.pipeline.rig import UK, Rig, has_nothing_to_do
from tests.patience import PATIENCE_S


def rows(first: int, last: int, **columns: Any) -> list[dict[str, Any]]:
    return [make_row(row_id, **columns) for row_id in range(first, last + 1)]


async def once_each(rig: Rig, endpoint: Endpoint) -> list[int]:
    """The rows that wait, after checking that each is what its reference means, and none twice."""
    references = (await read_books(rig.eyes, UK)).waiting.get(endpoint.id, [])
    events = await Events(rig.eyes).read(UK, [reference.number for reference in references])
    assert all(events[reference.number].id[4:9] == reference.tag for reference in references)
    assert len({reference.tag for reference in references}) == len(references)
    return sorted(int(events[reference.number].row_id) for reference in references)


async def polled(rig: Rig) -> None:
    """Slices, one after the other, until there is nothing to do."""
    polling = rig.poller(changes_s=(40.0,), gaps_s=5000.0)
    task = asyncio.create_task(polling.slice(UK))
    try:
        async with asyncio.timeout(PATIENCE_S):
            waits, passed = 0, 0
            while not await has_nothing_to_do(rig):
                waits = waits + 1 if rig.redis.faults.passed == passed else 0
                passed = rig.redis.faults.passed
                if waits == 100:
                    waits = 0
                    # The note of when the next poll is due may be lost: the poller remembers it.
                    rig.clock.advance(11)
                if task.done():
                    await task
                    await rig.eyes.delete(keys.lease(UK))
                    task = asyncio.create_task(polling.slice(UK))
                await asyncio.sleep(0.002)
    finally:
        polling.stopping.set()
        await asyncio.wait_for(task, PATIENCE_S)


class TimeMachine:
    """Copies the store before a command of the pollers, and puts it back before a later one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.kept: dict[bytes, bytes] = {}
        self.went_back = 0

    def begin(self, commands: int, *, lost: int, only: str | None = None) -> None:
        """Let so many commands pass, and lose the `lost` that follow."""

        async def copy() -> None:
            self.kept = await snapshot(self.rig.eyes)
            self.rig.redis.faults.interrupt(lost - 1, back, only=only)

        async def back() -> None:
            await restore(self.rig.eyes, self.kept)
            self.went_back += 1

        self.rig.redis.faults.interrupt(commands, copy, only=only)


@pytest.mark.parametrize("lost", [1, 2, 5])
async def test_whenever_the_store_goes_back_no_row_is_lost(rig: Rig, lost: int) -> None:
    """Before any command of a slice, to any moment before: the poller goes on from what the store says."""
    await rig.source("all", "goals", batch_size=4)
    endpoint, machine = await rig.endpoint(), TimeMachine(rig)
    await polled(rig)
    shown = 0
    for commands in range(30):
        # The fifth comes late.
        rig.upstream.show(*(row for row in rows(shown + 1, shown + 9) if int(row["rowId"]) != shown + 5), route="all")
        rig.upstream.show(*rows(shown + 6, shown + 11), route="goals")
        rig.clock.advance(11)
        machine.begin(commands, lost=lost)
        await polled(rig)
        rig.upstream.show(make_row(shown + 5), route="all")
        rig.clock.advance(61)
        machine.begin(commands, lost=lost)
        await polled(rig)
        rig.redis.faults.stop()
        shown += 11
    assert machine.went_back > 30
    assert await once_each(rig, endpoint) == list(range(1, shown + 1))


@pytest.mark.parametrize("commits", range(3))
@pytest.mark.parametrize("lost", [1, 2])
async def test_between_the_look_at_a_page_and_its_commit(rig: Rig, commits: int, lost: int) -> None:
    """What a page was compared with is gone when it is committed: it is refused, and taken in again."""
    await rig.source(batch_size=4)
    endpoint, machine = await rig.endpoint(), TimeMachine(rig)
    rig.upstream.show(*rows(1, 30))
    machine.begin(commits, lost=lost, only="commit_page")
    await polled(rig)
    assert machine.went_back == 1
    assert await once_each(rig, endpoint) == list(range(1, 31))


@pytest.mark.parametrize("commits", [0, 1])
async def test_late_rows_that_were_found_and_lost_are_found_again(rig: Rig, commits: int) -> None:
    """Pages before the cursor move no cursor: that one was lost shows all the same, and the reading begins anew."""
    await rig.source(batch_size=4)
    endpoint, machine = await rig.endpoint(), TimeMachine(rig)
    late = (3, 9, 13)
    rig.upstream.show(*(row for row in rows(1, 16) if int(row["rowId"]) not in late))
    await polled(rig)
    rig.upstream.show(*(make_row(row_id) for row_id in late))
    rig.clock.advance(61)
    machine.begin(commits, lost=1, only="commit_page")
    await polled(rig)
    assert machine.went_back == 1
    assert await once_each(rig, endpoint) == list(range(1, 17))


async def test_late_rows_are_found_again_when_nothing_is_left_to_commit(rig: Rig) -> None:
    """The last page of late rows is lost just before the reading ends: the note of its end is refused."""
    await rig.source(batch_size=4)
    endpoint, machine = await rig.endpoint(), TimeMachine(rig)
    rig.upstream.show(*rows(1, 2), *rows(4, 6))
    await polled(rig)
    rig.upstream.show(make_row(3))
    rig.clock.advance(61)

    async def lost_after_the_commit() -> None:
        kept = await snapshot(rig.eyes)

        async def back() -> None:
            await restore(rig.eyes, kept)
            machine.went_back += 1

        # The commit, and then whatever comes next.
        rig.redis.faults.interrupt(1, back)

    rig.redis.faults.interrupt(0, lost_after_the_commit, only="commit_page")
    await polled(rig)
    assert machine.went_back == 1
    assert await once_each(rig, endpoint) == list(range(1, 7))


async def test_a_poller_of_before_writes_nothing(rig: Rig) -> None:
    """The loss took the token of the newer poller with it: whoever takes over then gets another one."""
    await rig.source()
    first = await rig.routes.take(UK)
    before = await snapshot(rig.eyes)
    await rig.eyes.delete(keys.lease(UK))
    second = await rig.routes.take(UK)
    await restore(rig.eyes, before)
    await rig.eyes.delete(keys.lease(UK))
    third = await rig.routes.take(UK)
    assert first is not None
    assert second is not None
    assert third is not None
    assert len({first.number, second.number, third.number}) == 3
