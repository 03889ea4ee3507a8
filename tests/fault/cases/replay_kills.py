"""Replays of many messages while workers die: each chosen one arrives again, and only those in flight arrive twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

import httpx

from tests.fault.api import api
from tests.fault.case import Finding, case
from tests.fault.cases.kills import in_flight
from tests.fault.checker import delays_s, p
from tests.fault.ending import quiet_s
from tests.fault.recorder import always
from tests.fault.stage import ROUTE, SOURCE, Stage, stage, until

OLD = 10_000
"""Messages that each replay chooses."""
RATE = 80
"""Replayed messages of a task per second: a task takes 125 s."""
NEW_RATE = 40.0
"""New rows per second, each for every endpoint."""
WORKERS = 3
LEAST_KILLS = 25
PAUSE_S = (0.2, 1.5)
CALM_S = 8.0
"""How long replays run before the first kill."""
PART_ROWS = 250
"""Rows that a backfill takes in at once: those of one part are delivered again if the poller dies before its commit."""
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "failed": ("recover", {"since": "2020-01-01T00:00:00Z"}),
    "missed": ("replay-missing", {"since": "2020-01-01T00:00:00Z"}),
    "told": ("bulk-replay", {"states": ["delivered"]}),
}
"""By endpoint: what replays its messages. A backfill does it for the endpoint `again`."""
REPLAYED = (*OPERATIONS, "again")
CONTROL = "control"
"""The endpoint that nothing is replayed to."""
SETTINGS = {"RELAY_READING_REQUESTS_PER_HOUR": "600"}


@case("replay-kills", goal="G46", seconds=230)
async def replay_kills(seed: int) -> AsyncIterator[Finding]:
    """10,000 messages are recovered, replayed, sent to a new endpoint, and backfilled, while workers are killed."""
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(stage(seed, settings=SETTINGS))
        replayed = Replayed(on, await stack.enter_async_context(api(on)))
        await replayed.prepare()
        for name in OPERATIONS:
            counted = await replayed.preview(name)
            yield Finding(f"dry run, {OPERATIONS[name][0]}", counted, "==", OLD, "messages")
        async for finding in replayed.run():
            yield finding


class Replayed:
    """The replays of a stage. Its rows are for every endpoint."""

    def __init__(self, on: Stage, client: httpx.AsyncClient) -> None:
        self._on = on
        self._client = client
        self._tasks: dict[str, str] = {}
        """Paths of tasks by endpoint."""
        self._old: set[int] = set()
        self._names: dict[int, str] = {}
        """The webhook-id of each row, at its first delivery."""

    async def prepare(self) -> None:
        """Have messages that were delivered, that are dead, and that an endpoint was never owed."""
        on = self._on
        await on.endpoint("failed", always(400), everything=True, retry_schedule=())
        for name in ("told", "again"):
            await on.endpoint(name, always(), everything=True)
        for _ in range(WORKERS):
            await on.worker()
        self._old = {on.upstream.offer("*") for _ in range(OLD)}
        await on.drained(within_s=120)
        self._names = {arrival.row: arrival.message for arrival in on.recorder.arrivals}
        for name in ("missed", CONTROL):
            await on.endpoint(name, everything=True)
        for name in on.endpoints:
            on.recorder.set(name, always(after_s=0.01))
        on.recorder.arrivals.clear()

    async def preview(self, name: str) -> int:
        """How many messages a replay would send."""
        await self._begin(name, dryRun=True)
        await until(self._are_finished, within_s=60, what="the dry run")
        return int((await self._task(name))["chosen"])

    async def run(self) -> AsyncIterator[Finding]:
        """Replay under kills, with new rows all the time."""
        on = self._on
        began = monotonic()
        for name in OPERATIONS:
            await self._begin(name, rate=RATE)
        backfill = await self._backfill()
        load = asyncio.create_task(on.offer_at(NEW_RATE, 3600, lambda _: "*"))
        await asyncio.sleep(CALM_S)
        calm = self._delays(*REPLAYED)
        claimed, kills = await self._kill()
        lasted = monotonic() - began
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        quiet = await quiet_s(on, within_s=90)
        yield Finding("kills while replays ran", kills, ">=", LEAST_KILLS, "", f"in {lasted:.0f} s")
        yield Finding("until all is quiet after the last kill", quiet, "<=", 45, "s")
        yield Finding("p99 of new messages before the first kill", p(calm, 0.99), "<=", 0.5, "s", f"of {len(calm)}")
        delays, control = self._delays(*REPLAYED), self._delays(CONTROL)
        yield Finding("latest new message", max(delays), "<=", 45, "s", f"of {len(delays)}")
        middle, other = p(delays, 0.5), p(control, 0.5)
        note = f"p50 {1000 * other:.0f} → {1000 * middle:.0f} ms"
        yield Finding("new messages against an endpoint without replays", middle / other, "<=", 1.5, "times", note)
        for finding in [*await self._told(lasted), *self._compared(claimed, kills, await self._get(backfill))]:
            yield finding

    async def _kill(self) -> tuple[int, int]:
        """Kill a random worker, again and again; gives what was claimed then, and how often."""
        on, claimed, kills = self._on, 0, 0
        while not await self._are_finished():
            await asyncio.sleep(on.rng.uniform(*PAUSE_S))
            victim = on.rng.choice(on.workers)
            claimed, kills = claimed + await in_flight(on), kills + 1
            await on.kill(victim)
            await on.worker()
        return claimed, kills

    async def _told(self, lasted: float) -> list[Finding]:
        """What the tasks say."""
        findings = []
        for name, (operation, _) in OPERATIONS.items():
            task = await self._task(name)
            left_over = {each: task[each] for each in ("changed", "tooOld", "waiting")}
            findings += [
                Finding(f"put into the queue by {operation}", task["queued"], "==", OLD, "messages", str(left_over)),
                Finding(f"rate of {operation}", task["queued"] / lasted, "<=", RATE * (1 + 1 / lasted), "a second"),
            ]
        return findings

    def _compared(self, claimed: int, kills: int, backfill: dict[str, Any]) -> list[Finding]:
        """What was chosen against what arrived again, and new rows against what arrived."""
        arrived = Counter((a.path, a.row) for a in self._on.recorder.arrivals if a.accepted)
        wanted = {(name, row) for name in REPLAYED for row in self._on.shown}
        wanted |= {(CONTROL, row) for row in self._on.shown.keys() - self._old}
        twice = Counter({delivery: times - 1 for delivery, times in arrived.items() if times > 1})
        by_backfill = sum(times for (name, _), times in twice.items() if name == "again")
        renamed = {a.row for a in self._on.recorder.arrivals if a.message != self._names.setdefault(a.row, a.message)}
        lost = sorted(wanted - arrived.keys())
        rows = f"of {len(wanted)}" + (f", such as {lost[:3]}" if lost else "")
        at_most = claimed + kills * PART_ROWS
        return [
            Finding("rows that the backfill read", backfill["rows"], ">=", OLD, "", backfill["state"]),
            Finding("lost", len(lost), "==", 0, "", rows),
            Finding("not asked for", len(arrived.keys() - wanted), "==", 0),
            Finding("twice, by tasks", twice.total() - by_backfill, "<=", claimed, "", "what was claimed at each kill"),
            Finding("twice, by the backfill", by_backfill, "<=", at_most, "", f"and {PART_ROWS} rows for each kill"),
            Finding("rows under more than one webhook-id", len(renamed), "==", 0),
        ]

    def _delays(self, *names: str) -> list[float]:
        """Seconds from a new row to its callback at each of some endpoints."""
        shown = {row: at for row, at in self._on.shown.items() if row not in self._old}
        return delays_s(shown, (a for a in self._on.recorder.arrivals if a.accepted and a.path in names))

    async def _begin(self, name: str, **fields: Any) -> None:
        operation, body = OPERATIONS[name]
        path = f"app/{self._on.application.id}/endpoint/{self._on.endpoints[name].id}/{operation}"
        self._tasks[name] = f"background-task/{(await self._post(path, body | fields))['id']}"

    async def _backfill(self) -> str:
        path = f"source/{SOURCE}/backfill"
        body = {"route": ROUTE, "afterRowId": 0, "endpoints": [self._on.endpoints["again"].id]}
        return f"{path}/{(await self._post(path, body))['id']}"

    async def _are_finished(self) -> bool:
        return all([(await self._task(name))["state"] == "finished" for name in self._tasks])

    async def _task(self, name: str) -> dict[str, Any]:
        data: dict[str, Any] = (await self._get(self._tasks[name]))["data"]
        return data

    async def _get(self, path: str) -> dict[str, Any]:
        answer = (await self._client.get(f"/api/v1/{path}")).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = (await self._client.post(f"/api/v1/{path}", json=body)).raise_for_status()
        made: dict[str, Any] = answer.json()
        return made
