"""Erasures: rows about a person are recognised by hashes alone, if they are old enough and of a chosen source."""

import pytest

from relay.domain import envelope
from relay.domain.erasing import Identity, phone, visitor
from relay.domain.erasures import Erased, Erasure, erasure_of
from relay.domain.model import MessageId, SourceUid, StoredEvent
from tests.unit.domain.test_erasing import FORMS, LONDON, OTHERS

UK, FR = SourceUid("uk"), SourceUid("fr")
KEY = "07" * 32
NOON = 1_795_521_600_000
"""2026-11-24T12:00:00Z"""


def row(trigger: dict[str, object], at: object = "2026-11-24T11:00:00.000Z") -> StoredEvent:
    data = envelope.data(source=UK, igrp=1, row_id=7, revision=1, classes=1, trigger={"triggerDatetime": at, **trigger})
    body = envelope.encode(data, timestamp="2026-11-25T00:00:00.000Z")
    return StoredEvent(id=MessageId("msg_1"), row_id="7", stored_at_ms=NOON, revision=1, types=b"\2", body=body)


def of(who: Identity, *sources: SourceUid, key: str = KEY, until_ms: int = NOON) -> Erasure:
    return erasure_of(who, "qtask_1", key=key, until_ms=until_ms, sources=sources or None)


@pytest.mark.parametrize("form", FORMS)
def test_each_spelling_is_recognised(form: str) -> None:
    erased = Erased([of(LONDON)])
    assert erased.covers(UK, row({"num": form}))
    assert erased.covers(UK, row({"notes": [{"note": f'"{form}"\nand more'}]}))
    assert erased.is_in_line(UK, f'{{"num": "{form}", broken')


@pytest.mark.parametrize("other", OTHERS)
def test_others_are_not(other: str) -> None:
    erased = Erased([of(LONDON), of(visitor("a1b2c3d4"))])
    assert not erased.covers(UK, row({"num": other, "vid": "a1b2c3d5"}))


def test_what_is_kept_does_not_have_the_person() -> None:
    kept = of(LONDON)
    assert "2079460958" not in str(kept)
    assert of(LONDON, key="08" * 32).digests != kept.digests
    assert of(visitor("2079460958")).digests[0] not in kept.digests


@pytest.mark.parametrize("name", ["a1b2c3d4", "a1b2-c3d4-0f", 'é1"b2'.join(("a1", "c3")), "12345678"])
def test_the_id_of_a_visitor_is_recognised(name: str) -> None:
    erased = Erased([of(visitor(name))])
    assert erased.covers(UK, row({"vid": name}))
    assert erased.covers(UK, row({"href": f"https://example.com/?v={name}&x=1"}))
    assert not erased.covers(UK, row({"vid": f"{name}5", "href": f"x{name}"}))


@pytest.mark.parametrize(
    ("at", "is_covered"),
    [
        ("2026-11-24T12:00:00.000Z", True), ("2026-11-24T12:00:00.001Z", False), ("2026-11-24 13:00", True),
        ("yesterday", True), (None, True), (7, True),
    ],
)  # fmt: skip
def test_later_rows_are_new_data(at: object, is_covered: bool) -> None:
    """A row without a time that can be read is taken for an old one."""
    assert Erased([of(LONDON)]).covers(UK, row({"num": "02079460958"}, at)) is is_covered


def test_the_latest_of_several_erasures_counts() -> None:
    """Whichever key they have, and for each source on its own."""
    late, early = of(LONDON, UK, key="08" * 32), of(LONDON, until_ms=NOON - 10**8)
    erased = Erased([early, late])
    assert erased.covers(UK, row({"num": "02079460958"}))
    assert not erased.covers(FR, row({"num": "02079460958"}))
    assert not Erased([of(phone("+442079460111"))]).covers(UK, row({"num": "02079460958"}))
