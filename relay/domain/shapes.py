"""The shape of a row: which columns it has, in which order. Rows of one route have a few shapes between them.

What depends on the names alone is worked out once for each shape.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

MOST_SHAPES = 256
MOST_COLUMNS = 512
MOST_LETTERS = 16_384
"""Larger shapes are not remembered: 256 of these take 6 MB at most."""

Values = Callable[[dict[str, Any]], tuple[Any, ...]]


class Shape:
    """What is known of all rows that have the same columns in the same order."""

    __slots__ = ("_made", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._made: dict[Callable[[tuple[str, ...]], Any], Any] = {}

    def made(self, make: Callable[[tuple[str, ...]], Any]) -> Any:
        """What `make` makes of the names, worked out once."""
        found = self._made.get(make)
        if found is None:
            found = self._made[make] = make(self.names)
        return found


_shapes: dict[tuple[str, ...], Shape] = {}


def shape_of(row: dict[str, Any]) -> Shape:
    """The shape of a row."""
    names = tuple(row)
    shape = _shapes.get(names)
    return _new_shape(names) if shape is None else shape


def _new_shape(names: tuple[str, ...]) -> Shape:
    shape = Shape(names)
    if len(names) <= MOST_COLUMNS and sum(map(len, names)) <= MOST_LETTERS:
        if len(_shapes) >= MOST_SHAPES:
            _shapes.clear()
        _shapes[names] = shape
    return shape


def values_of(names: tuple[str, ...]) -> Values:
    """A function that gives a row's values in these columns, which it must have."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)
