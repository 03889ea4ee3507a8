"""Routes that do not keep up are reported, once each."""

from math import exp
from typing import Any

import pytest

from relay.domain.freshness import rows_per_minute
from relay.domain.model import Source
from relay.pipeline.freshness import FreshnessWatch
from relay.store import keys
from relay.store.chores import Chores
from tests.fakes.upstream import make_row
from tests.integration.pipeline.rig import UK, Rig, catch_up


class StandingServer:
    """The server's clock, as the rig's stands."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def now_ms(self) -> int:
        """The time."""
        return self._rig.clock.at_ms


async def looked(rig: Rig, *sources: Source) -> list[tuple[str, dict[str, Any]]]:
    """What is noted after a look, oldest first."""
    await rig.eyes.delete(keys.upkeep("freshness"))
    server: Any = StandingServer(rig)
    watch = FreshnessWatch(routes=rig.routes, operations=rig.operations, chores=Chores(rig.redis), server=server)
    await watch.look(sources)
    noted = await rig.operations.page(limit=50, descending=False)
    return [(each.kind, each.data) for each in noted if each.kind.startswith("source.")]


async def polled(rig: Rig, *, rows: int = 0, caught_up: bool = True) -> None:
    """A poller was there, and brought so many rows."""
    token = await rig.routes.take(UK)
    assert token is not None
    now_ms = rig.clock.at_ms
    changes: dict[str, int] = {"last_poll_at_ms": now_ms}
    changes |= {"caught_up_at_ms": now_ms} if caught_up else {}
    changes |= {"moved_at_ms": now_ms} if rows else {}
    await rig.routes.start(UK, "all", 100, token=token, now_ms=now_ms)
    await rig.routes.save(UK, "all", changes, token=token)
    await rig.routes.give_back(UK, token)


async def test_a_route_that_does_not_keep_up_is_reported_once(rig: Rig) -> None:
    """First that it lags, then that it stands still, and at last that it keeps up again."""
    source = await rig.source(poll_interval_s=60.0)
    await polled(rig)
    assert await looked(rig, source) == []
    rig.clock.advance(80)
    await polled(rig, rows=5, caught_up=False)
    assert await looked(rig, source) == []
    rig.clock.advance(15)
    noted = await looked(rig, source)
    assert [kind for kind, _ in noted] == ["source.lagging"]
    assert noted[0][1] == {"source": "uk", "route": "all", "cursor": 100, "lastError": None}
    assert await looked(rig, source) == noted
    rig.clock.advance(80)
    assert [kind for kind, _ in await looked(rig, source)] == ["source.lagging", "source.stalled"]
    await polled(rig, rows=9)
    assert [kind for kind, _ in await looked(rig, source)] == ["source.lagging", "source.stalled", "source.recovered"]


async def test_a_poll_notes_how_the_route_does(rig: Rig) -> None:
    """When its cursor moved, that its last page was not full, and how many rows came."""
    await rig.source(batch_size=100)
    rig.upstream.show(*(make_row(number) for number in range(1, 251)))
    polling = rig.poller()
    await catch_up(rig, polling)
    first_ms = rig.clock.at_ms
    rig.clock.advance(12)
    await catch_up(rig, polling)
    (state,) = await rig.routes.states(UK, ["all"])
    assert (state.cursor, state.moved_at_ms, state.short_at_ms) == (250, first_ms, rig.clock.at_ms)
    assert rows_per_minute(state, now_ms=first_ms + 12_000) == pytest.approx(250 * exp(-12 / 60), abs=0.01)


async def test_what_is_not_polled_any_more_is_forgotten(rig: Rig) -> None:
    """A source that was deleted leaves no condition behind, and one that is paused is no alarm."""
    source = await rig.source(poll_interval_s=60.0)
    await polled(rig)
    rig.clock.advance(200)
    await looked(rig, source)
    assert await rig.operations.conditions("route:") == {"route:uk/all": "stalled"}
    await looked(rig)
    assert await rig.operations.conditions("route:") == {}
