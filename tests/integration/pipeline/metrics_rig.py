"""The metrics of a worker of the tests, read back as Prometheus reads them."""

import base64
from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from relay.domain.counts import ReadingCounts
from relay.domain.model import Secret
from relay.domain.reading.plan import Overlap
from relay.metrics.looping import LoopLag
from relay.metrics.process import ProcessMetrics
from relay.metrics.sheet import Sheet
from relay.metrics.stored import Kept, StoredMetrics
from relay.metrics.worker import WorkerMetrics
from relay.store.conditions import Conditions
from relay.store.depths import Depths
from relay.store.epochs import Epochs
from relay.store.key_ages import KeyAges
from relay.store.low_water import LowWater
from relay.store.operations import Operations
from relay.store.routes import Routes
from relay.store.server import Server
from relay.store.vault import Vault
from tests.integration.pipeline.dispatching_rig import Worker

VAULT = Vault([Secret(base64.b64encode(bytes(32)).decode())])
OVERLAP = Overlap(rows=100, seconds=60, interval_seconds=60)


class Scrape(NamedTuple):
    """One answer."""

    samples: list[tuple[str, Mapping[str, str], float]]

    def value(self, name: str, **labels: str) -> float:
        """The value of a sample. Fails if there is none, or more than one."""
        (found,) = [value for each, its, value in self.samples if each == name and its == labels]
        return found

    def values(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one label, summed over others; without zeros."""
        found: dict[str, float] = {}
        for each, labels, value in self.samples:
            if each == name and value:
                found[labels[label]] = found.get(labels[label], 0) + value
        return found

    def names(self) -> set[str]:
        """The metrics that are there."""
        return {name for name, _, _ in self.samples}


def read(text: str) -> Scrape:
    """Read an answer."""
    families = text_string_to_metric_families(text)
    return Scrape([(each.name, each.labels, each.value) for family in families for each in family.samples])


def low_water(redis: Redis) -> LowWater:
    """What reads the low-water marks of routes."""
    return LowWater(redis, overlap=OVERLAP, reach_s=4 * 86_400)


class Metrics:
    """The metrics of a worker."""

    def __init__(self, worker: Worker, redis: Redis, reading: ReadingCounts | None = None) -> None:
        server, operations = Server(redis), Operations(redis)
        kept = Kept(
            depths=Depths(redis),
            conditions=Conditions(redis),
            routes=Routes(redis),
            operations=operations,
            epochs=Epochs(redis, needed=False),
            server=server,
            key_ages=KeyAges(redis, VAULT),
            low_water=low_water(redis),
        )
        self.process = ProcessMetrics("worker", server, operations, LoopLag())
        self._metrics = WorkerMetrics(
            process=self.process,
            stored=StoredMetrics(kept, worker.catalogue),
            catalogue=worker.catalogue,
            dispatcher=worker.dispatcher,
            reading=reading or ReadingCounts(),
            differences={},
            slots=64,
        )

    async def scrape(self) -> Scrape:
        """Ask once."""
        sheet = Sheet()
        await self._metrics.fill(sheet)
        return read((await sheet.text()).decode())
