"""Events that the relay dropped come back from the upstream, by real workers."""

from msgspec.structs import replace

from relay.domain.model import Source
from relay.domain.reading.backfill import Backfill
from relay.store.retention import Retention
from tests.fault.stage import ROUTE, SOURCE, Stage, now_ms, stage, until

ROWS = 600
QUICK = {"RELAY_READING_REQUESTS_PER_HOUR": "360000"}


async def test_dropped_events_come_back_under_their_ids() -> None:
    """Each row arrives again with the webhook-id that it had, although a worker is killed in between.

    How long the first deliveries took is counted, and nothing of the replay.
    """
    async with stage(17, settings=QUICK) as on:
        await on.stores.sources.put(SOURCE, in_small_pages)
        await on.endpoint("crm", everything=True)
        for number in range(ROWS):
            on.upstream.offer("crm", key=str(number))
        await on.worker()
        await on.drained()
        await on.stop_workers()
        first = {arrival.row: arrival.message for arrival in on.recorder.of("crm")}
        assert len(first) == ROWS
        assert await counted(on) == ROWS
        dropped = await Retention(on.stores.redis).forget_events(SOURCE, before_ms=now_ms() + 1_000)
        assert dropped > ROWS // 3
        on.recorder.arrivals.clear()
        backfill = await replay(on)
        victim = await on.worker()
        await until(lambda: len(on.recorder.arrivals) > ROWS // 4, within_s=60, what="the first of the replay")
        await on.kill(victim)
        await on.worker()
        await until(lambda: is_done(on, backfill), within_s=60, what="the backfill to end")
        await on.drained()
        again = on.recorder.of("crm")
        assert {arrival.row: arrival.message for arrival in again} == first
        assert {(arrival.row, arrival.message) for arrival in again} == set(first.items())
        await on.stop_workers()
        assert await counted(on) == ROWS


def in_small_pages(before: Source | None) -> Source:
    """The stage's source, so that its range takes many pages."""
    assert before is not None
    return replace(before, batch_size=20)


async def replay(on: Stage) -> Backfill:
    """Ask for all rows, for every endpoint, as the API does."""
    (state,) = await on.stores.routes.states(SOURCE, [ROUTE])
    assert state.cursor is not None
    until_row = state.cursor
    return await on.stores.backfills.create(
        SOURCE, lambda new_id: Backfill(id=new_id, route=ROUTE, until=until_row, created_ms=now_ms()), now_ms=now_ms()
    )


async def is_done(on: Stage, backfill: Backfill) -> bool:
    return (await on.stores.backfills.get(SOURCE, backfill.id)).state == "done"


async def counted(on: Stage) -> int:
    """How many deliveries the lag of the route covers."""
    return (await on.stores.lags.read(SOURCE, now_ms=now_ms()))[ROUTE].sight.total
