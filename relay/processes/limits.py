"""The limits that a child process sets for itself before its first job. It can lower them, but not raise them again."""

import resource
import signal
from contextlib import suppress
from pathlib import Path

STATM = Path("/proc/self/statm")


def limit_process(*, memory_bytes: int) -> None:
    """Forbid this process to open files, to start processes and to take more than `memory_bytes` beyond what it has.

    Memory: an allocation beyond the limit fails, which ends the process. Where `/proc` is missing (macOS), memory
    is not limited. To start processes is always allowed to root.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    with suppress(OSError):
        pages = int(STATM.read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)
    # Last, because it forbids opening files too. 0, 1 and 2 are open.
    _limit(resource.RLIMIT_NOFILE, 3)


def _limit(what: int, most: int) -> None:
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (most, most))


def limit_cpu(seconds: float) -> None:
    """End this process by SIGPROF if it takes so much CPU time from now on. 0: no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
