"""Failovers under load: by Sentinels, and in a cluster. What the new server lacks is polled again."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

from relay.jobs import QUEUE
from relay.store import keys
from tests.fault.case import Finding, case
from tests.fault.cases.outages import OVERLAP, QUIET_WITHIN_S, SLACK_S, accepted_since, under_load
from tests.fault.ending import ended
from tests.fault.stage import SOURCE, Stage, stage, until
from tests.fault.topologies import cluster, watched

BACK_WITHIN_S = 15.0
"""From the kill to the next callback; the servers take one or two of these to agree."""


@case("sentinel-failover", goal="G5", seconds=75)
async def sentinel_failover(seed: int) -> AsyncIterator[Finding]:
    """Three times the master dies under load, the Sentinels promote the replica, and the old master comes back."""
    async with watched() as on_servers, stage(seed, settings={**OVERLAP, "RELAY_REDIS_URL": on_servers.url}) as on:
        doubtful, back = 0, list[float]()
        async with under_load(on):
            for _ in range(3):
                await on_servers.replicated()
                await asyncio.sleep(on.rng.uniform(2, 4))
                master, since = await on_servers.master(), monotonic()
                await master.kill()
                await on_servers.failed_over(master)
                back.append(await _back_s(on, since))
                doubtful += accepted_since(on, since - SLACK_S)
                await master.start()
        yield Finding("until the next callback", max(back), "<=", BACK_WITHIN_S, "s")
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=doubtful):
            yield finding


@case("cluster-failover", goal="G5", seconds=75)
async def cluster_failover(seed: int) -> AsyncIterator[Finding]:
    """One by one, the primaries that have the source, the configuration, conditions and jobs die under load."""
    tried = (keys.prefix(SOURCE), keys.POLLS, keys.CONDITIONS, QUEUE)
    async with (
        cluster(replicas_for=tried) as nodes,
        stage(seed, settings={**OVERLAP, "RELAY_REDIS_URL": nodes.url}) as on,
    ):
        doubtful, back = 0, list[float]()
        async with under_load(on):
            for primary in dict.fromkeys(nodes.owner(key) for key in tried):
                await asyncio.sleep(on.rng.uniform(2, 4))
                since = monotonic()
                await primary.kill()
                await nodes.taken_over(primary)
                back.append(await _back_s(on, since))
                doubtful += accepted_since(on, since - SLACK_S)
                await primary.start()
                await nodes.agreed()
        yield Finding("until the next callback", max(back), "<=", BACK_WITHIN_S, "s")
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=doubtful):
            yield finding


async def _back_s(on: Stage, since: float) -> float:
    """From a kill to the first callback after the failover."""
    failed_over = monotonic()

    def arrived() -> bool:
        return bool(on.recorder.arrivals) and on.recorder.arrivals[-1].at > failed_over

    await until(arrived, within_s=60, what="a callback after the failover", every_s=0.01)
    return on.recorder.arrivals[-1].at - since
