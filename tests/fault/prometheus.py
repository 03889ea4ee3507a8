"""A real Prometheus with the alert rules of the chart, in which time passes faster."""

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from relay.cli.demo.ports import free_port
from tests.bench.processes import child
from tests.fault.case import Skipped

ALERTS = Path(__file__).parents[2] / "helm/files/alerts.yaml"
SCRAPE_S = 1.5
"""A process whose Redis does not answer takes a second to say so."""
LOOK_S = 0.25
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LENGTH = re.compile(r"(?<=for: )(\d+)(ms|s|m|h|d)$|(?<=\[)(\d+)(ms|s|m|h|d)(?=\])", re.MULTILINE)
_A_MINUTE, _LATE = 'le="60.0"', 'le="2.5"'
"""What counts as late: a bound of the histogram that is longer than the retries of a run without faults."""
_THRESHOLD = re.compile(r"> (\d+) \* 60$", re.MULTILINE)
CONFIGURATION = """
global: {{scrape_interval: {scrape_ms}ms, scrape_timeout: {scrape_ms}ms, evaluation_interval: 500ms}}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: relay
    file_sd_configs: [{{files: [targets.json], refresh_interval: 500ms}}]
"""


def shortened(rules: str, factor: float) -> str:
    """The rules with all lengths of time multiplied: `for`, ranges, and thresholds in minutes. Late is 2.5 s.

    >>> shortened("expr: increase(x[15m]) > 0\\nfor: 1m", 0.01)
    'expr: increase(x[9000ms]) > 0\\nfor: 600ms'
    """

    def length(found: "re.Match[str]") -> str:
        number, unit = found[1] or found[3], found[2] or found[4]
        return f"{round(int(number) * _UNIT_MS[unit] * factor)}ms"

    rules = rules.replace(_A_MINUTE, _LATE)
    return _THRESHOLD.sub(lambda found: f"> {int(found[1]) * 60 * factor:g}", _LENGTH.sub(length, rules))


class Prometheus:
    """What it says of alerts, and since when."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=10)
        self.fired: dict[str, float] = {}
        """When each alert was first seen to fire, of time.monotonic(), since `forget`."""
        self.firing: set[str] = set()

    def scrape(self, ports: Iterable[int]) -> None:
        """Ask processes at these ports of 127.0.0.1 from now on."""
        targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
        new = self._folder / "targets.json.new"
        new.write_text(json.dumps(targets))
        new.replace(self._folder / "targets.json")

    def forget(self) -> None:
        """Forget which alerts have fired: those that still do count again."""
        self.fired.clear()

    async def look(self) -> None:
        """Follow the alerts until cancelled."""
        while True:
            with suppress(httpx.HTTPError):
                alerts = (await self._client.get("/alerts")).json()["data"]["alerts"]
                self.firing = {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}
                for name in self.firing:
                    self.fired.setdefault(name, time.monotonic())
            await asyncio.sleep(LOOK_S)

    async def is_ready(self) -> bool:
        """Whether it answers."""
        with suppress(httpx.HTTPError):
            return (await self._client.get("/status/buildinfo")).status_code == 200
        return False

    async def has_scraped(self, process: str) -> bool:
        """Whether it knows a process of a kind."""
        query = {"query": f'relay_build_info{{process="{process}"}}'}
        with suppress(httpx.HTTPError):
            return bool((await self._client.get("/query", params=query)).json()["data"]["result"])
        return False


@asynccontextmanager
async def prometheus(folder: Path, *, factor: float) -> AsyncIterator[Prometheus]:
    """Run one for as long as the block lasts. Raises Skipped if this machine has none."""
    program = shutil.which("prometheus")
    if program is None:
        raise Skipped("there is no program `prometheus` (on Debian: apt-get install prometheus)")
    own = folder / "prometheus"
    own.mkdir()
    (own / "rules.yaml").write_text(shortened(ALERTS.read_text(), factor))
    (own / "prometheus.yaml").write_text(CONFIGURATION.format(scrape_ms=round(SCRAPE_S * 1000)))
    port = free_port()
    running = Prometheus(own, port)
    running.scrape([])
    command = (
        program, f"--config.file={own}/prometheus.yaml", f"--storage.tsdb.path={own}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    )  # fmt: skip
    async with child("prometheus", *command, folder=folder, ready=running.is_ready):
        looking = asyncio.create_task(running.look())
        try:
            yield running
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await running._client.aclose()
