"""`relay application`: the subscribers of the relay."""

import argparse

from relay.cli.client.api import Api, path_of
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, add_confirmation, confirmed, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay application …`."""
    steps = parser.add_subparsers(metavar="STEP", required=True)
    add_client_arguments(steps.add_parser("list", help="list all applications"), _list)
    show = steps.add_parser("show", help="show an application")
    show.add_argument("app", metavar="APP", help="the application's uid or id")
    add_client_arguments(show, _show)
    delete = steps.add_parser("delete", help="delete an application with its endpoints and their pending deliveries")
    delete.add_argument("app", metavar="APP", help="the application's uid or id")
    add_confirmation(delete)
    add_client_arguments(delete, _delete)


def _list(api: Api, out: Output, _: argparse.Namespace) -> int:
    found = list(api.items("app"))
    rows = [
        (each["uid"] or each["id"], each["name"], "all" if each["sources"] is None else each["sources"], each["filter"])
        for each in found
    ]
    out.table(("application", "name", "sources", "filter"), rows, found)
    return WELL


def _show(api: Api, out: Output, args: argparse.Namespace) -> int:
    found = api.get(path_of("app", args.app))
    out.fields({name: value for name, value in found.items() if value not in (None, [], {}, "")}, found)
    return WELL


def _delete(api: Api, out: Output, args: argparse.Namespace) -> int:
    confirmed(f"Delete application {args.app} with its endpoints and their pending deliveries?", args)
    api.delete(path_of("app", args.app))
    out.fields({"deleted": args.app}, {"deleted": args.app})
    return WELL
