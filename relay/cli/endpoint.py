"""`relay endpoint`: the endpoints of applications, and what operators do about them."""

import argparse
from typing import Any

from relay.cli import endpoint_attempts
from relay.cli.arguments import amount, named, natural
from relay.cli.client.api import Api, path_of
from relay.cli.endpoint_attempts import list_attempts
from relay.cli.endpoint_test import CALL, test_endpoint
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, add_confirmation, confirmed, run

__all__ = ["add_arguments", "run"]

STEPS = {
    "pause": ("stop sending: the relay keeps the events", {"paused": True}),
    "resume": ("continue sending, beginning with the events that were kept", {"paused": False}),
    "disable": ("disable the endpoint: the relay keeps its events", {"disabled": True}),
    "enable": ("enable an endpoint that was disabled, also by the relay", {"disabled": False}),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay endpoint …`."""
    steps = parser.add_subparsers(metavar="STEP", required=True)
    every = steps.add_parser("list", help="list the endpoints of all applications")
    every.add_argument("--app", type=named, help="only this application")
    add_client_arguments(every, _list)
    add_client_arguments(_one(steps, "show", "show an endpoint and its statistics, without secrets"), _show)
    for step, (text, change) in STEPS.items():
        add_client_arguments(_one(steps, step, text), _change(change))
    test = _one(steps, "test", "send an example of an event, and show what the endpoint answers")
    test.add_argument("--type", default=CALL, metavar="TYPE", help="the event type (default: %(default)s)")
    test.add_argument("--wait", type=amount(), default=30.0, metavar="SECONDS", help="how long to wait for the answer")
    add_client_arguments(test, test_endpoint)
    attempts = _one(steps, "attempts", "list the newest attempts of an endpoint")
    endpoint_attempts.add_arguments(attempts)
    add_client_arguments(attempts, list_attempts)
    secret = steps.add_parser("secret", help="show or rotate the secret that verifies callbacks")
    kinds = secret.add_subparsers(metavar="STEP", required=True)
    add_client_arguments(_one(kinds, "show", "print the secret"), _secret)
    rotate = _one(kinds, "rotate", "sign with a new secret, and with the old one until the grace period ends")
    rotate.add_argument("--grace", type=natural, metavar="SECONDS", help="the grace period (default: 86400)")
    add_client_arguments(rotate, _rotate)
    delete = _one(steps, "delete", "delete an endpoint with its pending deliveries")
    add_confirmation(delete)
    add_client_arguments(delete, _delete)


def _one(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(name, help=text)
    parser.add_argument("app", metavar="APP", help="the application's uid or id")
    parser.add_argument("endpoint", metavar="ENDPOINT", help="the endpoint's uid or id")
    return parser


def path_to(args: argparse.Namespace, *further: str) -> str:
    """The path of the endpoint that arguments name."""
    return path_of("app", args.app, "endpoint", args.endpoint, *further)


def _list(api: Api, out: Output, args: argparse.Namespace) -> int:
    applications = [api.get(path_of("app", args.app))] if args.app else list(api.items("app"))
    found = [
        each | {"appId": application["id"], "appUid": application["uid"]}
        for application in applications
        for each in api.items(path_of("app", application["id"], "endpoint"))
    ]
    rows = [(each["appUid"] or each["appId"], each["uid"] or each["id"], _state(each), each["url"]) for each in found]
    out.table(("application", "endpoint", "state", "url"), rows, found)
    return WELL


def _state(endpoint: dict[str, Any]) -> str:
    if endpoint["disabled"]:
        return "disabled"
    if endpoint["unfitReason"]:
        return "unfit"
    return "paused" if endpoint["paused"] else endpoint["type"] if endpoint["type"] == "poller" else "enabled"


def _show(api: Api, out: Output, args: argparse.Namespace) -> int:
    endpoint, counts = api.get(path_to(args)), api.get(path_to(args, "stats"))
    if out.as_json:
        out.document(endpoint | {"stats": counts})
        return WELL
    plain = {name: value for name, value in endpoint.items() if value not in (None, [], {}, "")}
    transformation = plain.pop("transformation", None)
    health = {f"health.{name}": value for name, value in counts.pop("health").items()}
    out.fields({"state": _state(endpoint)} | plain | counts | health, None)
    if transformation:
        out.say("\ntransformation:\n" + "\n".join(f"  {line}" for line in transformation.splitlines()))
    return WELL


def _change(change: dict[str, Any]) -> Any:
    def act(api: Api, out: Output, args: argparse.Namespace) -> int:
        endpoint = api.patch(path_to(args), change)
        fields = {"endpoint": endpoint["uid"] or endpoint["id"], "state": _state(endpoint), "url": endpoint["url"]}
        out.fields(fields, endpoint)
        return WELL

    return act


def _secret(api: Api, out: Output, args: argparse.Namespace) -> int:
    found = api.get(path_to(args, "secret"))
    out.fields({name: value for name, value in found.items() if value}, found)
    return WELL


def _rotate(api: Api, out: Output, args: argparse.Namespace) -> int:
    body = {} if args.grace is None else {"gracePeriodSeconds": args.grace}
    found = api.post(path_to(args, "secret", "rotate"), body)
    out.fields({name: value for name, value in found.items() if value}, found)
    return WELL


def _delete(api: Api, out: Output, args: argparse.Namespace) -> int:
    confirmed(f"Delete endpoint {args.app}/{args.endpoint} with its pending deliveries?", args)
    api.delete(path_to(args))
    out.fields({"deleted": f"{args.app}/{args.endpoint}"}, {"deleted": f"{args.app}/{args.endpoint}"})
    return WELL
