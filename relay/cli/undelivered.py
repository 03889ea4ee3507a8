"""`relay undelivered`: the messages that endpoints should have received and have not, with the reason."""

import argparse
from collections import Counter
from itertools import islice
from typing import Any

from relay.cli.arguments import listed, named, positive
from relay.cli.client.api import Api
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, run

__all__ = ["add_arguments", "run"]

LISTED = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay undelivered`."""
    parser.add_argument("--app", type=named, help="only this application")
    parser.add_argument("--endpoint", type=named, help="only this endpoint")
    parser.add_argument("--source", type=named, help="only this source")
    parser.add_argument("--state", choices=("dead", "waiting"), help="only messages in this state")
    parser.add_argument("--reason", type=listed, metavar="REASON,…", help="only messages with one of these reasons")
    parser.add_argument("--reasons", action="store_true", help="count the messages by endpoint and reason")
    parser.add_argument(
        "--limit", type=positive, metavar="N", help=f"at most N messages (default: {LISTED}; --reasons: all)"
    )
    add_client_arguments(parser, _undelivered)


def _undelivered(api: Api, out: Output, args: argparse.Namespace) -> int:
    most = args.limit if args.limit is not None else None if args.reasons else LISTED
    query = {name: getattr(args, name) for name in ("app", "endpoint", "source", "state")}
    every = (each for each in api.items("undelivered", **query) if args.reason is None or each["reason"] in args.reason)
    if args.reasons:
        counts = Counter(
            (each["appId"], each["endpointId"], _endpoint(each), each["state"], each["reason"])
            for each in islice(every, most)
        )
        names = ("appId", "endpointId", "endpoint", "state", "reason", "messages")
        groups = [dict(zip(names, (*key, number), strict=True)) for key, number in counts.most_common()]
        out.table(
            ("application", "endpoint", "state", "reason", "messages"),
            [(each["appId"], each["endpoint"], each["state"], each["reason"], each["messages"]) for each in groups],
            [{name: value for name, value in each.items() if name != "endpoint"} for each in groups],
        )
        return WELL
    found = list(islice(every, None if most is None else most + 1))
    rows = [
        (_endpoint(each), each["msgId"] or f"row {each['rowId']}", each["reason"], each["attempts"], each["since"])
        for each in found[:most]
    ]
    out.table(("endpoint", "message", "reason", "attempts", "since"), rows, found[:most])
    if args.reason and not found:
        out.note("no message has such a reason: see which reasons there are with --reasons")
    if most is not None and len(found) > most:
        out.note(f"there are more than {most}: see them with --limit, or count them with --reasons")
    return WELL


def _endpoint(each: dict[str, Any]) -> str:
    return str(each["endpointUid"] or each["endpointId"])
