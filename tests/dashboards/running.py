"""A run of the relay that a real Prometheus watches: the API, two workers, the sandbox, and receivers of all kinds."""

import asyncio
import base64
import os
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from relay.cli.demo.ports import free_port
from tests.bench.processes import Child, child, listens
from tests.fault.serving import Exchange, serving

ROOT = Path(__file__).parents[2]
RELAY = (sys.executable, "-m", "relay.cli.main")
SCRAPE_S = 2
PROMETHEUS = """
global: {{scrape_interval: {scrape}s, evaluation_interval: {scrape}s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: relay
    authorization: {{credentials: {key}}}
    static_configs: [{{targets: [{targets}]}}]
"""
HEALTHY, SLOW_S = ("shop", "crm", "archive"), 1.0
ADMIN_KEY = "k" * 24
HAZARDS = ("late,probability=0.01,seconds=20", "rated,probability=0.05", "serverError,probability=0.02")


class Receivers:
    """What answers callbacks: each path is an endpoint with a habit of its own."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.is_down = False

    def take(self, exchange: Exchange) -> None:
        """Answer one callback, now or later."""
        name = exchange.target.strip("/")
        status = {"down": 503 if self.is_down else 204, "picky": 422 if self._rng.random() < 0.05 else 204}.get(
            name, 204
        )
        after_s = SLOW_S if name == "slow" else self._rng.uniform(0.005, 0.06)
        asyncio.get_running_loop().call_later(after_s, exchange.answer, status)


@dataclass
class Running:
    """The run, and where Prometheus answers."""

    api: httpx.AsyncClient
    receivers: Receivers
    workers: list[Child]
    prometheus: str
    application: str = "dashboards"

    async def live(self, seconds: float) -> None:
        """Let the time pass: an outage of one receiver, and the death of a worker."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            self.receivers.is_down = 0.25 < passed / seconds < 0.55
            if passed > 0.65 * seconds and len(self.workers) == 2:
                worker = self.workers.pop()
                worker.process.kill()
                await worker.process.wait()
            for path in (f"app/{self.application}/endpoint", f"app/{self.application}/msg", "source"):
                await self.api.get(path)
            await asyncio.sleep(1)


@asynccontextmanager
async def running(folder: Path, seed: int) -> AsyncIterator[Running]:
    """Everything, until the block ends."""
    program = shutil.which("prometheus")
    if program is None:
        sys.exit("there is no program `prometheus` (on Debian: apt-get install prometheus)")
    async with AsyncExitStack() as stack:
        receivers = Receivers(random.Random(seed))
        sink = await stack.enter_async_context(serving(receivers.take, host="127.0.0.1"))
        ports = {name: free_port() for name in ("sandbox", "api", "worker-1", "worker-2", "prometheus")}
        hazards = [part for each in HAZARDS for part in ("--hazard", each)]
        sandbox = (*RELAY, "sandbox", "--port", str(ports["sandbox"]), "--rate", "25", "--no-record", *hazards)
        await stack.enter_async_context(child("sandbox", *sandbox, folder=folder, ready=listens(ports["sandbox"])))
        environment = _environment(folder) | {"RELAY_PORT": str(ports["api"])}
        await stack.enter_async_context(
            child("api", *RELAY, "serve", folder=folder, ready=listens(ports["api"]), env=environment)
        )
        workers = [
            await stack.enter_async_context(
                child(
                    name, *RELAY, "worker", folder=folder, ready=listens(ports[name]),
                    env=environment | {"RELAY_WORKER_PORT": str(ports[name])},
                )
            )
            for name in ("worker-1", "worker-2")
        ]  # fmt: skip
        await stack.enter_async_context(_prometheus(folder, program, ports))
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        url = f"http://127.0.0.1:{ports['api']}/api/v1/"
        api = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=headers, timeout=30))
        run = Running(api, receivers, workers, f"http://127.0.0.1:{ports['prometheus']}")
        await _configure(run, f"http://127.0.0.1:{sink}", f"http://127.0.0.1:{ports['sandbox']}")
        yield run


def _environment(folder: Path) -> dict[str, str]:
    return {
        "RELAY_DATA_DIR": str(folder / "data"),
        "RELAY_ADMIN_KEY": ADMIN_KEY,
        "RELAY_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
        "RELAY_EGRESS_ALLOW": "127.0.0.0/8",
        "RELAY_UPSTREAM_ALLOW": "127.0.0.0/8",
        "RELAY_RETRY_SCHEDULE": "2,5,15,30",
        "RELAY_CHECKPOINT_URL": f"file://{folder}/checkpoint",
        "RELAY_LOG_FORMAT": "text",
    }


@asynccontextmanager
async def _prometheus(folder: Path, program: str, ports: dict[str, int]) -> AsyncIterator[None]:
    targets = ", ".join(f"'127.0.0.1:{port}'" for name, port in ports.items() if name not in ("sandbox", "prometheus"))
    rules = ROOT / "helm/files/alerts.yaml"
    text = PROMETHEUS.format(scrape=SCRAPE_S, rules=rules, targets=targets, key=ADMIN_KEY)
    (folder / "prometheus.yaml").write_text(text)
    command = (
        program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}", "--log.level=warn",
    )  # fmt: skip
    async with child("prometheus", *command, folder=folder, ready=listens(ports["prometheus"])):
        yield


async def _configure(run: Running, sink: str, sandbox: str) -> None:
    for path, body in _objects(run.application, sink):
        (await run.api.post(path, json=body)).raise_for_status()
    source = {
        "name": "Sandbox", "baseUrl": sandbox, "version": "v2.1", "igrp": 1, "pollIntervalSeconds": 1,
        "auth": {"type": "apiKey", "key": "00000000-0000-4000-8000-000000000001"}, "routes": ["all"], "startRowId": 0,
    }  # fmt: skip
    (await run.api.put("source/main", json=source)).raise_for_status()


def _objects(application: str, sink: str) -> list[tuple[str, dict[str, object]]]:
    names = (*HEALTHY, "down", "picky", "slow")
    endpoints = [{"uid": name, "url": f"{sink}/{name}"} for name in names]
    return [
        ("app", {"name": "Dashboards", "uid": application}),
        *((f"app/{application}/endpoint", endpoint) for endpoint in endpoints),
    ]
