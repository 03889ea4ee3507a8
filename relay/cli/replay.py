"""`relay replay`: messages go to an endpoint again."""

import argparse

from relay.cli.arguments import listed, positive, row_id
from relay.cli.client.api import Api, path_of
from relay.cli.following import follow_task
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, moment, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay replay`."""
    parser.add_argument("app", metavar="APP", help="the application's uid or id")
    parser.add_argument("endpoint", metavar="ENDPOINT", help="the endpoint's uid or id")
    parser.add_argument("--since", type=moment, metavar="TIME", help="stored at this time or later: a time, or 2h, 7d")
    parser.add_argument("--until", type=moment, metavar="TIME", help="stored before this time")
    parser.add_argument(
        "--states",
        type=listed,
        default=["dead"],
        metavar="STATE,…",
        help="what became of the messages: dead, delivered, skipped, never (default: dead)",
    )
    parser.add_argument(
        "--reason",
        type=listed,
        metavar="REASON,…",
        help="only messages that are dead for one of these reasons, such as schedule_used_up",
    )
    parser.add_argument("--types", type=listed, metavar="TYPE,…", help="only these event types, such as call.created")
    parser.add_argument("--sources", type=listed, metavar="SOURCE,…", help="only these sources")
    parser.add_argument("--after-row-id", type=row_id, metavar="ROWID", help="only rows above this rowId")
    parser.add_argument("--until-row-id", type=row_id, metavar="ROWID", help="only rows up to this rowId")
    parser.add_argument("--rate", type=positive, metavar="N", help="at most N messages per second")
    parser.add_argument("--dry-run", action="store_true", help="only count the messages")
    parser.add_argument("--no-wait", action="store_true", help="start it, and do not wait until it ends")
    add_client_arguments(parser, _replay)


def _replay(api: Api, out: Output, args: argparse.Namespace) -> int:
    given = {
        "since": args.since,
        "until": args.until,
        "reasons": args.reason,
        "eventTypes": args.types,
        "sources": args.sources,
        "afterRowId": args.after_row_id,
        "untilRowId": args.until_row_id,
        "rate": args.rate,
    }
    body = {name: value for name, value in given.items() if value is not None}
    body |= {"states": args.states, "dryRun": args.dry_run}
    started = api.post(path_of("app", args.app, "endpoint", args.endpoint, "bulk-replay"), body)
    if args.no_wait:
        out.fields({"task": started["id"], "status": started["status"]}, started)
        return WELL
    return follow_task(api, out, started)
