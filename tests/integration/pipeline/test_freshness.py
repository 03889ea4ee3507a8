"""Routes that do not keep up are reported, once each."""

from typing import Any

from relay.domain.model import Source
from relay.pipeline.freshness import FreshnessWatch
from relay.store import keys
from relay.store.chores import Chores
from tests.integration.pipeline.rig import UK, Rig


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
    return [(each.kind, each.data) for each in noted if each.kind.startswith("route.")]


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
    assert [kind for kind, _ in noted] == ["route.lagging"]
    assert noted[0][1] == {"source": "uk", "route": "all", "cursor": 100, "lastError": None}
    assert await looked(rig, source) == noted
    rig.clock.advance(80)
    assert [kind for kind, _ in await looked(rig, source)] == ["route.lagging", "route.stalled"]
    await polled(rig, rows=9)
    assert [kind for kind, _ in await looked(rig, source)] == ["route.lagging", "route.stalled", "route.recovered"]


async def test_what_is_not_polled_any_more_is_forgotten(rig: Rig) -> None:
    """A source that was deleted leaves no condition behind, and one that is paused is no alarm."""
    source = await rig.source(poll_interval_s=60.0)
    await polled(rig)
    rig.clock.advance(200)
    await looked(rig, source)
    assert await rig.operations.conditions("route:") == {"route:uk/all": "stalled"}
    await looked(rig)
    assert await rig.operations.conditions("route:") == {}
