"""A source where nothing happens is swept rarely, and all the same nothing waits in it for longer than it must."""

import asyncio
from collections.abc import Sequence

import pytest

from relay.domain.model import SourceUid
from relay.pipeline.dispatch import exchanging
from relay.store.lanes import Lanes, Sweep
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import Rig, until

SWEEP_S = 0.02
QUIET_S = 60.0
BUSY_S = 0.2


class Sweeps:
    """How often the source was swept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        sweep_all = Lanes.sweep_all

        async def counted(lanes: Lanes, sources: Sequence[SourceUid], *, now_ms: int) -> list[Sweep | Exception]:
            self.count += 1
            return await sweep_all(lanes, sources, now_ms=now_ms)

        monkeypatch.setattr(Lanes, "sweep_all", counted)

    async def have_ended(self) -> None:
        """Wait until there are none for three times their pace."""

        async def none() -> bool:
            before = self.count
            await asyncio.sleep(3 * SWEEP_S)
            return self.count == before

        await until(none)


@pytest.fixture
async def floor(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Dispatching:
    monkeypatch.setattr(exchanging, "SWEEP_S", SWEEP_S)
    monkeypatch.setattr(exchanging, "QUIET_SWEEP_S", QUIET_S)
    monkeypatch.setattr(exchanging, "BUSY_S", BUSY_S)
    await rig.source()
    await rig.endpoint(url="https://crm.example.com/hook")
    return Dispatching(rig)


async def test_a_quiet_source_is_left_alone_until_something_is_told(
    floor: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notices wake it at once; and when they were interrupted it looks again by itself."""
    async with floor.worker() as worker:
        sweeps = Sweeps(monkeypatch)
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await sweeps.have_ended()
        floor.workers.clear()  # Notices are lost from here on.
        await floor.rows(1)
        await asyncio.sleep(3 * SWEEP_S)
        assert len(floor.subscribers.got) == 1
        worker.dispatcher.follow_sources()  # The subscription is back.
        await until(lambda: len(floor.subscribers.got) == 2)
