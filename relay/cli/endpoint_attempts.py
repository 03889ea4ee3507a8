"""`relay endpoint attempts`: the newest attempts of an endpoint, with their answers."""

import argparse
from itertools import islice

from relay.cli.arguments import positive
from relay.cli.client.api import Api, path_of
from relay.cli.output import Output
from relay.cli.session import WELL

LISTED = 50
STATUSES = {"success": 0, "pending": 1, "fail": 2, "sending": 3, "canceled": 4}
COLUMNS = ("when", "event type", "message", "outcome", "status", "ms", "attempt", "next attempt", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--status", choices=STATUSES, help="only attempts with this outcome")
    parser.add_argument("--limit", type=positive, default=LISTED, metavar="N", help="at most N (default: %(default)s)")


def list_attempts(api: Api, out: Output, args: argparse.Namespace) -> int:
    """Print the attempts, the newest first. With --json, each has the beginning of its answer as `response`."""
    path = path_of("app", args.app, "attempt", "endpoint", args.endpoint)
    status = None if args.status is None else STATUSES[args.status]
    found = list(islice(api.items(path, status=status), args.limit + 1))
    rows = [
        (
            each["timestamp"], each["eventType"], each["msgId"], each["statusText"],
            each["responseStatusCode"] or None, each["responseDurationMs"], each["number"], each["nextAttempt"],
            each["error"] or None,
        )
        for each in found[: args.limit]
    ]  # fmt: skip
    out.table(COLUMNS, rows, found[: args.limit])
    if len(found) > args.limit:
        out.note(f"there are more than {args.limit}: see them with --limit")
    return WELL
