"""`relay key`: API keys."""

import argparse
from typing import Any

from relay.cli.arguments import listed, named, natural
from relay.cli.client.api import Api, path_of
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, add_confirmation, confirmed, moment, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay key …`."""
    steps = parser.add_subparsers(metavar="STEP", required=True)
    every = steps.add_parser("list", help="list all keys")
    every.add_argument("--app", type=named, help="only keys that are bound to this application")
    add_client_arguments(every, _list)
    create = steps.add_parser("create", help="create a key, and print its token, which is not shown again")
    create.add_argument("name", metavar="NAME", help="a name for people, such as that of the service that uses it")
    create.add_argument("--scopes", type=listed, required=True, metavar="SCOPE,…", help="such as read, or source:write")
    create.add_argument("--app", type=named, help="bind the key to this application")
    create.add_argument("--expires-at", type=moment, metavar="TIME", help="when the key stops working")
    add_client_arguments(create, _create)
    add_client_arguments(_one(steps, "show", "show a key, without its token"), _show)
    rotate = _one(steps, "rotate", "give a key a new token, and print it")
    rotate.add_argument(
        "--grace", type=natural, metavar="SECONDS", help="how long the old token works (default: 86400)"
    )
    add_client_arguments(rotate, _rotate)
    delete = _one(steps, "delete", "delete a key: it stops working at once")
    add_confirmation(delete)
    add_client_arguments(delete, _delete)


def _one(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text)
    parser.add_argument("id", metavar="KEY", help="the id of the key")
    return parser


def _list(api: Api, out: Output, args: argparse.Namespace) -> int:
    found = list(api.items("key", app=args.app))
    rows = [(each["id"], each["name"], each["scopes"], each["appId"], each["lastUsedAt"]) for each in found]
    out.table(("key", "name", "scopes", "application", "last used"), rows, found)
    return WELL


def _create(api: Api, out: Output, args: argparse.Namespace) -> int:
    body = {"name": args.name, "scopes": args.scopes, "appId": args.app, "expiresAt": args.expires_at}
    key = api.post("key", {name: value for name, value in body.items() if value is not None})
    out.fields(key, key)
    return WELL


def _show(api: Api, out: Output, args: argparse.Namespace) -> int:
    key = api.get(path_of("key", args.id))
    out.fields(key, key)
    return WELL


def _rotate(api: Api, out: Output, args: argparse.Namespace) -> int:
    body = {} if args.grace is None else {"gracePeriodSeconds": args.grace}
    key = api.post(path_of("key", args.id, "rotate"), body)
    out.fields(key, key)
    return WELL


def _delete(api: Api, out: Output, args: argparse.Namespace) -> int:
    confirmed(f"Delete key {args.id}? It stops working at once.", args)
    api.delete(path_of("key", args.id))
    out.fields({"deleted": args.id}, {"deleted": args.id})
    return WELL
