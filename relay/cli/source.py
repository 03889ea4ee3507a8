"""`relay source`: sources, their routes, and what operators do about them."""

import argparse
from typing import Any

from relay.cli.arguments import named, row_id
from relay.cli.client.api import Api, path_of
from relay.cli.following import follow_backfill
from relay.cli.output import Output, shown
from relay.cli.session import WELL, add_client_arguments, add_confirmation, confirmed, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay source …`."""
    steps = parser.add_subparsers(metavar="STEP", required=True)
    add_client_arguments(steps.add_parser("list", help="list all sources"), _list)
    add_client_arguments(_one(steps, "show", "show a source, its routes and their last errors"), _show)
    for step, text in (
        ("pause", "stop polling"),
        ("resume", "continue polling"),
        ("poll", "poll at once, also a route that was stopped"),
    ):
        command = _one(steps, step, text)
        command.add_argument("--route", type=named, help="only this route")
        add_client_arguments(command, _step(step))
    rewind = _one(steps, "rewind", "continue a route after another rowId")
    rewind.add_argument("route", metavar="ROUTE")
    rewind.add_argument("row_id", metavar="ROWID", type=row_id, help="the route continues with the rows after it")
    rewind.add_argument("--dry-run", action="store_true", help="only count the rows that would become events")
    add_client_arguments(rewind, _rewind)
    delete = _one(steps, "delete", "delete a source with its events and pending deliveries")
    add_confirmation(delete)
    add_client_arguments(delete, _delete)


def _one(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text)
    parser.add_argument("uid", metavar="SOURCE")
    return parser


def _list(api: Api, out: Output, _: argparse.Namespace) -> int:
    found = list(api.items("source"))
    columns = ("source", "routes", "freshness", "lag", "rows/min", "last error")
    rows = [
        (
            each["uid"],
            each["routes"],
            "paused" if each["paused"] else _worst(each),
            _lag([state["lagSeconds"] for state in each["routeStates"].values()]),
            sum(state["rowsPerMinute"] for state in each["routeStates"].values()),
            next((state["lastError"] for state in each["routeStates"].values() if state["failures"]), None),
        )
        for each in found
    ]
    out.table(columns, rows, found)
    return WELL


def _lag(seconds: list[float | None]) -> str | None:
    """The longest one; None: no route has read rows yet."""
    known = [each for each in seconds if each is not None]
    return f"{shown(max(known))} s" if known else None


def _worst(source: dict[str, Any]) -> str:
    order = ("stalled", "lagging", "new", "paused", "fresh")
    found = {state["freshness"] for state in source["routeStates"].values()}
    return next((each for each in order if each in found), "new")


def _show(api: Api, out: Output, args: argparse.Namespace) -> int:
    source = api.get(path_of("source", args.uid))
    _print(out, source)
    return WELL


def _print(out: Output, source: dict[str, Any]) -> None:
    states = source["routeStates"].values()
    if out.as_json:
        out.document(source)
        return
    out.fields({name: value for name, value in source.items() if name != "routeStates"}, source)
    out.say("")
    rows = [
        (
            each["route"],
            each["state"],
            each["freshness"],
            each["cursor"],
            _lag([each["lagSeconds"]]),
            each["rowsPerMinute"],
        )
        for each in states
    ]
    out.table(("route", "state", "freshness", "cursor", "lag", "rows/min"), rows, None)
    for each in states:
        if each["failures"]:
            out.say(
                f"{each['route']} failed {each['failures']} times, last at {each['lastErrorAt']}: {each['lastError']}"
            )


def _step(step: str) -> Any:
    def act(api: Api, out: Output, args: argparse.Namespace) -> int:
        if args.route:
            route = api.post(path_of("source", args.uid, "route", args.route, step))
            out.fields({"route": route["route"], "state": route["state"], "paused": route["paused"]}, route)
        else:
            _print(out, api.post(path_of("source", args.uid, step)))
        return WELL

    return act


def _rewind(api: Api, out: Output, args: argparse.Namespace) -> int:
    if args.dry_run:
        body = {"route": args.route, "afterRowId": args.row_id, "endpoints": "none", "dryRun": True}
        started = api.post(path_of("source", args.uid, "backfill"), body)
        return follow_backfill(api, out, args.uid, started)
    path = path_of("source", args.uid, "route", args.route)
    before = api.get(path)["cursor"]
    route = api.put(f"{path}/cursor", {"rowId": args.row_id})
    out.fields({"route": route["route"], "cursor before": before, "cursor": route["cursor"]}, route)
    return WELL


def _delete(api: Api, out: Output, args: argparse.Namespace) -> int:
    confirmed(f"Delete source {args.uid} with its events and pending deliveries?", args)
    api.delete(path_of("source", args.uid))
    out.fields({"deleted": args.uid}, {"deleted": args.uid})
    return WELL
