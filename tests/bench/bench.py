"""What all parts share: the folder, the sink, the rows, the baseline, and how long things may take."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from tests.bench.driving import BareTransport, drive_transport
from tests.bench.figures import Figure, Report
from tests.bench.sinks import Sink
from tests.bench.upstream import Rows

BASELINE = "the bare transport"
BASELINE_REQUESTS = 8_000
Result = TypeVar("Result")


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

    async def baseline(self) -> float:
        """What the bare transport reaches on the sink at this moment, in requests/s."""
        return (await drive_transport(BareTransport(), self.sink, self.size(BASELINE_REQUESTS))).per_s

    async def beside_baseline(self, run: Callable[[], Awaitable[Result]]) -> list[tuple[Result, float]]:
        """Run something several times, and the baseline right before each: what else the machine does changes."""
        results = []
        for _ in range(self.runs):
            baseline = await self.baseline()
            results.append((await run(), baseline))
        return results

    def add(
        self,
        part: str,
        what: str,
        values: Sequence[float],
        unit: str,
        *,
        baselines: Sequence[float],
        goal: str = "",
        note: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Report a figure with its ratio to the baselines that were taken beside it."""
        ratio = median(value / baseline for value, baseline in zip(values, baselines, strict=True))
        self.report.add(
            Figure(part, what, values, unit, ratio=ratio, baseline=BASELINE, goal=goal, note=note, more=more or {})
        )
