"""The `relay` command: picks the subcommand and turns expected errors into a message and an exit code."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType

from relay.domain.masking import printable
from relay.errors import Invalid, RelayError

COMMANDS = {
    "serve": "run the REST API",
    "worker": "run a worker: poll sources and send callbacks",
    "doctor": "check the settings and Redis, and compute the requests to Infinity",
    "restore": "restore an empty Redis from the checkpoint at RELAY_CHECKPOINT_URL",
    "demo": "run all of them on this machine and watch callbacks arrive",
    "sandbox": "run a simulation of Infinity's reports API",
    "receiver": "run a sample receiver that verifies callbacks",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `relay …`; gives the exit code: 0 well, 1 failed, 2 wrong arguments or settings, 130 Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] in (["serve"], ["worker"]):
        # Told to end while it is imported, a service ends well: nothing is open yet. Later it has handlers of its own.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        args = _parser(arguments).parse_args(arguments)
        return int(args.run(args))
    except Invalid as error:
        faults = (f"  {fault.path[0]} {printable(fault.message)}" for fault in error.faults)
        print("Invalid settings:", *faults, sep="\n", file=sys.stderr)
        return 2
    except RelayError as error:
        # In one line, whatever a server or a record said.
        print(f"relay {arguments[0]}: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # As shells say it.


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relay",
        description="Polls Infinity's reports API, and sends each row as a signed callback to every subscriber.",
        epilog="Settings are RELAY_* environment variables: see docs/configuration.md.",
    )
    parser.add_argument("--version", action="version", version=f"relay {version('infinity-event-relay')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in arguments[:1]:
            # Only the one that runs is imported: the image has no demo in it, and `--help` should be quick.
            module = _imported(name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _imported(command: str) -> ModuleType:
    """The module of a command. Raises RelayError if it needs packages that this installation lacks."""
    try:
        return importlib.import_module(f"relay.cli.{command}")
    except ModuleNotFoundError as error:
        if (error.name or "relay").partition(".")[0] in {"relay", "workers"}:
            raise
        raise RelayError(
            f"this installation has no package {error.name}, because it has only what services need. "
            f"To use this command, install the rest with: pip install 'infinity-event-relay[demo]'"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
