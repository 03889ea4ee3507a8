"""`relay reconcile`: what Infinity shows, what the relay stored, and what endpoints confirmed."""

import argparse
from itertools import islice
from typing import Any

from relay.cli.arguments import natural, row_id
from relay.cli.client.api import Api, path_of
from relay.cli.faults import Exit, Misused
from relay.cli.following import follow_reconciliation
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, moment, run

__all__ = ["add_arguments", "run"]

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay reconcile`."""
    parser.add_argument("source", metavar="SOURCE", help="the uid of the source")
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="rows that the routes passed after this: 2h, 7d, …"
    )
    parser.add_argument("--until", type=moment, metavar="TIME", help="rows that the routes had passed at this time")
    parser.add_argument("--after-row-id", type=row_id, metavar="ROWID", help="only rows above this rowId")
    parser.add_argument("--until-row-id", type=row_id, metavar="ROWID", help="only rows up to this rowId")
    parser.add_argument("--repair", action="store_true", help="repair what is missing and undelivered")
    parser.add_argument(
        "--limit", type=natural, default=SHOWN, metavar="N", help="list N differences (default: %(default)s)"
    )
    parser.add_argument("--no-wait", action="store_true", help="start it, and do not wait until it ends")
    add_client_arguments(parser, _reconcile)


def _reconcile(api: Api, out: Output, args: argparse.Namespace) -> int:
    given = {
        "since": args.since,
        "until": args.until,
        "afterRowId": args.after_row_id,
        "untilRowId": args.until_row_id,
    }
    if args.repair and args.no_wait:
        raise Misused("--repair and --no-wait exclude each other: a repair begins when the comparison has ended")
    body = {name: value for name, value in given.items() if value is not None}
    started = api.post(path_of("source", args.source, "reconciliation"), body)
    if args.no_wait:
        out.fields({"id": started["id"], "state": started["state"]}, started)
        return WELL
    ended = follow_reconciliation(api, out, args.source, started)
    if args.repair and ended["state"] == "done" and _differs(ended):
        path = path_of("source", args.source, "reconciliation", ended["id"], "repair")
        ended = follow_reconciliation(api, out, args.source, api.post(path, {}))
    _print(api, out, args, ended)
    if ended["state"] != "done":
        return Exit.FAILED
    return Exit.DIFFERENT if _unrepaired(ended) else Exit.WELL


def _differs(ended: dict[str, Any]) -> bool:
    return any(ended["differences"].values())


def _unrepaired(ended: dict[str, Any]) -> bool:
    """Whether differences remain that the last repair was not asked for, or did not manage."""
    repair = ended["repair"]
    if repair is None:
        return _differs(ended)
    rest = sum(number for kind, number in ended["differences"].items() if kind not in repair["kinds"])
    return bool(rest or repair["unrepaired"])


def _print(api: Api, out: Output, args: argparse.Namespace, ended: dict[str, Any]) -> None:
    path = path_of("source", args.source, "reconciliation", ended["id"], "difference")
    listed = list(islice(api.items(path), args.limit)) if _differs(ended) and args.limit > 0 else []
    if out.as_json:
        out.document(ended | {"listed": listed})
        return
    names = {"rows shown by Infinity": "rowsShown", "rows stored": "rowsStored", "messages": "messages"}
    fields = {"reconciliation": ended["id"], "state": ended["state"]}
    fields |= {text: ended[name] for text, name in names.items()}
    fields |= {f"difference: {kind}": number for kind, number in ended["differences"].items() if number}
    if ended["repair"]:
        fields |= {"repaired": ended["repair"]["repaired"], "not repaired": ended["repair"]["unrepaired"]}
    if ended["error"]:
        fields["error"] = ended["error"]
    out.fields(fields, ended)
    if listed:
        out.say("")
        rows = [(each["kind"], each["rowId"], each["endpointId"], each["msgId"]) for each in listed]
        out.table(("difference", "row", "endpoint", "message"), rows, None)
    elif not _differs(ended):
        out.say("Nothing differs.")
