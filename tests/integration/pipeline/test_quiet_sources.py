"""A source where nothing happens is swept rarely, and all the same nothing waits in it for longer than it must."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from relay.domain.model import SourceUid
from relay.errors import StoreRefused, StoreUnavailable
from relay.pipeline.dispatch import exchanging
from relay.pipeline.dispatch.sweeping import Sweeping
from relay.store import keys
from relay.store.lanes import Lanes, Sweep
from tests.fakes.upstream import make_row
from tests.integration.pipeline.dispatching_rig import Dispatching, Worker
from tests.integration.pipeline.rig import UK, Rig, catch_up, until
from tests.patience import PATIENCE_S

SWEEP_S = 0.02
QUIET_S = 60.0
BUSY_S = 0.2


async def sweeps_have_ended(worker: Worker) -> None:
    """Wait until the source is quiet for the worker: its next sweep is far away."""
    [(exchanging_, _)] = worker.dispatcher._exchanges.values()
    now = asyncio.get_running_loop().time
    await until(lambda: exchanging_._next_sweep > now() + QUIET_S / 4)


@pytest.fixture
async def floor(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Dispatching:
    monkeypatch.setattr(exchanging, "SWEEP_S", SWEEP_S)
    monkeypatch.setattr(exchanging, "QUIET_SWEEP_S", QUIET_S)
    monkeypatch.setattr(exchanging, "BUSY_S", BUSY_S)
    await rig.source()
    await rig.endpoint(url="https://crm.example.com/hook")
    return Dispatching(rig)


async def test_a_quiet_source_is_left_alone_until_something_is_told(floor: Dispatching) -> None:
    """Notices wake it at once; and when they were interrupted it looks again by itself."""
    async with floor.worker() as worker:
        await floor.rows(1)
        await floor.all_ended()
        await sweeps_have_ended(worker)
        floor.workers.clear()  # Notices are lost from here on.
        await floor.rows(1)
        await asyncio.sleep(3 * SWEEP_S)
        assert len(floor.subscribers.got) == 1
        worker.dispatcher.follow_sources()  # The subscription is back.
        await until(lambda: len(floor.subscribers.got) == 2)


async def test_what_is_damaged_in_one_source_is_no_fault_of_others(rig: Rig) -> None:
    """Sweeps that share a round trip have an answer each."""
    sweeping, damaged = Sweeping(rig.lanes, rig.clock), SourceUid("damaged")
    await rig.eyes.set(keys.due(damaged), "no sorted set")
    found = await asyncio.gather(sweeping.sweep(UK), sweeping.sweep(damaged), return_exceptions=True)
    assert isinstance(found[0], Sweep)
    assert isinstance(found[1], StoreRefused)


async def test_sweeps_of_other_nodes_do_not_wait_for_one_that_is_away(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a shared round trip fails, each source is swept alone."""
    sweeping, elsewhere = Sweeping(rig.lanes, rig.clock), SourceUid("elsewhere")
    sweep_all = Lanes.sweep_all

    async def sweep(lanes: Lanes, sources: Sequence[SourceUid], **args: Any) -> list[Sweep | Exception]:
        if elsewhere in sources:
            raise StoreUnavailable("its node is away")
        return await sweep_all(lanes, sources, **args)

    monkeypatch.setattr(Lanes, "sweep_all", sweep)
    found = await asyncio.gather(sweeping.sweep(UK), sweeping.sweep(elsewhere), return_exceptions=True)
    assert isinstance(found[0], Sweep)
    assert isinstance(found[1], StoreUnavailable)


async def test_a_source_with_nothing_new_is_asked_once_in_its_interval(rig: Rig) -> None:
    """Its readings ride with its polls: its slice ends by itself, and the next one is wanted for the next poll."""
    await rig.source(poll_interval_s=60.0)
    await rig.endpoint()
    rig.upstream.show(make_row(1))
    polling = rig.poller(changes_s=(300.0, 900.0))
    await catch_up(rig, polling)
    for _ in range(30):
        rig.clock.at_ms = (await rig.state()).next_poll_at_ms
        asked = len(rig.upstream.requests)
        await asyncio.wait_for(polling.slice(UK), PATIENCE_S)
        wanted_ms = await rig.eyes.zscore(keys.POLLS, UK)
        assert wanted_ms == (await rig.state()).next_poll_at_ms > rig.clock.at_ms
        assert len(rig.upstream.requests) - asked <= 3  # The row is new at first, and read again by the readings.
    asked = len(rig.upstream.requests)
    rig.clock.at_ms = (await rig.state()).next_poll_at_ms
    await asyncio.wait_for(polling.slice(UK), PATIENCE_S)
    assert len(rig.upstream.requests) - asked == 1
