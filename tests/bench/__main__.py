"""`make bench`: prints what the relay reaches on this machine. Nothing is asserted; docs/performance.md explains."""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.bench import (
    committing,
    dispatching,
    end_to_end,
    erasing,
    ingesting,
    isolation,
    latency,
    listing,
    many_sources,
    memory,
    remembering,
    resources,
    rows,
    scaling,
    scraping,
    sizing,
    tailing,
    tallying,
    tracing,
    transforming,
    transports,
)
from tests.bench.bench import Bench
from tests.bench.figures import Report
from tests.bench.processes import ChildFailed
from tests.bench.sinks import sink

PARTS = {
    module.PART: module
    for module in (
        transports,
        rows,
        committing,
        ingesting,
        dispatching,
        end_to_end,
        latency,
        isolation,
        resources,
        scaling,
        many_sources,
        memory,
        sizing,
        remembering,
        scraping,
        tracing,
        tailing,
        tallying,
        erasing,
        listing,
        transforming,
    )
}


def main() -> int:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the work")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--endpoints", type=_numbers, default=(), metavar="N,…", help="only with so many endpoints")
    parser.add_argument("--json", action="store_true", help="one object a line instead of tables")
    parser.add_argument("--profile", type=Path, metavar="FILE.svg", help="sample the worker into a flame graph")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    try:
        uvloop.run(_run(args))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except ChildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


async def _run(args: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    report = Report(as_json=args.json)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with sink(folder) as receiver:
            bench = Bench(
                folder,
                receiver,
                report,
                quick=args.quick,
                runs=args.runs,
                profile=args.profile,
                endpoints=args.endpoints,
            )
            for part in args.parts or PARTS:
                await PARTS[part].run(bench)


if __name__ == "__main__":
    raise SystemExit(main())
