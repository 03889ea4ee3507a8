"""The shape of a row."""

from relay.domain import shapes
from relay.domain.shapes import MOST_COLUMNS, MOST_LETTERS, MOST_SHAPES, shape_of, values_of


def test_rows_of_one_shape_share_what_was_worked_out() -> None:
    """The names and their order are the shape; what is made of them is made once."""
    made: list[tuple[str, ...]] = []

    def make(names: tuple[str, ...]) -> int:
        made.append(names)
        return len(names)

    for row in ({"a": 1, "b": 2}, {"a": 3, "b": 4}):
        assert shape_of(row).made(make) == 2
    assert shape_of({"b": 1, "a": 2}) is not shape_of({"a": 1, "b": 2})
    assert made == [("a", "b")]


def test_shapes_take_a_bounded_amount_of_memory() -> None:
    """An upstream that sends another shape in each row, or huge ones, does not fill the memory."""
    for number in range(3 * MOST_SHAPES):
        shape_of({f"c_{number}": 1})
    assert len(shapes._shapes) <= MOST_SHAPES
    for large in (dict.fromkeys(map(str, range(MOST_COLUMNS + 1))), {"x" * (MOST_LETTERS + 1): 1}):
        assert shape_of(large).names == tuple(large)
        assert tuple(large) not in shapes._shapes


def test_the_values_of_columns_are_a_tuple_however_many_they_are() -> None:
    """None, one, and more."""
    row = {"a": 1, "b": 2, "c": 3}
    assert [values_of(names)(row) for names in ((), ("b",), ("c", "a"))] == [(), (2,), (3, 1)]
