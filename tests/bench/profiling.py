"""Where a process spends its time: py-spy's samples as a flame graph, or as a table of functions."""

import os
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.bench.measuring import threads_s
from tests.bench.processes import ChildFailed, child

SAMPLES_PER_S = 500
SHOWN = 40
LINE = re.compile(r":\d+\)$")
"""A frame is `function (file:line)`."""


@asynccontextmanager
async def profiled(pid: int, folder: Path, path: Path) -> AsyncIterator[None]:
    """Sample a process while the block lasts: into a flame graph (`.svg`), or a table of functions (any other suffix).

    Raises ChildFailed when there is no py-spy.
    """
    binary = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if binary is None:
        raise ChildFailed("py-spy is not installed")
    graph = path.suffix == ".svg"
    output = path if graph else folder / "stacks.txt"
    command = [
        binary, "record", "--pid", str(pid), "--rate", str(SAMPLES_PER_S), "--nonblocking",
        "--format", "flamegraph" if graph else "raw", "--output", str(output),
    ]  # fmt: skip
    before = threads_s(pid)
    async with child("py-spy", *command, folder=folder) as spy:
        yield
        after = threads_s(pid)
        # It writes its file when it is interrupted.
        with suppress(ProcessLookupError):
            spy.process.send_signal(signal.SIGINT)
        await spy.process.wait()
    if not graph:
        used = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
        path.write_text(_threads(used) + "\n" + own_times(output.read_text()))


def _threads(used: dict[str, float]) -> str:
    return "".join(f"{seconds:8.2f} s of CPU  threads {name}\n" for name, seconds in sorted(used.items()))


def own_times(stacks: str) -> str:
    """A table from collapsed stacks: each function's own share, and its share with all that it calls."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack.strip():
            continue  # A thread of the HTTP client's, which runs no Python: see the seconds by thread.
        frames = [LINE.sub(")", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    total = sum(own.values()) or 1
    rows = [
        f"{100 * n / total:6.1f} % {100 * whole[name] / total:6.1f} %  {name}" for name, n in own.most_common(SHOWN)
    ]
    return "\n".join([f"{total} samples, {SAMPLES_PER_S} a second", "     own      all  function", *rows, ""])
