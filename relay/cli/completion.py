"""`relay completion`: a script for the shell that completes commands, options and choices."""

import argparse

import shtab

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `relay completion`."""
    parser.add_argument("shell", choices=SHELLS, help="such as: relay completion bash >~/.bash_completion.d/relay")


def run(args: argparse.Namespace) -> int:
    """Print the script. Raises RelayError if a command lacks its packages."""
    from relay.cli.main import COMMANDS, parser_of  # main imports this module

    print(shtab.complete(parser_of(list(COMMANDS)), shell=args.shell))
    return 0
