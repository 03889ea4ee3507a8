"""An upgrade and a rollback under load: two releases work side by side on one store, then each alone."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import httpx

from relay.cli.demo.ports import free_port
from tests.bench.processes import Child, child, says_ready
from tests.fault.case import Finding, case
from tests.fault.checker import check, out_of_order
from tests.fault.ending import quiet_s
from tests.fault.old_release import Release, old_release
from tests.fault.recorder import Arrival, always, sometimes
from tests.fault.rolling import Rolling
from tests.fault.stage import WORKER, Stage, now_ms, stage, until

SIDE_BY_SIDE_S = float(os.environ.get("RELAY_TEST_SIDE_BY_SIDE_SECONDS", "40"))
ALONE_S = 15.0
RATE = 60.0
POST_EVERY_S = 0.1
REPLAY_EVERY_S = 5.0
SETTINGS = {"RELAY_KEY_REQUESTS_PER_MINUTE": "1000000", "RELAY_LOG_FORMAT": "json"}
RETRIES = (1.0,) * 100
NAMES = ("plain", "failing", "ordered", "keyed", "replayed")
KEYS = 8


@case("two-versions", goal="G29", seconds=150)
async def two_versions(seed: int) -> AsyncIterator[Finding]:
    """Workers and API of an older commit, then with those of this one, then these alone, then the older ones again."""
    async with AsyncExitStack() as stack:
        old = stack.enter_context(old_release())
        on = await stack.enter_async_context(stage(seed, settings=SETTINGS))
        upgrade = Upgrade(on, stack, old)
        await upgrade.prepare()
        for finding in await upgrade.run():
            yield finding


@dataclass(slots=True)
class Upgrade:
    """The processes of both releases, and what is done through their APIs."""

    on: Stage
    stack: AsyncExitStack
    old: Release
    apis: list[tuple[Child, httpx.AsyncClient]] = field(default_factory=list)
    """Those that requests go to."""
    posted: set[str] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    """How many deliveries each replay queued. It is noted when one ends: the relay keeps the newest ended ones only."""
    stopping: bool = False
    _count: int = 0

    async def prepare(self) -> None:
        """Make the endpoints. Rows are addressed to all but the one that gets posts."""
        on = self.on
        habits = {"failing": sometimes(on.rng, 0.3)}
        orders: dict[str, dict[str, Any]] = {
            "ordered": {"order": "fifo"}, "keyed": {"order": "keyed", "order_key": "c_key"},
        }  # fmt: skip
        for name in NAMES:
            await on.endpoint(
                name, habits.get(name, always(after_s=0.01)), retry_schedule=RETRIES, **orders.get(name, {})
            )
        await on.endpoint("posts", always(), everything=True, event_types=("invoice.paid",))

    async def run(self) -> list[Finding]:
        """Upgrade and roll back; gives what became of it all."""
        rolling, old = Rolling(self.on), {"entry": (*self.old.python, "worker"), "env": self.old.environment}
        for _ in range(2):
            await rolling.start(**old)
        await self.start_api(is_old=True)
        load = [asyncio.create_task(each) for each in (self._offer(), self._post(), self._read(), self._replay())]
        await asyncio.sleep(ALONE_S)
        if self.failed:
            raise RuntimeError(f"commit {self.old.commit[:10]} fails by itself: {self.failed[0]}")
        await rolling.replace()
        await self.start_api(is_old=False)
        await asyncio.sleep(SIDE_BY_SIDE_S)
        await self._all(rolling, entry=WORKER, env={})
        await self.end_api()
        await asyncio.sleep(ALONE_S)
        await self.start_api(is_old=True)
        await self._all(rolling, **old)
        await self.end_api()
        await asyncio.sleep(ALONE_S)
        self.stopping = True
        # The last replay has chosen all of its rows then.
        await asyncio.gather(*load)
        quiet = Finding("until all is quiet", await quiet_s(self.on, within_s=90), "<=", 60, "s")
        findings = [quiet, *self._told(), *rolling.findings(limit_s=25)]
        unreadable = [line for line in self._logs() if "unreadable" in line]
        note = f"{self.old.commit[:10]} and this one; {unreadable[0][:200] if unreadable else ''}"
        return [*findings, Finding("lines of logs about what is unreadable", len(unreadable), "==", 0, "", note)]

    async def _all(self, rolling: Rolling, **how: Any) -> None:
        """Replace all workers, one at a time."""
        for worker in tuple(self.on.workers):
            await rolling.start(**how)
            rolling.end(worker)
        await rolling.ended()

    async def start_api(self, *, is_old: bool) -> None:
        """Start an API, and send requests to it as well."""
        port, self._count = free_port(), self._count + 1
        command = self.old.python if is_old else ("-m", "relay.cli.main")
        env = {**self.on.environment, "RELAY_PORT": str(port), **(self.old.environment if is_old else {})}
        process = await self.stack.enter_async_context(
            child(
                f"api{self._count}", sys.executable, *command, "serve",
                folder=self.on.folder, ready=says_ready(port), env=env,
            )
        )  # fmt: skip
        headers = {"authorization": f"Bearer {self.on.environment['RELAY_ADMIN_KEY']}"}
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=30)
        self.apis.append((process, await self.stack.enter_async_context(client)))

    async def end_api(self) -> None:
        """End the oldest API, after what it was asked was answered."""
        process, _ = self.apis.pop(0)
        await asyncio.sleep(1)
        await process.stop()

    async def _offer(self) -> None:
        on = self.on
        for number in cycle(range(len(NAMES) * KEYS)):
            if self.stopping:
                return
            on.upstream.offer(NAMES[number % len(NAMES)], key=f"k{number // len(NAMES)}")
            await asyncio.sleep(1 / RATE)

    async def _post(self) -> None:
        path, number = f"/app/{self.on.application.id}/msg", 0
        while not self.stopping:
            number += 1
            body = {"eventType": "invoice.paid", "payload": {"n": number}}
            if made := await self._ask("post", "POST", path, json=body):
                self.posted.add(made["id"])
            await asyncio.sleep(POST_EVERY_S)

    async def _read(self) -> None:
        """List, and change an endpoint back and forth: each release reads what the other one wrote."""
        app = f"/app/{self.on.application.id}"
        for number in cycle(range(1_000)):
            if self.stopping:
                return
            for what in ("endpoint", "msg", f"attempt/endpoint/{self.on.endpoints['plain'].id}"):
                await self._ask("read", "GET", f"{app}/{what}", params={"limit": 20})
            changed = {"description": f"change {number}"}
            await self._ask("change", "PATCH", f"{app}/endpoint/{self.on.endpoints['plain'].id}", json=changed)
            await asyncio.sleep(0.5)

    async def _replay(self) -> None:
        path = f"/app/{self.on.application.id}/endpoint/{self.on.endpoints['replayed'].id}/bulk-replay"
        while not self.stopping:
            await asyncio.sleep(REPLAY_EVERY_S)
            since = now_ms() - 3000
            body = {"states": ["delivered"], "since": _time(since), "until": _time(since + 2000)}
            if made := await self._ask("replay", "POST", path, json=body):
                await until(lambda: self._is_finished(made["id"]), within_s=60, what="a replay to finish")

    async def _is_finished(self, task: str) -> bool:
        found = await self._ask("read", "GET", f"/background-task/{task}")
        if not found or found["data"]["state"] != "finished":
            return False
        self.queued.append(found["data"]["queued"])
        return True

    async def _ask(self, what: str, method: str, path: str, **sent: Any) -> dict[str, Any] | None:
        """Ask the APIs in turn; a failure is noted."""
        self.requests[what] += 1
        _, client = self.apis[self.requests.total() % len(self.apis)]
        try:
            answer = await client.request(method, path, **sent)
        except httpx.HTTPError as error:
            self.failed.append(f"{what}: {type(error).__name__}")
            return None
        if not answer.is_success:
            self.failed.append(f"{what}: {answer.status_code} {answer.text[:200]}")
            return None
        found: dict[str, Any] = answer.json()
        return found

    def _told(self) -> list[Finding]:
        """What was shown, posted and replayed against what arrived."""
        on = self.on
        rows = [each for each in on.recorder.arrivals if each.path != "posts"]
        verdict = check(on.shown, on.offered, NAMES, rows)
        replayed = sum(count for (path, _), count in verdict.doubled.items() if path == "replayed")
        posts = Counter(each.message for each in on.recorder.of("posts") if each.accepted)
        queued = sum(self.queued)
        asked = ", ".join(f"{count} × {what}" for what, count in sorted(self.requests.items()))
        return [
            Finding("failed requests", len(self.failed), "==", 0, "", "; ".join(self.failed[:2]) or asked),
            Finding("lost rows", len(verdict.lost), "==", 0, "", f"of {verdict.expected}"),
            Finding("lost posts", len(self.posted - posts.keys()), "==", 0, "", f"of {len(self.posted)}"),
            Finding("doubled rows", verdict.duplicates - replayed, "==", 0),
            Finding("doubled posts", posts.total() - len(posts), "==", 0),
            Finding(
                "replayed rows against those of the tasks",
                replayed - queued,
                "==",
                0,
                "",
                f"{queued} of {len(self.queued)} replays",
            ),
            Finding("deliveries under more than one webhook-id", len(verdict.renamed), "==", 0),
            Finding("callbacks that nobody asked for", len(verdict.unasked), "==", 0),
            Finding("out of order", len(self._swapped(rows)), "==", 0),
        ]

    def _swapped(self, rows: list[Arrival]) -> list[tuple[str, int]]:
        ordered = {each.row: "" for each in self.on.offered if each.to == "ordered"}
        keyed = {each.row: each.key for each in self.on.offered if each.to == "keyed"}
        return out_of_order(rows, ordered | keyed)

    def _logs(self) -> list[str]:
        return [line for log in self.on.folder.glob("*.log") for line in log.read_text(errors="replace").splitlines()]


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
