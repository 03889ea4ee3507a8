"""Condensing: events that are over come back as they were, or not at all."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.condensing import EVENTS_TOGETHER, MOST_EVENT_BYTES, condense, expand

EVENTS = st.dictionaries(st.integers(0, 2**53), st.binary(max_size=300), max_size=EVENTS_TOGETHER)


@given(EVENTS)
def test_events_come_back(events: dict[int, bytes]) -> None:
    """By their numbers."""
    assert expand(condense(events)) == events


def test_the_largest_come_back_together() -> None:
    """Nothing of a full piece is cut."""
    events = {number: bytes([number]) * MOST_EVENT_BYTES for number in range(EVENTS_TOGETHER)}
    assert expand(condense(events)) == events
    assert expand(condense({1: bytes(MOST_EVENT_BYTES + 1), 2: b"small"})) == {2: b"small"}


@given(st.binary(max_size=100))
def test_damage_is_nothing(piece: bytes) -> None:
    """Whatever is there instead of a piece, nothing breaks."""
    assert expand(piece) == {}


def test_a_bomb_is_not_expanded() -> None:
    """What a piece unpacks to is bounded."""
    assert expand(zlib.compress(b"\x81\x01\xc6\x7f\xff\xff\xff" + bytes(50_000_000))) == {}
