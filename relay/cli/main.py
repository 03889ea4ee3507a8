"""The `relay` command: picks the subcommand and turns expected errors into a message and an exit code."""

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from relay.cli.faults import Exit, Misused
from relay.domain.masking import printable
from relay.errors import Invalid, RelayError

SERVICES = {
    "serve": "run the REST API",
    "worker": "run a worker: poll sources and send callbacks",
    "doctor": "check the settings, Redis, credentials, egress and the clock, and say what to do",
    "restore": "restore an empty Redis from the checkpoint at RELAY_CHECKPOINT_URL",
}
CLIENT = {
    "apply": "create, change and delete what a file declares: sources, applications, endpoints",
    "export": "print what is configured, as `relay apply` reads it",
    "source": "list, show, pause, resume, poll, rewind and delete sources",
    "application": "list, show and delete applications",
    "endpoint": "list, show, pause, resume, test and delete endpoints, list attempts, and rotate secrets",
    "tail": "show attempts as they end",
    "undelivered": "list the messages that endpoints should have received and have not",
    "replay": "send messages to an endpoint again",
    "reconcile": "compare a source with Infinity and with what endpoints confirmed",
    "backfill": "read old rows of a route",
    "key": "list, create, show, rotate and delete API keys",
    "portal": "print links that let subscribers see an application, and sign subscribers out",
}
WORKBENCH = {
    "listen": "receive callbacks on this machine: verify, print and answer as you choose",
    "verify": "say what is wrong with a callback that you saved",
    "sandbox": "run a simulation of Infinity's reports API",
    "receiver": "run a sample receiver that verifies callbacks, for scripts",
    "demo": "run a sandbox, a relay and a receiver on this machine, and watch callbacks arrive",
    "completion": "print the completion of this command for bash, zsh or fish",
}
COMMANDS = SERVICES | CLIENT | WORKBENCH
EXTRA = {"demo": "demo"}
"""The extra of the package that a command needs; `cli` for all others that need one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `relay …`; gives the exit code: see relay.cli.faults.Exit, and 130 for Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] in (["serve"], ["worker"]):
        # Told to end while it is imported, a service ends well: nothing is open yet. Later it has handlers of its own.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    _prepare_streams()
    try:
        args = parser_of(arguments[:1]).parse_args(arguments)
        code = int(args.run(args))
        sys.stdout.flush()  # Here, where it can still be said that it failed.
        return code
    except Invalid as error:
        faults = (f"  {fault.path[0]} {printable(fault.message)}" for fault in error.faults)
        print("Invalid settings:", *faults, sep="\n", file=sys.stderr)
        return Exit.MISUSED
    except RelayError as error:
        # In one line, whatever a server or a record said.
        print(f"relay {arguments[0]}: {printable(str(error))}", file=sys.stderr)
        return Exit.MISUSED if isinstance(error, Misused) else Exit.FAILED
    except KeyboardInterrupt:
        return 130  # As shells say it.
    except BrokenPipeError:
        _discard_output()  # `relay … | head` has what it wanted.
        return Exit.FAILED
    except OSError as error:
        if arguments[0] in SERVICES:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"relay {arguments[0]}: {printable(f'{place}{error.strerror or error}')}", file=sys.stderr)
        _discard_output()
        return Exit.FAILED


def _prepare_streams() -> None:
    """Replace streams that the caller closed, and have no character end a command that the encoding lacks."""
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Python would complain when it flushes at the end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except io.UnsupportedOperation:
        return  # It is no file.


def parser_of(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the arguments of the named commands. Raises RelayError if a command lacks its packages."""
    parser = argparse.ArgumentParser(
        prog="relay",
        description="Polls Infinity's reports API, and sends each row as a signed callback to every subscriber.",
        epilog="Settings are RELAY_* environment variables: see docs/configuration.md, and docs/cli.md for commands.",
    )
    parser.add_argument("--version", action="version", version=f"relay {version('infinity-event-relay')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in names:
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
            f"this installation has no package {error.name}, because it has only what services need. To use this "
            f"command, install the rest with: pip install 'infinity-event-relay[{EXTRA.get(command, 'cli')}]'"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
