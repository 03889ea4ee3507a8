"""`relay demo`: the whole relay on this machine, watched, and judged at the end by what the upstream showed."""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict

from relay.cli.arguments import amount
from relay.cli.demo.processes import ChildEnded
from relay.cli.demo.running import Demo
from relay.cli.demo.table import screen
from relay.cli.demo.verdict import Verdict
from relay.cli.faults import Misused
from relay.domain.masking import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `relay demo` understands."""
    parser.add_argument(
        "--seconds",
        type=amount(),
        help="generate rows for this long, then check the result and end (default: until Ctrl-C)",
    )
    parser.add_argument("--rate", type=amount(), default=40.0, help="rows per second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="number that determines the rows (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON, at the end")


def run(args: argparse.Namespace) -> int:
    """Run until the time is over or a signal comes; 0 only if nothing is missing and nothing came twice.

    Raises RelayError when a process of the demo ends by itself, after it has printed the end of its log.
    """
    if not args.rate:
        raise Misused("--rate must be above 0, such as 40")
    try:
        verdict = asyncio.run(_watched(args))
    except ChildEnded as error:
        print(*map(printable, error.log), sep="\n", file=sys.stderr)
        raise
    if verdict is None:
        return 1
    print(json.dumps(asdict(verdict)) if args.json else _sentence(verdict))
    return 0 if verdict.kept_its_promises else 1


async def _watched(args: argparse.Namespace) -> Verdict | None:
    """The verdict; None when a second signal asked to end at once."""
    stop = asyncio.Event()
    # With --json, standard output carries nothing but the verdict.
    with screen(sys.stderr if args.json else sys.stdout) as shown:
        demo = asyncio.ensure_future(Demo(shown, rate=args.rate, seed=args.seed).run(stop, seconds=args.seconds))

        def asked_to_end() -> None:
            if stop.is_set():
                demo.cancel()
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, asked_to_end)
        try:
            return await demo
        except asyncio.CancelledError:
            return None


def _sentence(verdict: Verdict) -> str:
    return (
        f"Infinity showed {verdict.shown} rows, and the relay stored {verdict.stored} events.\n"
        f"The receiver verified {verdict.verified} callbacks. "
        f"There are {verdict.duplicates} duplicates, and {verdict.missing} missing."
    )
