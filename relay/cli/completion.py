"""`relay completion`: a script for the shell that completes commands, options and choices."""

import argparse

import shtab

COMPLETED = {"FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}
SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `relay completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell; docs/cli.md says where its script belongs")


def run(args: argparse.Namespace) -> int:
    """Print the script. Raises RelayError if a command lacks its packages."""
    from relay.cli.main import COMMANDS, parser_of  # main imports this module

    parser = parser_of(list(COMMANDS))
    _complete_files(parser)
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Have the shell complete the names of files and folders, also in steps of groups."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for step in action.choices.values():
                _complete_files(step)
        elif found := COMPLETED.get(str(action.metavar)):
            action.complete = found  # type: ignore[attr-defined]
