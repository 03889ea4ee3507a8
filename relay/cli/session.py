"""What commands that talk to the API have in common: their arguments, the client, and where they write."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from relay.cli.arguments import named
from relay.cli.client.api import Api
from relay.cli.client.places import chosen
from relay.cli.faults import Exit, Misused
from relay.cli.output import Output
from relay.domain.masking import printable

Act = Callable[[Api, Output, argparse.Namespace], int]
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_client_arguments(parser: argparse.ArgumentParser, act: Act) -> None:
    """Declare what every command has that talks to the API, and what it does."""
    parser.add_argument(
        "--profile", type=named, metavar="NAME", help="the relay to ask: a profile of ~/.config/relay/profiles.toml"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(act=act)


def add_confirmation(parser: argparse.ArgumentParser) -> None:
    """Declare --yes."""
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask for confirmation")


def run(args: argparse.Namespace) -> int:
    """Do what `add_client_arguments` was given. Raises Misused and Refusal."""
    with opened(args) as (api, out):
        act: Act = args.act
        return act(api, out, args)


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[tuple[Api, Output]]:
    """The API that is meant, and where to write."""
    with Api(chosen(os.environ, args.profile)) as api:
        yield api, Output(as_json=args.json)


def confirmed(question: str, args: argparse.Namespace) -> None:
    """Have a person agree, or --yes. Raises Misused if nobody can be asked, or the person does not agree."""
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise Misused(f"{question} Nobody can be asked here: add --yes to agree")
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Misused("nothing was changed")


def moment(text: str) -> str:
    """A time of an argument as the API reads it: RFC 3339, or how long ago it was, such as `2h` or `7d`.

    Raises argparse.ArgumentTypeError.
    """
    number, unit = text[:-1], text[-1:]
    try:
        if unit in UNITS and number.isdecimal() and len(number) < 12:
            at = datetime.now(UTC) - timedelta(**{UNITS[unit]: int(number)})
            return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a time such as 2026-11-24T10:00:00Z, a day, or how long ago, such as 90m, 2h or 7d"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat().replace("+00:00", "Z")


WELL = int(Exit.WELL)
