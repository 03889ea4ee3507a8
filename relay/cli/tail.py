"""`relay tail`: attempts as they end."""

import argparse
import time
from typing import Any

from relay.cli.arguments import listed, named, positive
from relay.cli.client.api import Api
from relay.cli.client.events import events_of
from relay.cli.faults import Refusal
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, run

__all__ = ["add_arguments", "run"]

AGAIN_S = 1.0
"""How soon an interrupted tail connects again."""
GIVE_UP_AFTER = 30
"""Connections in a row without an event."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay tail`."""
    parser.add_argument("--source", type=named, help="only attempts for this source")
    parser.add_argument("--app", type=named, help="only attempts for this application")
    parser.add_argument("--endpoint", type=named, help="only attempts for this endpoint")
    parser.add_argument("--types", type=listed, metavar="TYPE,…", help="only these event types, such as call.created")
    parser.add_argument("--classes", type=listed, metavar="CLASS,…", help="only rows with one of these classes")
    parser.add_argument(
        "--outcomes", type=listed, metavar="OUTCOME,…", help="only delivered, skipped, retry, dead or disabled attempts"
    )
    parser.add_argument("--seconds", type=positive, metavar="N", help="end after N seconds (default: until Ctrl-C)")
    add_client_arguments(parser, _tail)


def _tail(api: Api, out: Output, args: argparse.Namespace) -> int:
    query = {
        "source": args.source, "app": args.app, "endpoint": args.endpoint, "event_types": _joined(args.types),
        "classes": _joined(args.classes), "outcomes": _joined(args.outcomes),
    }  # fmt: skip
    ends = None if args.seconds is None else time.monotonic() + args.seconds
    silent = 0
    broken: Refusal | None = None
    while ends is None or time.monotonic() < ends:
        left = None if ends is None else max(1, round(ends - time.monotonic()))
        try:
            if _follow(api, out, query | {"seconds": left}):
                silent = 0
            broken = None
        except Refusal as error:
            # An answer is final. A connection that broke is made again: the relay may be restarting.
            silent, broken = silent + 1, error
            if error.status is not None or silent > GIVE_UP_AFTER:
                raise
            out.note(f"{error}")
        time.sleep(AGAIN_S if ends is None or time.monotonic() < ends else 0)
    if broken:
        raise broken
    return WELL


def _joined(words: list[str] | None) -> str | None:
    return ",".join(words) if words else None


def _follow(api: Api, out: Output, query: dict[str, Any]) -> bool:
    """Print one stream to its end; whether it had an event. Raises Refusal, also when the key no longer works."""
    had = False
    for response in api.stream("tail", **query):
        for event in events_of(response.iter_bytes()):
            had = True
            if out.as_json:
                out.line(event)
            elif text := _text(event):
                out.say(text)
            if event.get("type") == "end" and event.get("reason") == "key":
                raise Refusal("the API key no longer works for this tail", status=401)
    return had


def _text(event: dict[str, Any]) -> str | None:
    """An event in one line; None: people need not see it."""
    match event.get("type"):
        case "start":
            return f"{event['at']} listening"
        case "lost":
            number = "some" if event["attempts"] is None else event["attempts"]
            return f"({number} attempts are not shown: see relay undelivered, and the attempts of the endpoint)"
        case "attempt":
            place = event["endpointUid"] or event["endpointId"]
            answer = event["status"] or event["error"]
            return (
                f"{event['at'][11:19]} {event['outcome']:<9} {answer} {event['durationMs']} ms  {place}  "
                f"{event['eventType']}  {event['msgId']}" + (f"  try {event['number']}" if event["number"] > 1 else "")
            )
    return None
