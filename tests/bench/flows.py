"""One flow of deliveries through a real worker, from the first to the last, and what it cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from relay.domain.model import Source
from relay.wiring import deleting_of
from tests.bench.bench import Baselines, Bench
from tests.bench.ground import ROUTE, Ground
from tests.bench.measuring import Moment, look
from tests.bench.processes import Child

SAMPLE_S = 0.025
GIVE_UP_AFTER_S = 300.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What one flow was like."""

    deliveries: int
    seconds: float
    cpu_us: Mapping[str, float]
    """µs of CPU for each delivery, by process."""
    round_trips: float
    """For each delivery; see measuring.ServerCounts.answers. The harness's own are taken off."""
    commands: float
    """For each delivery, those inside of scripts included."""

    @property
    def per_s(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds


class Watch:
    """Looks at a source's unfinished deliveries until all have ended."""

    def __init__(self, ground: Ground, source: Source, processes: Mapping[str, Child]) -> None:
        self._ground = ground
        self._source = source
        self._processes = processes
        self._looks = 0

    async def begun(self, *, below: int | None = None) -> tuple[Moment, int]:
        """Wait until there are events, or fewer than `below` deliveries are left; gives how many are."""

        async def look_once() -> int | None:
            self._looks += 1
            if below is None:
                return await self._ground.stores.events.newest(self._source.uid) or None
            left = await self._ground.outstanding(self._source)
            return left if left < below else None

        left = await self._wait(look_once)
        return await self.moment(), left

    async def ended(self, last_row_id: int = 0) -> Moment:
        """Wait until the route's cursor is at a row, and every delivery has ended."""

        async def look_once() -> int | None:
            self._looks += 2
            # In this order: once the cursor is there, every delivery counts.
            (state,) = await self._ground.stores.routes.states(self._source.uid, [ROUTE])
            left = await self._ground.outstanding(self._source)
            return 0 if (state.cursor or 0) >= last_row_id and not left else None

        await self._wait(look_once)
        return await self.moment()

    async def stored(self, last_row_id: int) -> Moment:
        """Wait until the route's cursor is at a row."""

        async def look_once() -> int | None:
            self._looks += 1
            (state,) = await self._ground.stores.routes.states(self._source.uid, [ROUTE])
            return 0 if (state.cursor or 0) >= last_row_id else None

        await self._wait(look_once)
        return await self.moment()

    async def _wait(self, look_once: Callable[[], Awaitable[int | None]]) -> int:
        deadline = time.monotonic() + GIVE_UP_AFTER_S
        while (seen := await look_once()) is None:
            for process in self._processes.values():
                process.check()
            if time.monotonic() > deadline:
                left = await self._ground.outstanding(self._source)
                (state,) = await self._ground.stores.routes.states(self._source.uid, [ROUTE])
                raise TimeoutError(f"{left} deliveries are left after {GIVE_UP_AFTER_S:g} s; the route: {state}")
            await asyncio.sleep(SAMPLE_S)
        return seen

    async def moment(self) -> Moment:
        """Everything that is counted, now."""
        pids = {name: process.pid for name, process in self._processes.items()}
        pids["redis"] = self._ground.server_pid
        self._looks += 1
        return await look(self._ground.stores.redis, pids, at=time.monotonic())

    def flow(self, first: Moment, last: Moment, deliveries: int) -> Flow:
        """What happened between two moments."""
        return Flow(
            deliveries,
            last.at - first.at,
            {name: (used - first.cpu[name]) / deliveries * 1e6 for name, used in last.cpu.items()},
            (last.server.answers - first.server.answers - self._looks) / deliveries,
            (last.server.commands - first.server.commands - self._looks) / deliveries,
        )


def add_flows(bench: Bench, part: str, text: str, results: Sequence[tuple[Flow, Baselines]], *, goal: str = "") -> None:
    """Report flows with their costs, and their ratios to the baselines that were taken before each."""
    flows = [flow for flow, _ in results]
    bench.add(
        part,
        text,
        [flow.per_s for flow in flows],
        "/s",
        baselines=[baselines for _, baselines in results],
        goal=goal,
        note=describe(flows),
        more=numbers(flows),
    )


def describe(flows: Sequence[Flow], each: str = "delivery") -> str:
    """The costs of the middle run, in words."""
    flow = _middle(flows)
    cpu = " + ".join(f"{name} {used:.0f}" for name, used in flow.cpu_us.items())
    return (
        f"a {each}: {sum(flow.cpu_us.values()):.0f} µs of CPU ({cpu}), "
        f"{flow.round_trips:.3f} round trips, {flow.commands:.2f} commands"
    )


def numbers(flows: Sequence[Flow]) -> dict[str, Any]:
    """The costs of the middle run, as numbers."""
    flow = _middle(flows)
    cpu_us = {name: round(used, 1) for name, used in flow.cpu_us.items()}
    return {"cpu_us": cpu_us, "round_trips": round(flow.round_trips, 4), "commands": round(flow.commands, 3)}


def _middle(flows: Sequence[Flow]) -> Flow:
    return sorted(flows, key=lambda flow: flow.per_s)[len(flows) // 2]


@asynccontextmanager
async def fresh_source(ground: Ground, base_url: str, *, paused: bool) -> AsyncIterator[Source]:
    """A source for one run, gone with all its events afterwards."""
    source = await ground.source(base_url, paused=paused)
    try:
        yield source
    finally:
        await ground.stores.sources.delete(source.uid)
        await deleting_of(ground.stores).run(within_s=60)
