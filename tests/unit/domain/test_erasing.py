"""Erasing: a number is found in each of its forms, wherever it stands, and other numbers are not."""

import pytest
from msgspec import structs

from relay.domain import envelope, json_text
from relay.domain.erasing import (
    erased_attempt,
    erased_event,
    is_in_attempt,
    is_in_event,
    phone,
    visitor,
)
from relay.domain.event_types import POSTED
from relay.domain.model import Attempt, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.post import Post
from relay.errors import Invalid
from relay.store.attempts import pack_attempt
from relay.store.event_form import pack_event

LONDON = phone("+442079460958")
FORMS = [
    "+442079460958", "00442079460958", "442079460958", "02079460958", "2079460958", "+44 (0)20 7946 0958",
    "020-7946-0958", "0044 20/7946.0958", "tel:+44-20-7946-0958", "at 14:20 from 020 7946 0958, twice",
    "https://example.com/?n=%2B442079460958&x", "https://example.com/?n=%2002079460958",
]  # fmt: skip
OTHERS = [
    "+12079460958", "+1 207 946 0958", "+353 20 7946 0958", "02079460959", "12079460958", "020794609581", "anonymous",
    "", "2026-09-20 79:46", "+44 207946095",
]  # fmt: skip


def row(trigger: dict[str, object], previous: dict[str, object] | None = None) -> StoredEvent:
    data = envelope.data(
        source=SourceUid("uk"), igrp=1, row_id=7, revision=2, classes=1, trigger=trigger, previous=previous
    )
    body = envelope.encode(data, timestamp="2026-09-21T00:00:00.000Z")
    return StoredEvent(id=MessageId("msg_" + "a" * 22), row_id="7", stored_at_ms=1, revision=2, types=b"\2", body=body)


def posted(payload: dict[str, object], **names: object) -> StoredEvent:
    body, post = json_text.encode(payload), Post("a.b", **names)  # type: ignore[arg-type]
    return structs.replace(row({}), row_id="", types=bytes((POSTED,)), body=body, post=post)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found_in_each_place(form: str) -> None:
    places: list[dict[str, object]] = [
        {"srcPhoneNumber": form}, {"c_plan": form}, {"notes": [{"note": form}]}, {form: 1}, {"a": {"b": [[form]]}}
    ]  # fmt: skip
    for place in places:
        assert is_in_event(LONDON, row(place))
        assert is_in_event(LONDON, row({"act": "call"}, place))
        assert is_in_event(LONDON, posted(place))


@pytest.mark.parametrize("other", OTHERS)
def test_other_numbers_are_not_found(other: str) -> None:
    assert not is_in_event(LONDON, row({"num": other, "pt_a": [other]}))


def test_a_number_is_found_where_it_is_a_number() -> None:
    assert is_in_event(LONDON, posted({"from": 442079460958}))
    assert not is_in_event(LONDON, posted({"from": 442079460959, "ok": True, "none": None}))


def test_a_number_without_country_or_with_too_few_digits_is_refused() -> None:
    for text in ("02079460958", "+44", "+4412345", "+44 20 anna", "", "+", "+00442079460958", "+44" + "1" * 20):
        with pytest.raises(Invalid):
            phone(text)


def test_a_visitor_is_found_as_a_whole() -> None:
    found = visitor("a1b2-c3d4")
    assert is_in_event(found, row({"vid": "a1b2-c3d4"}))
    assert is_in_event(found, row({"href": "https://example.com/?v=a1b2-c3d4&x=1"}))
    assert not is_in_event(found, row({"vid": "a1b2-c3d45"}))
    for text in ("short", " a1b2c3d4", "a" * 129):
        with pytest.raises(Invalid):
            visitor(text)


@pytest.mark.parametrize(
    "event",
    [
        row({"num": "020 7946 0958", "act": "call"}, {"num": "+442079460958"}),
        posted(
            {"n": "02079460958"}, event_id="call-02079460958", tags=("02079460958", "vip"), channels=("é 2079460958",)
        ),
        posted({"a": "nothing here, but in the name"}, event_id="+442079460958"),
    ],
)
def test_nothing_is_left_and_the_length_stays(event: StoredEvent) -> None:
    assert is_in_event(LONDON, event)
    after = erased_event(event, LONDON)
    assert envelope.is_expunged(after)
    assert not is_in_event(LONDON, after)
    assert b"2079460958" not in pack_event(after)
    assert len(pack_event(after)) == len(pack_event(event))
    assert erased_event(after, LONDON) == after


def test_an_attempt_keeps_what_the_relay_knows_and_loses_the_answer() -> None:
    before = Attempt(
        endpoint_id=EndpointId("ep_1"), seq=1, number=1, type_code=2, started_at_ms=5, duration_ms=3, status=500,
        verdict="retry", headers=(("x-caller", "02079460958"), ("server", "a")), body=b'{"from": "+442079460958"}',
    )  # fmt: skip
    after = erased_attempt(before, LONDON)
    assert is_in_attempt(LONDON, before)
    assert not is_in_attempt(LONDON, after)
    assert (after.status, after.verdict, after.started_at_ms) == (500, "retry", 5)
    assert len(pack_attempt(after)) == len(pack_attempt(before))
