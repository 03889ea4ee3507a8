"""Lines that cannot be read are an operational event: the first one, and each doubling of their number."""

from relay.domain.model import SourceUid
from relay.pipeline.freshness import FreshnessWatch
from relay.pipeline.quarantine import Quarantine
from relay.store import keys
from relay.store.chores import Chores
from relay.store.server import Server
from tests.integration.pipeline.rig import UK, Rig


async def reported(rig: Rig) -> list[tuple[int, int]]:
    """How many lines were kept, and set aside in all, in each event; oldest first."""
    noted = await rig.operations.page(limit=50, descending=False)
    assert {each.kind for each in noted} <= {"quarantine.growing"}
    return [(each.data["lines"], each.data["total"]) for each in noted]


async def test_growth_is_reported_at_each_doubling(rig: Rig) -> None:
    """A source whose rows are all broken must not fill the log. The same line again is no growth."""
    source = await rig.source()
    token = await rig.routes.take(UK)
    assert token is not None
    quarantine = Quarantine(routes=rig.routes, operations=rig.operations, clock=rig.clock)
    for number in (*range(9), 8):
        line = {"route": "all", "rowId": None, "reason": "r", "line": "{", "seenAtMs": number}
        await quarantine.set_aside(source, "all", {f"{number:x}": line}, token=token)
    assert await reported(rig) == [(1, 1), (2, 2), (4, 4), (8, 8)]


async def test_a_source_that_is_gone_leaves_no_condition(rig: Rig) -> None:
    """The next source of that name is reported from its first line on."""
    gone = SourceUid("gone")
    for source in (UK, gone):
        await rig.operations.note("quarantine.growing", {}, now_ms=1, condition=(f"quarantine:{source}", "1"))
    source = await rig.source()
    watch = FreshnessWatch(
        routes=rig.routes, operations=rig.operations, chores=Chores(rig.redis), server=Server(rig.redis)
    )
    await rig.eyes.delete(keys.upkeep("freshness"))
    await watch.look([source])
    assert await rig.operations.conditions("quarantine:") == {f"quarantine:{UK}": "1"}
