"""`relay portal`: links that let subscribers in."""

import argparse
from typing import Any

from relay.cli.arguments import listed, named, positive
from relay.cli.client.api import Api, path_of
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, add_confirmation, confirmed, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay portal …`."""
    steps = parser.add_subparsers(metavar="STEP", required=True)
    link = _one(steps, "link", "print a link that lets a subscriber see an application; it works once, for ten minutes")
    link.add_argument(
        "--expiry", type=positive, metavar="SECONDS", help="how long the subscriber stays in (default: 7 days)"
    )
    allowed = link.add_mutually_exclusive_group()
    allowed.add_argument(
        "--read-only", action="store_true", help="the subscriber can change nothing, and sees no secret"
    )
    allowed.add_argument(
        "--capabilities", type=listed, metavar="NAME,…", help="what the subscriber can do (default: everything)"
    )
    link.add_argument(
        "--session", type=named, metavar="NAME", help="your own name for the subscriber, for `relay portal end`"
    )
    add_client_arguments(link, _link)
    end = _one(steps, "end", "sign the subscribers of an application out")
    end.add_argument(
        "--session", type=named, action="append", metavar="NAME", help="only those of this name; can be repeated"
    )
    add_confirmation(end)
    add_client_arguments(end, _end)


def _one(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text)
    parser.add_argument("app", metavar="APP", help="the id or uid of the application")
    return parser


def _link(api: Api, out: Output, args: argparse.Namespace) -> int:
    asked = {"expiry": args.expiry, "capabilities": args.capabilities, "sessionId": args.session}
    body = {name: value for name, value in asked.items() if value is not None}
    if args.read_only:
        body["readOnly"] = True
    given = api.post(path_of("auth", "app-portal-access", args.app), body)
    # Without RELAY_PUBLIC_URL, the relay does not know its own address. The one that was asked works at least here.
    url = given["url"] if not given["url"].startswith("/") else api.place.url + given["url"]
    out.say(url)
    if out.as_json:
        out.document({**given, "url": url})
    return WELL


def _end(api: Api, out: Output, args: argparse.Namespace) -> int:
    chosen = f"of session {', '.join(args.session)}" if args.session else f"of application {args.app}"
    confirmed(f"Sign out all subscribers {chosen}?", args)
    api.post(path_of("auth", "app", args.app, "expire-all"), {"sessionIds": args.session} if args.session else {})
    out.fields({"ended": args.app}, {"ended": args.app})
    return WELL
