"""What arguments may be: numbers between limits, and texts that are not empty. Useless ones reach no command."""

import argparse
from collections.abc import Callable

Reads = Callable[[str], float]
"""A type of argparse. Raises argparse.ArgumentTypeError."""

MOST = 1_000_000_000
SHOWN = 40
"""Characters of a wrong argument that an error repeats."""


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """A whole number from `least` to `most`, in digits only."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]!r} must be a whole number from {least} to {most}")

    return read


def amount(most: float = MOST) -> Callable[[str], float]:
    """A number from 0 to `most`, which may have decimals, such as seconds."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if 0 <= number <= most:
            return number
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]!r} must be a number from 0 to {most:.0f}")

    return read


def named(text: str) -> str:
    """A text that is not empty. An empty one is a variable that is not set, and must not widen what a command does."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty: give it a value, or leave the option out")
    return text


def listed(text: str) -> list[str]:
    """An argument with one or several values, separated by commas."""
    if found := [each for each in (part.strip() for part in text.split(",")) if each]:
        return found
    raise argparse.ArgumentTypeError("must not be empty: separate values with commas, or leave the option out")


positive = whole(1)
"""How many, at least one."""
natural = whole(0)
"""How many, or how many seconds, perhaps none."""
row_id = whole(0, 2**63 - 1)
"""A rowId."""
port = whole(0, 65_535)
"""A port to listen on; 0: any free one."""
