"""Redis is full while an endpoint is down: everybody is told, and it recovers by itself when the endpoint is back."""

import pytest

from tests.fault.recorder import always
from tests.fault.stage import ROUTE, SOURCE, Stage, stage, until

pytestmark = pytest.mark.timeout(600)

ROOM = 12 * 2**20
ROWS = 8_000
"""More than there is room for."""


async def limit(on: Stage, room: int) -> None:
    """Give the server so many bytes beside what it uses."""
    used = (await on.stores.redis.info("memory"))["used_memory"]
    await on.stores.redis.config_set("maxmemory", used + room)


async def told(on: Stage) -> list[str]:
    """The kinds of operational events about the store, oldest first. Routes are late as well while polling waits."""
    kinds = [event.kind for event in await on.stores.operations.page(limit=100)][::-1]
    return [kind for kind in kinds if kind.startswith("store.")]


async def error(on: Stage) -> str | None:
    """What the route says."""
    return (await on.stores.routes.states(SOURCE, [ROUTE]))[0].last_error


async def well(on: Stage) -> bool:
    """Whether everybody says that it is over."""
    return (await told(on))[-1] == "store.recovered" and await error(on) is None


@pytest.mark.parametrize("stop_share", ["0.85"])
async def test_a_full_store_recovers_by_itself(stop_share: str) -> None:
    """Polling stops and says so; once the endpoint is back, all rows are taken in and delivered, and nothing is lost.

    That the server really refuses writes is a case of the fault suite: redis-filled-by-others.
    """
    settings = {"RELAY_MEMORY_STOP_SHARE": stop_share, "RELAY_OVERLAP_SECONDS": "10"}
    async with stage(11, settings=settings, pad_bytes=1500) as on:
        await on.endpoint("down", always(500), everything=True, retry_schedule=(1.0,) * 300)
        await on.endpoint("well", always(), everything=True)
        await limit(on, ROOM)
        for number in range(ROWS):
            on.upstream.offer("*", key=str(number))
        for _ in range(2):
            await on.worker()
        await until(lambda: told(on), within_s=60, what="the operator to be told", every_s=0.2)
        assert await told(on) == ["store.full"]
        await until(lambda: error(on), within_s=60, what="the route to say why it waits")
        assert "nearly full" in (await error(on) or "")
        waiting = await on.outstanding()
        cursor = (await on.stores.routes.states(SOURCE, [ROUTE]))[0].cursor or 0
        assert 0 < cursor < on.upstream.offered[-1].row
        on.recorder.set("down", always())
        freed = await until(
            lambda: len([a for a in on.recorder.of("down") if a.accepted]) >= 1000, within_s=60, what="callbacks"
        )
        print(f"{waiting} waited; a thousand were sent {freed:.1f} s after the endpoint was back")
        await on.drained(within_s=150)
        verdict = on.verdict()
        assert (verdict.expected, verdict.lost, verdict.renamed) == (2 * ROWS, [], [])
        await until(lambda: well(on), within_s=30, what="the operator to be told that it is over")
