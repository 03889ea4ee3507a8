"""The stored form of events: this release and the one before read each other's, while both run."""

import msgspec

from relay.domain.model import MessageId, StoredEvent
from relay.store.event_form import PACKING, pack_event


class Before(msgspec.Struct, frozen=True, array_like=True):
    """An event as the release before has it."""

    id: MessageId
    row_id: str
    stored_at_ms: int
    revision: int
    types: bytes
    body: bytes


VALUES = (MessageId("msg_x"), "7", 5, 1, b"\0", b"{}")


def test_an_event_of_the_release_before_shows_no_lag() -> None:
    """It does not say which route showed it."""
    packed = b"\x01" + msgspec.msgpack.encode(Before(*VALUES))
    assert PACKING.unpack(packed) == StoredEvent(*VALUES, lag_of=-1)


def test_the_release_before_reads_an_event_of_this_one() -> None:
    """It passes over what it does not know, so no delivery is given up during an update."""
    packed = pack_event(StoredEvent(*VALUES, lag_of=3))
    assert packed[:1] == b"\x01"
    assert msgspec.msgpack.decode(packed[1:], type=Before) == Before(*VALUES)
