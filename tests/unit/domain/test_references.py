"""References: the short text that stands for one delivery in a lane."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.references import Reference, parse_reference

REFERENCES = st.builds(
    Reference,
    number=st.integers(0, 2**53),
    type_code=st.integers(0, 255),
    tag=st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=5, max_size=5),
    attempt=st.integers(1, 100),
    crashes=st.integers(0, 100),
    by_hand=st.integers(0, 1),
    unchecked=st.integers(0, 1),
    held=st.integers(0, 1),
)


@given(REFERENCES)
def test_what_is_written_is_what_is_read(reference: Reference) -> None:
    """Nothing of a reference is lost on its way through the store. Only a first attempt can have been held."""
    reference = reference._replace(held=reference.held if reference.attempt == 1 and not reference.by_hand else 0)
    assert parse_reference(reference.text().encode()) == reference


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (Reference(7, 2, "abcde"), "a7:2:abcde"),
        (Reference(7, 2, "abcde", 3), "a7:2:abcde:3"),
        (Reference(7, 2, "abcde", 1, 1), "a7:2:abcde:0:1"),
        (Reference(7, 2, "abcde", 1, 1, held=1), "a7:2:abcde:1:1"),
        (Reference(7, 2, "abcde", held=1), "a7:2:abcde:1"),
        (Reference(7, 2, "abcde", 3, 4), "a7:2:abcde:3:4"),
        (Reference(7, 2, "abcde", by_hand=1), "a7:2:abcde:1:0:1"),
        (Reference(7, 2, "abcde", unchecked=1), "u7:2:abcde"),
    ],
)
def test_a_reference_is_as_short_as_it_can_be(reference: Reference, text: str) -> None:
    """Millions wait, and nearly all of them were never tried: they carry what tells them apart only."""
    assert reference.text() == text


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"7",
        b"7:2",
        b"b7:2:abcde",
        b"aseven:2:abcde",
        b"a7:2:",
        b"a7:2:abcde:",
        b"a7:2:abcde:1:0:1:9",
        b"a7:2:ab-de",
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    """A text that no reference has raises ValueError, and is never taken for another delivery."""
    with pytest.raises(ValueError):
        parse_reference(text)
