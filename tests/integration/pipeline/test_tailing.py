"""The tail of workers: what they publish of attempts, and that they publish nothing while nobody listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from relay.domain.principals import ADMIN
from relay.domain.tail import Batch, Entry, Interest
from relay.pipeline.dispatch.tailing import BATCH_MOST
from relay.pipeline.following import follow
from relay.pipeline.listening import HELD_MOST, Listener, open_listening
from relay.store.notices import Notices
from relay.store.tail import TAIL_CHANNEL, Tail
from tests.fakes.subscribers import OK, status
from tests.integration.pipeline.dispatching_rig import Dispatching, Worker
from tests.integration.pipeline.rig import UK, Rig, until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(60)
NUMBER = "+447946000958"


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


@asynccontextmanager
async def heard(rig: Rig, worker: Worker) -> AsyncIterator[None]:
    """The worker hears notices, and publishes."""

    async def nothing(*_: object) -> None:
        pass

    tasks = [
        asyncio.create_task(
            follow(
                Notices(rig.redis),
                changed=nothing,
                woken=lambda _: None,
                condition_changed=nothing,
                has_room=lambda _: None,
                tailed=worker.dispatcher.tailing.wanted,
            )
        ),
        asyncio.create_task(worker.dispatcher.tailing.run()),
    ]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def gathered(listener: Listener, count: int) -> list[Entry]:
    """So many entries."""
    found: list[Entry] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            await listener.wait(PATIENCE_S)
            found += listener.take()[0]
    return found


async def test_attempts_are_shown_while_somebody_listens(floor: Dispatching) -> None:
    """With all that names the delivery, and nothing that a row, a receiver or an expression says."""
    fine = await floor.rig.endpoint(url="https://fine.example.com/hook")
    fails = await floor.rig.endpoint(url="https://fails.example.com/hook")
    floor.subscribers.answers.update({"fine.example.com": OK, "fails.example.com": status(503)})
    async with floor.worker() as worker, heard(floor.rig, worker), open_listening(Tail(floor.rig.redis)) as listening:
        listener = await listening.listen(ADMIN, Interest())
        await until(lambda: worker.dispatcher.tailing.is_wanted)
        await floor.rows(1, srcPhoneNumber=NUMBER, act="call")
        entries = {entry.endpoint: entry for entry in await gathered(listener, 2)}
        await floor.settled()
    good, bad = entries[fine.id], entries[fails.id]
    assert (good.ending, good.status, good.error, good.number, good.next_at_ms) == ("delivered", 204, "", 1, 0)
    assert (bad.ending, bad.status, bad.next_at_ms > bad.at_ms) == ("retry", 503, True)
    assert (good.source, good.row_id, good.event_type, good.app) == (UK, "1", "call.created", fine.app_id)
    assert NUMBER not in msgspec.json.encode([good, bad]).decode()


async def test_nothing_is_published_while_nobody_listens(floor: Dispatching) -> None:
    """A worker that no listener has told of itself publishes no attempt."""
    await floor.rig.endpoint(url="https://fine.example.com/hook")
    async with floor.worker() as worker, heard(floor.rig, worker), floor.rig.redis.pubsub() as channel:
        await channel.subscribe(TAIL_CHANNEL)
        await floor.rows(3)
        await floor.settled()
        worker.dispatcher.tailing.wanted()
        await floor.rows(1)
        await floor.settled()
        async with asyncio.timeout(PATIENCE_S):
            while (message := await channel.get_message(timeout=1)) is None or message["type"] != "message":
                pass
        (entry,) = msgspec.msgpack.decode(message["data"][1:])[0]
        assert entry[6] == "4"


async def test_a_burst_is_bounded_and_counted(floor: Dispatching) -> None:
    """A worker gathers so many attempts at most, and says how many it left out."""
    await floor.rig.endpoint(url="https://fine.example.com/hook")
    async with floor.worker() as worker:
        tailing = worker.dispatcher.tailing
        tailing.wanted()
        await floor.rows(BATCH_MOST + 5)
        await floor.settled()
        async with aclosing(Tail(floor.rig.redis).listen()) as batches:
            assert await anext(batches) is None
            task = asyncio.create_task(tailing.run())
            batch = None
            async with asyncio.timeout(PATIENCE_S):
                while batch is None:
                    batch = await anext(batches)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert (len(batch.entries), batch.lost) == (BATCH_MOST, 5)


def test_a_slow_reader_loses_the_oldest() -> None:
    """Each listener has a bounded queue, keeps the newest entries, and is told how many it missed."""
    one = Entry(1, "s", "a", "e", "", "m", "1", "call.created", 4, "at", "delivered", 200, "", 1, 1, 0, 0)
    listener = Listener("key", Interest(endings=frozenset({"delivered"})))
    listener.put(Batch([msgspec.structs.replace(one, at_ms=n) for n in range(HELD_MOST + 7)], lost=2))
    listener.put(Batch([msgspec.structs.replace(one, ending="retry")]))
    entries, lost = listener.take()
    assert (len(entries), entries[-1].at_ms, lost) == (HELD_MOST, HELD_MOST + 6, 9)
    listener.interrupt()
    assert listener.take() == ([], None)
    assert listener.take() == ([], 0)
