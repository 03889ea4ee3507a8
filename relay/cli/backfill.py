"""`relay backfill`: old rows of a route become events, watched to the end."""

import argparse

from relay.cli.arguments import listed, row_id
from relay.cli.client.api import Api, path_of
from relay.cli.following import follow_backfill
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay backfill`."""
    parser.add_argument("source", metavar="SOURCE", help="the uid of the source")
    parser.add_argument("route", metavar="ROUTE", help="a route of the source, such as all")
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--since", metavar="DAY", help="begin with the first row of this day (UTC), such as 2026-01-31")
    begin.add_argument("--after-row-id", metavar="ROWID", type=row_id, help="begin with the rows after this rowId")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--until", metavar="DAY", help="leave out the rows of later days (UTC)")
    end.add_argument("--until-row-id", metavar="ROWID", type=row_id, help="end with this rowId (default: the cursor)")
    parser.add_argument(
        "--endpoints",
        type=_endpoints,
        required=True,
        metavar="all|none|ID,…",
        help="the endpoints that receive the rows: all, none (the relay only stores the events), or their ids",
    )
    parser.add_argument("--dry-run", action="store_true", help="only count the rows")
    parser.add_argument("--no-wait", action="store_true", help="start it, and do not wait until it ends")
    add_client_arguments(parser, _backfill)


def _endpoints(text: str) -> str | list[str]:
    return text if text in ("all", "none") else listed(text)


def _backfill(api: Api, out: Output, args: argparse.Namespace) -> int:
    given = {
        "since": args.since,
        "afterRowId": args.after_row_id,
        "until": args.until,
        "untilRowId": args.until_row_id,
    }
    body = {name: value for name, value in given.items() if value is not None}
    body |= {"route": args.route, "dryRun": args.dry_run}
    body["endpoints"] = args.endpoints
    started = api.post(path_of("source", args.source, "backfill"), body)
    if args.no_wait:
        out.fields({"id": started["id"], "state": started["state"]}, started)
        return WELL
    return follow_backfill(api, out, args.source, started)
