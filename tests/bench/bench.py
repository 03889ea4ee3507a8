"""What all parts share: the folder, the sink, the rows, the baseline, and how long things may take."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from tests.bench.driving import Pace, drive_client, drive_limit
from tests.bench.figures import Figure, Report
from tests.bench.sinks import Sink
from tests.bench.upstream import Rows

BASELINE_REQUESTS = 8_000
Result = TypeVar("Result")
Baselines = Mapping[str, Pace]
"""By name: `client` and `limit`, see tests.bench.driving."""


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks."""

    folder: Path
    sink: Sink
    report: Report
    quick: bool = False
    runs: int = 3
    profile: Path | None = None
    endpoints: Sequence[int] = ()
    """Only these numbers of endpoints; empty: all that a part measures."""
    rows: Rows = field(default_factory=Rows)

    def size(self, count: int) -> int:
        """How many of something: a quarter of it in a quick run."""
        return count // 4 if self.quick else count

    def seconds(self, wanted: int) -> int:
        """How long rows come at a steady rate: ten seconds in a quick run, for the first three do not count."""
        return min(wanted, 10) if self.quick else wanted

    def among(self, counts: Sequence[int]) -> list[int]:
        """Those numbers of endpoints that were asked for."""
        return [count for count in counts if not self.endpoints or count in self.endpoints]

    def own_folder(self, name: str) -> Path:
        """A folder for one part's processes; names are short, for a socket's path must be."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def trust(self) -> dict[str, str]:
        """The settings with which a worker trusts the sink's certificate."""
        if self.sink.tls_port is None:
            return {}
        file = self.folder / "root.pem"
        file.write_bytes(self.sink.root)
        return {"RELAY_EGRESS_CA_FILE": str(file)}

    async def baselines(self, *, tls: bool = False) -> Baselines:
        """What clients that store nothing reach on the sink at this moment."""
        url, root = (self.sink.tls_url, self.sink.root) if tls else (self.sink.url, None)
        count = self.size(BASELINE_REQUESTS)
        return {
            "client": await drive_client(url, count, root=root),
            "limit": await drive_limit(url, count, root=root),
        }

    async def beside_baselines(
        self, run: Callable[[], Awaitable[Result]], *, tls: bool = False
    ) -> list[tuple[Result, Baselines]]:
        """Run something several times, and the baselines right before each: what else the machine does changes."""
        results = []
        for _ in range(self.runs):
            baselines = await self.baselines(tls=tls)
            results.append((await run(), baselines))
        return results

    def add(
        self,
        part: str,
        what: str,
        values: Sequence[float],
        unit: str,
        *,
        baselines: Sequence[Baselines],
        goal: str = "",
        note: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Report a figure with its ratios to the baselines that were taken beside it."""
        ratios = {
            name: median(value / each[name].per_s for value, each in zip(values, baselines, strict=True))
            for name in baselines[0]
        }
        paces = {name: [each[name] for each in baselines] for name in baselines[0]}
        said = ", ".join(
            f"{name} {median(pace.per_s for pace in each):,.0f}/s at {median(pace.cpu_us for pace in each):.0f} µs"
            for name, each in paces.items()
        )
        self.report.add(
            Figure(
                part,
                what,
                values,
                unit,
                ratios=ratios,
                goal=goal,
                note="; ".join(filter(None, (note, said))),
                more=more or {},
            )
        )
