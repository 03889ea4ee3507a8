"""`relay export`: what is configured, as a file that `relay apply` reads."""

import argparse

from relay.cli.client.api import Api
from relay.cli.declaring.exporting import Export
from relay.cli.declaring.present import Reading
from relay.cli.output import Output
from relay.cli.session import WELL, add_client_arguments, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay export`."""
    parser.add_argument(
        "--placeholders", action="store_true", help="write ${NAME} for each secret, to be set as a variable"
    )
    add_client_arguments(parser, _export)


def _export(api: Api, out: Output, args: argparse.Namespace) -> int:
    reading = Reading(api)
    export = Export(reading.everything(), placeholders=args.placeholders)
    if out.as_json:
        out.document(export.whole)
    else:
        print(export.text(), end="")
    if reading.nameless:
        out.note(f"not in the file, because they have no uid: {', '.join(reading.nameless)}")
    return WELL
