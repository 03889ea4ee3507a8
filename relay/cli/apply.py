"""`relay apply`: the relay gets what a file declares. It shows what differs, and changes only that."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from relay.cli.client.api import Api
from relay.cli.declaring import showing
from relay.cli.declaring.changing import make
from relay.cli.declaring.document import Document, read
from relay.cli.declaring.hiding import Hiding
from relay.cli.declaring.planning import Change, Present, of_recipe, plan
from relay.cli.declaring.present import Reading, recipe_endpoint
from relay.cli.declaring.yaml_text import LARGEST
from relay.cli.faults import Exit, Misused, Refusal
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, add_confirmation, confirmed, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay apply`."""
    parser.add_argument(
        "-f",
        "--file",
        required=True,
        metavar="FILE",
        help="the file of declarations, in YAML or JSON; - is standard input",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what differs: exit code 3 if something does")
    parser.add_argument("--prune", action="store_true", help="delete objects that have a uid and are not declared")
    parser.add_argument(
        "--secrets", action="store_true", help="send declared secrets again: the API does not show whether they differ"
    )
    add_confirmation(parser)
    add_client_arguments(parser, _apply)


def _apply(api: Api, out: Output, args: argparse.Namespace) -> int:
    document, used = read(_text(args.file), os.environ)
    hiding = Hiding(used)
    reading = Reading(api)
    try:
        document = _with_recipes(api, document, hiding)
        present = reading.about(document)
        changes = plan(document, present, prune=args.prune, secrets=args.secrets)
        for line in showing.lines(changes, hiding):
            out.say(line)
        out.say(f"{showing.summary(changes)}.")
        if args.prune and reading.nameless:
            out.note(f"not managed, because they have no uid: {', '.join(reading.nameless)}")
        if args.dry_run:
            _report(out, changes, hiding, made=0)
            return Exit.DIFFERENT if changes else WELL
        return _make_all(api, out, args, changes, present, hiding)
    except Refusal as error:
        # An error can repeat what was sent.
        raise Refusal(hiding.text(str(error)), status=error.status, code=error.code) from None


def _make_all(
    api: Api, out: Output, args: argparse.Namespace, changes: list[Change], present: Present, hiding: Hiding
) -> int:
    if question := showing.question(changes):
        confirmed(question, args)
    made = 0
    try:
        for change in changes:
            make(api, change, present)
            made += 1
    finally:
        if made < len(changes):
            of = f"{made} of {_changes(len(changes))} made"
            out.note(f"{of}. Run relay apply again after the correction")
    if changes:
        out.say(f"{_changes(made)} made.")
    _report(out, changes, hiding, made=made)
    return WELL


def _changes(number: int) -> str:
    return "1 change was" if number == 1 else f"{number} changes were"


def _report(out: Output, changes: list[Change], hiding: Hiding, *, made: int) -> None:
    if out.as_json:
        out.document({"changes": showing.as_json(changes, hiding), "made": made})


def _with_recipes(api: Api, document: Document, hiding: Hiding) -> Document:
    """The document with what recipes make of the endpoints that name them."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for app, declared in document.endpoints.items():
        for uid, body in declared.items():
            if "recipe" in body:
                made, secrets = recipe_endpoint(api, body["recipe"], body.get("parameters", {}))
                for secret in secrets:
                    hiding.add(secret)
                found[app, uid] = of_recipe(body, made)
    return dataclasses.replace(document, of_recipes=found)


def _text(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read(LARGEST + 1)
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misused(f"{file} cannot be read: {why}") from None
