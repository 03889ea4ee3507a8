"""What is read from outside of the processes: CPU time, memory, and the server's own counters."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from redis.asyncio import Redis

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process and its children have used, in user and kernel mode, with all of their threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(map(cpu_s, children(pid)))


def children(pid: int) -> list[int]:
    """The ids of the processes that a process started, such as the judging processes of a worker."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def threads_s(pid: int) -> dict[str, float]:
    """Seconds of CPU by the names of a process's threads, those of one name together."""
    used: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        used[name] = used.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return used


def rss_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def pss_bytes(pid: int) -> int:
    """The memory that a process takes now; of a page that it shares with others, its part."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024


def peak_rss_bytes(pid: int) -> int:
    """The highest resident memory that a process has had so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """Counters of the server since its start."""

    commands: int
    """Every command that was run, also those inside of scripts."""
    answers: int
    """How often the server wrote to a client: one for each request or pipeline, more for an answer over 64 KiB."""

    @classmethod
    async def read(cls, redis: Redis) -> "ServerCounts":
        """Ask the server; costs one command and one answer itself."""
        stats = await redis.info("stats")
        return cls(stats["total_commands_processed"], stats["total_writes_processed"])


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything that is counted, at one moment."""

    at: float
    cpu: Mapping[str, float]
    server: ServerCounts


async def look(redis: Redis, pids: Mapping[str, int], *, at: float) -> Moment:
    """Take a Moment of the processes named in `pids`."""
    return Moment(at, {name: cpu_s(pid) for name, pid in pids.items()}, await ServerCounts.read(redis))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all values are not above.

    >>> percentile([3, 1, 2], 0.5)
    2
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


async def used_memory(redis: Redis) -> int:
    """Bytes that the server has allocated."""
    info: dict[str, Any] = await redis.info("memory")
    return int(info["used_memory"])
