"""A delivery that kills its worker: it is found out, set aside with the reason, and everything else goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic

from relay.store.undelivered import Dead
from tests.fault.case import Finding, case
from tests.fault.recorder import always
from tests.fault.stage import SOURCE, Stage, stage, until

WORKER = ("-m", "tests.fault.poison_worker")
ENDPOINTS = 10
ROWS = 200


@case("poison", goal="G10", seconds=80)
async def poison(seed: int) -> AsyncIterator[Finding]:
    """One row kills every worker that sends it; another worker is started each time, as Kubernetes would."""
    async with stage(seed) as on:
        names = [f"e{number:02}" for number in range(ENDPOINTS)]
        for name in names:
            await on.endpoint(name, always(after_s=0.01))
        deadly = on.upstream.offer(names[0], key="poison")
        for number in range(ROWS):
            on.upstream.offer(names[number % ENDPOINTS])
        began = monotonic()
        kills = Kills(on)
        restarting = asyncio.create_task(kills.restart())
        dead = await _set_aside(on)
        restarting.cancel()
        with suppress(asyncio.CancelledError):
            await restarting
        if not on.workers:
            await on.worker(entry=WORKER)
        yield Finding("workers that it killed", kills.count, "<=", 5)
        yield Finding("reason is poison", float(dead.reason == "poison"), "==", 1)
        wanted = {each.row for each in on.upstream.offered if each.row != deadly}
        await until(
            lambda: wanted <= {a.row for a in on.recorder.arrivals if a.accepted}, within_s=30, what="the others"
        )
        yield Finding(
            "until its lane goes on", monotonic() - began, "<=", 60, "s", "five deaths, each found after 10 s"
        )
        verdict = on.verdict()
        yield Finding("lost beside it", len([row for _, row in verdict.lost if row != deadly]), "==", 0)


class Kills:
    """Starts another worker whenever one died."""

    def __init__(self, on: Stage) -> None:
        self._on = on
        self.count = 0

    async def restart(self) -> None:
        """Until cancelled."""
        while True:
            worker = await self._on.worker(entry=WORKER)
            await worker.process.wait()
            self._on.workers.remove(worker)
            self.count += 1


async def _set_aside(on: Stage) -> Dead:
    found: list[Dead] = []

    async def there() -> bool:
        found[:] = await on.stores.undelivered.dead(SOURCE, limit=10)
        return bool(found)

    await until(there, within_s=120, what="the delivery to be set aside")
    return found[0]
