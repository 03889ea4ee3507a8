"""The parts of a checkpoint as bytes."""

import zlib
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain import checkpoint
from relay.domain.checkpoint import Head, RouteMark, SavedConfiguration, pack, unpack
from relay.domain.epoch import Epoch
from relay.domain.model import SourceUid
from relay.errors import Unreadable

HEAD = Head(
    epoch=Epoch(id="a", beats=3, ancestors=("b",)),
    at_ms=1_790_000_000_000,
    version=7,
    configuration="configuration-7-0",
    routes={SourceUid("uk"): {"all": RouteMark(cursor=10**18, joined="creation"), "calls": RouteMark(cursor=None)}},
)
SAVED = SavedConfiguration(
    version=7,
    index=("source/uk",),
    records={"source": {"uk": b"{}"}, "application": {}, "endpoint": {}},
    uids={"source": {}, "application": {"app_1": "one"}, "endpoint": {}},
    history=("7 source/uk",),
)


@pytest.mark.parametrize("part", [HEAD, SAVED])
def test_a_part_is_read_as_it_was_written(part: Head | SavedConfiguration) -> None:
    assert unpack(pack(part), type(part)) == part


@pytest.mark.parametrize(("kind", "newest"), [(Head, 1), (SavedConfiguration, checkpoint.FORM)])
def test_the_versions_of_parts(kind: type, newest: int) -> None:
    """A configuration of the release before is read; one of the release after says so."""
    part = {Head: HEAD, SavedConfiguration: SAVED}[kind]
    for version in range(1, newest + 1):
        older = msgspec.structs.replace(part, v=version)
        assert unpack(pack(older), kind) == older
    with pytest.raises(Unreadable, match=f"version {newest + 1}, which this release does not know"):
        unpack(pack(msgspec.structs.replace(part, v=newest + 1)), kind)


@given(st.data())
def test_damage_is_unreadable_and_nothing_else(data: st.DataObject) -> None:
    """Cut anywhere, or with any byte changed: no other error, and never half of it."""
    packed = bytearray(pack(HEAD))
    if data.draw(st.booleans()):
        packed = packed[: data.draw(st.integers(0, len(packed) - 1))]
    else:
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(Unreadable):
        assert unpack(bytes(packed), Head) == HEAD


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (msgspec.msgpack.encode({"v": 2}), "version 2, which this release does not know"),
        (msgspec.msgpack.encode({"v": 1}), "damaged"),
        (msgspec.msgpack.encode([1, 2]), "damaged"),
    ],
)
def test_other_forms_are_refused(content: bytes, said: str) -> None:
    """One of a newer release says so."""
    with pytest.raises(Unreadable, match=said):
        unpack(zlib.compress(content), Head)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more than there may be is refused before it is there."""
    monkeypatch.setattr(checkpoint, "MOST_BYTES", 1000)
    with pytest.raises(Unreadable, match="larger than this release reads"):
        unpack(zlib.compress(bytes(10**6)), Head)
