"""Replays of many events by real workers, one of which is killed, while new events arrive."""

from relay.domain.replaying import Replay, Wanted
from tests.fault.stage import SOURCE, Stage, now_ms, stage, until

OLD, NEW = 5_000, 200
IN_BETWEEN = 100
"""Replays that may arrive between a new event and the one before it: claimed, in flight, or while it is polled."""


async def test_a_replay_survives_a_killed_worker_and_lets_new_events_pass() -> None:
    """Each chosen event arrives again under its id, and none twice but for those that were in flight.

    New events arrive in the midst of the replay, and not behind it.
    """
    async with stage(23) as on:
        endpoint = await on.endpoint("crm", everything=True)
        old = [on.upstream.offer("crm", key=str(number)) for number in range(OLD)]
        await on.worker()
        await on.drained()
        first = {arrival.row: arrival.message for arrival in on.recorder.of("crm")}
        assert set(first) == set(old)
        on.recorder.arrivals.clear()
        replay = Replay(
            id="qtask_1", kind="endpoint.bulk-replay", application=endpoint.app_id, endpoint=endpoint.id,
            wanted=Wanted(states=("delivered",)), end=await on.stores.events.newest(SOURCE),
            created_ms=now_ms(), updated_ms=now_ms(), rate=300,
        )  # fmt: skip
        await on.stores.replays.create(SOURCE, replay)
        victim = on.workers[0]
        await until(lambda: len(on.recorder.arrivals) > OLD // 10, within_s=60, what="the first of the replay")
        await on.kill(victim)
        await on.worker()
        fresh = [on.upstream.offer("crm", key=f"new{number}") for number in range(NEW)]
        await until(lambda: is_finished(on), within_s=120, what="the replay to finish")
        await on.drained(within_s=120)
        arrived = [arrival for arrival in on.recorder.of("crm") if arrival.accepted]
        again = {arrival.row: arrival.message for arrival in arrived if arrival.row in first}
        assert again == first
        assert {arrival.row for arrival in arrived} == {*old, *fresh}
        twice = len(arrived) - OLD - NEW
        assert twice <= IN_BETWEEN
        rows = [arrival.row for arrival in arrived]
        last = max(rows.index(row) for row in fresh)
        assert len(rows) - last > OLD // 10, "new events came at the end of the replay"


async def is_finished(on: Stage) -> bool:
    (part,) = await on.stores.replays.parts([SOURCE])
    return part.replay.phase == "finished"
