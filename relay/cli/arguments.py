"""Numbers in arguments: each one has a least and a greatest value, so that no command meets one that it cannot use."""

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


positive = whole(1)
"""How many, at least one."""
natural = whole(0)
"""How many, or how many seconds, perhaps none."""
row_id = whole(0, 2**63 - 1)
"""A rowId."""
port = whole(0, 65_535)
"""A port to listen on; 0: any free one."""
