"""Rolling restarts as a Deployment makes them: a new process is ready before an old one is told to end."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from tests.bench.processes import Child, says_ready
from tests.fault.case import Finding
from tests.fault.stage import WORKER, Stage, until


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended after SIGTERM."""

    name: str
    seconds: float
    code: int


@dataclass(slots=True)
class Rolling:
    """Replaces the workers of a stage, one at a time. Those that were told to end do so while others start."""

    on: Stage
    ends: list[End] = field(default_factory=list)
    _ending: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, *, entry: Iterable[str] = WORKER, env: Mapping[str, str] | None = None) -> Child:
        """Start one more worker, and wait until it says that it is ready."""
        worker = await self.on.worker(entry=entry, env=env)
        await until(says_ready(self.on.ports[worker.name]), what=f"{worker.name} to be ready")
        return worker

    async def replace(self, *, entry: Iterable[str] = WORKER, env: Mapping[str, str] | None = None) -> None:
        """Start one, and tell a random one of those before it to end."""
        old = self.on.rng.choice(self.on.workers)
        await self.start(entry=entry, env=env)
        self.end(old)

    def end(self, worker: Child) -> None:
        """Tell a worker to end, and note how it does."""
        self.on.workers.remove(worker)
        task = asyncio.create_task(self._end(worker))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, worker: Child) -> None:
        began = monotonic()
        await worker.stop()
        self.ends.append(End(worker.name, monotonic() - began, worker.process.returncode or 0))

    async def ended(self) -> None:
        """Wait until all that were told to end have ended. Raises what kept one from it."""
        await asyncio.gather(*self._ending)

    def findings(self, *, limit_s: float) -> list[Finding]:
        """What became of those that were told to end, and of what the workers logged."""
        slowest = max(self.ends, key=lambda end: end.seconds)
        ill = [end for end in self.ends if end.code]
        quick = sorted(end.seconds for end in self.ends)[len(self.ends) // 2]
        errors = self.errors()
        return [
            Finding("exit codes that are not 0", len(ill), "==", 0, "", f"of {len(self.ends)} {ill[:3] or ''}".strip()),
            Finding("longest end after SIGTERM", slowest.seconds, "<=", limit_s, "s", f"median {quick:.1f} s"),
            Finding("errors in the logs", len(errors), "==", 0, "", " ".join(errors[:1])[:300]),
        ]

    def errors(self) -> list[str]:
        """Lines of the logs that report an error. The stage needs RELAY_LOG_FORMAT=json."""
        logs = (path.read_text(errors="replace") for path in self.on.folder.glob("*.log"))
        lines = (line for log in logs for line in log.splitlines())
        return [line for line in lines if '"level":"error"' in line.replace(": ", ":") or line.startswith("Traceback")]
