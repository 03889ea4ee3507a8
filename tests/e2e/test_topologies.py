"""Sentinels, a cluster, and a queue on a server of its own, under a working relay: whichever server dies, nothing is
lost."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from relay.store import keys
from tests.fault.cases.emptied import checkpoint_of, now_ms
from tests.fault.ending import quiet_s
from tests.fault.recorder import always
from tests.fault.server import Server, own_server
from tests.fault.stage import SOURCE, Stage, stage, until
from tests.fault.topologies import cluster, watched

RATE = 100
MISSING_WITHIN_S = 120.0
WORKS_AGAIN_WITHIN_S = 60.0


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


async def test_a_node_of_a_cluster_that_is_emptied_alone_loses_nothing() -> None:
    """The configuration is on another node, so only the source is restored; deliveries that waited are made again."""
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(cluster())
        emptied = on.owner(keys.prefix(SOURCE))
        assert emptied is not on.owner(keys.EPOCH)
        place = {"RELAY_CHECKPOINT_URL": f"file://{emptied.folder}/checkpoint", "RELAY_OVERLAP_ROWS": "1"}
        settings = {"RELAY_REDIS_URL": on.url, **place}
        work = await stack.enter_async_context(stage(9, settings=settings))
        await work.endpoint("crm", always(500), retry_schedule=(2.0,) * 50)
        worker = await work.worker()
        await work.offer_at(RATE, 1, lambda _: "crm")
        await work.taken_in()
        # A route without a cursor would begin behind the newest row from now on.
        await work.stores.sources.change(SOURCE, lambda source: replace(source, start_row_id=None))
        await until(lambda: _is_protected(work), within_s=MISSING_WITHIN_S, what="a checkpoint with the source")
        work.recorder.set("crm", always())
        await emptied.ask("FLUSHALL")
        await work.offer_at(RATE, 1, lambda _: "crm")
        await until(lambda: not work.verdict().lost, within_s=MISSING_WITHIN_S, what="all events", every_s=0.5)
        await work.drained()
        verdict = work.verdict()
        assert (verdict.lost, verdict.renamed, worker.process.returncode) == ([], [], None)
        assert verdict.expected > RATE
        told = await work.stores.operations.page(limit=9, descending=False)
        assert "store.restored" in [event.kind for event in told]


async def _is_protected(on: Stage) -> bool:
    head = await checkpoint_of(on, newer_than_ms=await now_ms(on))
    return SOURCE in head.lives and head.routes[SOURCE]["all"].cursor is not None


async def test_a_queue_on_a_server_of_its_own() -> None:
    """The store has none of its keys, and the queue no other ones; it may die, and polling goes on when it is back."""
    async with own_server() as store, own_server() as queue:
        settings = {"RELAY_REDIS_URL": store.url, "RELAY_QUEUE_REDIS_URL": queue.url, "RELAY_OVERLAP_SECONDS": "2"}
        async with stage(10, settings=settings) as on:
            await on.endpoint("crm", always(after_s=0.005))
            worker = await on.worker()
            await on.offer_at(RATE, 1, lambda _: "crm")
            await on.taken_in()
            assert {name for name in await _names(store) if "jobs" in name} == set()
            assert {name for name in await _names(queue) if "{jobs}" not in name} == set()
            assert await _names(queue)
            await queue.kill()
            await on.offer_at(RATE, 1, lambda _: "crm")
            await queue.start()
            await on.offer_at(RATE, 1, lambda _: "crm")
            await on.drained(within_s=MISSING_WITHIN_S)
            verdict = on.verdict()
            assert (verdict.lost, verdict.renamed, worker.process.returncode) == ([], [], None)
            assert verdict.expected > 2 * RATE


async def _names(server: Server) -> list[str]:
    return [name.decode() for name in await server.ask("KEYS", "*")]
