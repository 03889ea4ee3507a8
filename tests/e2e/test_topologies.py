"""A master that Sentinels watch over, and a primary of a cluster, die under a working relay: nothing is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.store import keys
from tests.fault.ending import quiet_s
from tests.fault.recorder import always
from tests.fault.stage import SOURCE, Stage, stage, until
from tests.fault.topologies import cluster, watched

pytestmark = pytest.mark.timeout(120)

RATE = 100
WORKS_AGAIN_WITHIN_S = 15.0


@asynccontextmanager
async def at_work(url: str) -> AsyncIterator[Stage]:
    """A worker that sends what it polls; whatever is done to its store, everything arrives, from the same process."""
    async with stage(7, settings={"RELAY_REDIS_URL": url, "RELAY_OVERLAP_SECONDS": "2"}) as on:
        await on.endpoint("crm", always(after_s=0.005))
        worker = await on.worker()
        await on.offer_at(RATE, 1, lambda _: "crm")
        await until(lambda: on.recorder.arrivals, within_s=WORKS_AGAIN_WITHIN_S, what="callbacks")
        yield on
        before = len(on.recorder.arrivals)
        await on.offer_at(RATE, 1, lambda _: "crm")
        what = "callbacks after the failover"
        await until(lambda: len(on.recorder.arrivals) > before, within_s=WORKS_AGAIN_WITHIN_S, what=what)
        assert await quiet_s(on, within_s=WORKS_AGAIN_WITHIN_S) < WORKS_AGAIN_WITHIN_S
        verdict = on.verdict()
        assert (verdict.lost, verdict.renamed, worker.process.returncode) == ([], [], None)
        assert verdict.expected > RATE


async def test_a_failover_by_sentinels_loses_nothing() -> None:
    """The relay follows the master that they promote."""
    async with watched() as on, at_work(on.url):
        master = await on.master()
        await master.kill()
        await on.failed_over(master)


async def test_a_failover_in_a_cluster_loses_nothing() -> None:
    """The primary that has the source dies, and its replica takes over."""
    async with cluster(replicas_for=[keys.prefix(SOURCE)]) as on, at_work(on.url):
        primary = on.owner(keys.prefix(SOURCE))
        await primary.kill()
        await on.taken_over(primary)
