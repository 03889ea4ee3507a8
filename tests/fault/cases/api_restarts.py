"""Rolling restarts of the API behind a balancer that hears of them late: no request fails."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any

import httpx

from relay.cli.demo.ports import free_port
from tests.bench.processes import Child, child, says_ready
from tests.fault.balancer import Balancer, balancer
from tests.fault.case import Finding, case
from tests.fault.recorder import always
from tests.fault.stage import Stage, stage, until

RESTARTS = 30
PROCESSES = 2
CLIENTS = 12
PAUSE_S = (0.0, 0.12)
LONG_PAUSE_S = (0.5, 3.0)
NOTICED_S = (0.5, 2.0)
"""After which the balancer hears that a process leaves."""
WAIT_S = 3.0
"""The preStop of the pod, or RELAY_SHUTDOWN_DELAY_SECONDS. The chart has 5 s."""
ENDS_WITHIN_S = WAIT_S + 10 + 3
SETTINGS = {"RELAY_KEY_REQUESTS_PER_MINUTE": "1000000", "RELAY_LOG_FORMAT": "json"}
COMMAND = (sys.executable, "-m", "relay.cli.main", "serve")


@case("api-restarts", goal="G28", seconds=100)
async def api_restarts(seed: int) -> AsyncIterator[Finding]:
    """Thirty times a process of the API is replaced, half of them without a preStop; clients post, list and poll."""
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(stage(seed, settings=SETTINGS))
        await on.endpoint("crm", always(), everything=True)
        front = await stack.enter_async_context(balancer())
        pods = Pods(on, front, stack)
        await asyncio.gather(*(pods.start() for _ in range(PROCESSES)))
        await on.worker()
        clients = Clients(on, f"http://127.0.0.1:{front.port}")
        await clients.prepare()
        running = [asyncio.create_task(clients.run(number)) for number in range(CLIENTS)]
        for number in range(RESTARTS):
            await pods.replace(with_pre_stop=number % 2 == 0)
        clients.stopping = True
        await asyncio.gather(*running)
        await pods.ended()
        async for finding in told(on, pods, clients):
            yield finding


async def told(on: Stage, pods: "Pods", clients: "Clients") -> AsyncIterator[Finding]:
    """What became of the processes, of the requests and of what was posted."""
    slowest, codes = max(seconds for seconds, _ in pods.ends), [code for _, code in pods.ends if code]
    yield Finding("exit codes that are not 0", len(codes), "==", 0, "", f"of {len(pods.ends)}")
    yield Finding("longest end after SIGTERM", slowest, "<=", ENDS_WITHIN_S, "s")
    done = ", ".join(f"{count} {what}" for what, count in sorted(clients.done.items()))
    yield Finding("requests", clients.done.total(), ">=", 2_000, "", done)
    yield Finding("failed requests", len(clients.failed), "==", 0, "", "; ".join(clients.failed[:3]))
    arrived: Counter[str] = Counter()

    def all_arrived() -> bool:
        arrived.clear()
        arrived.update(each.message for each in on.recorder.arrivals if each.accepted)
        return clients.posted <= arrived.keys()

    quiet = await until(all_arrived, within_s=60, what="what was posted to arrive")
    twice = sum(count - 1 for count in arrived.values())
    yield Finding("until all that was posted has arrived", quiet, "<=", 60, "s", f"{len(clients.posted)} messages")
    yield Finding("messages that arrived and were not posted", len(arrived.keys() - clients.posted), "==", 0)
    yield Finding("doubled", twice, "==", 0)
    logs = [path.read_text(errors="replace") for path in on.folder.glob("api*.log")]
    errors = [line for log in logs for line in log.splitlines() if '"level": "error"' in line or "Traceback" in line]
    yield Finding("errors in the logs of the API", len(errors), "==", 0, "", " ".join(errors[:1])[:300])


@dataclass(slots=True)
class Pods:
    """Processes of the API behind a balancer."""

    on: Stage
    front: Balancer
    stack: AsyncExitStack
    ends: list[tuple[float, int]] = field(default_factory=list)
    """Seconds after SIGTERM, and the exit code."""
    _pods: list[tuple[Child, int, bool]] = field(default_factory=list)
    _ending: list[asyncio.Task[None]] = field(default_factory=list)
    _count: int = 0

    async def start(self, *, with_pre_stop: bool = True) -> None:
        """Start one; the balancer knows it as soon as it is ready."""
        port, self._count = free_port(), self._count + 1
        delay = {} if with_pre_stop else {"RELAY_SHUTDOWN_DELAY_SECONDS": f"{WAIT_S:g}"}
        env = {**self.on.environment, "RELAY_PORT": str(port), **delay}
        name = f"api{self._count}"
        started = await self.stack.enter_async_context(
            child(name, *COMMAND, folder=self.on.folder, ready=says_ready(port), env=env)
        )
        self._pods.append((started, port, with_pre_stop))
        self.front.ports.append(port)

    async def replace(self, *, with_pre_stop: bool) -> None:
        """Start one, then have the oldest one leave."""
        await self.start(with_pre_stop=with_pre_stop)
        self._ending.append(asyncio.create_task(self._end(*self._pods.pop(0))))

    async def ended(self) -> None:
        """Wait until all that were told to leave have ended."""
        await asyncio.gather(*self._ending)

    async def _end(self, pod: Child, port: int, with_pre_stop: bool) -> None:
        noticed = asyncio.create_task(self._notice(port))
        if with_pre_stop:
            await asyncio.sleep(WAIT_S)
        began = monotonic()
        await pod.stop()
        self.ends.append((monotonic() - began, pod.process.returncode or 0))
        await noticed

    async def _notice(self, port: int) -> None:
        await asyncio.sleep(self.on.rng.uniform(*NOTICED_S))
        self.front.ports.remove(port)


class Clients:
    """Clients that post, list, read and poll, on connections that they keep, or on a new one for each request."""

    def __init__(self, on: Stage, url: str) -> None:
        self._on, self._url = on, f"{url}/api/v1"
        self._path = f"/app/{on.application.id}"
        self._headers = {"authorization": f"Bearer {on.environment['RELAY_ADMIN_KEY']}"}
        self.stopping = False
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self.posted: set[str] = set()
        self._iterators: dict[int, str] = {}

    async def prepare(self) -> None:
        """Make the endpoint that is polled."""
        async with self._client() as client:
            body = {"uid": "pull", "type": "poller", "url": ""}
            (await client.post(f"{self._path}/endpoint", json=body)).raise_for_status()

    async def run(self, number: int) -> None:
        """Make requests until it is time to stop: every third client with a new connection for each."""
        rng = Random(self._on.rng.random())
        async with self._client() as client:
            while not self.stopping:
                await self._one(client, rng, number)
                if number % 3 == 0:
                    client.headers["connection"] = "close"
                long = number % 3 == 1 and rng.random() < 0.1
                await asyncio.sleep(rng.uniform(*(LONG_PAUSE_S if long else PAUSE_S)))

    async def _one(self, client: httpx.AsyncClient, rng: Random, number: int) -> None:
        what = rng.choice(("post", "post", "list", "endpoints", "poll"))
        try:
            answer = await self._ask(client, what, number)
        except httpx.HTTPError as error:
            self.failed.append(f"{what} of client {number}: {type(error).__name__} {error}")
            return
        self.done[what] += 1
        if not answer.is_success:
            self.failed.append(f"{what}: {answer.status_code} {answer.text[:200]}")
        elif what == "post":
            self.posted.add(answer.json()["id"])
        elif what == "poll":
            self._iterators[number] = answer.json()["iterator"]

    async def _ask(self, client: httpx.AsyncClient, what: str, number: int) -> httpx.Response:
        if what == "post":
            body: dict[str, Any] = {"eventType": "invoice.paid", "payload": {"client": number, "n": self.done.total()}}
            return await client.post(f"{self._path}/msg", json=body)
        if what == "poll":
            after = {"iterator": self._iterators[number]} if number in self._iterators else {}
            return await client.get(f"{self._path}/poller/pull", params={"limit": 50, **after})
        return await client.get(f"{self._path}/{'msg' if what == 'list' else 'endpoint'}", params={"limit": 10})

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=30)
