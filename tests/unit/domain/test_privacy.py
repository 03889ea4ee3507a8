"""Privacy rules: nothing of a hidden value is left, whatever the row, and attempts have the same bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from relay.domain import envelope
from relay.domain.event_types import POSTED
from relay.domain.filtering import compile_filter
from relay.domain.matching import inference_fault
from relay.domain.model import Application, ApplicationId, MessageId, SourceUid, StoredEvent
from relay.domain.post import Post
from relay.domain.privacy import Privacy, PrivacyRule, mask, protect, token

NUMBER = "+442079460958"
KEY = "a key of the application"
COLUMNS = ("srcPhoneNumber", "num", "c_plan")
RULES = st.lists(
    st.builds(PrivacyRule, field=st.sampled_from(COLUMNS), action=st.sampled_from(["mask", "hash", "drop"])), max_size=4
)


def stored(trigger: dict[str, object], previous: dict[str, object] | None = None) -> bytes:
    data = envelope.data(
        source=SourceUid("uk"), igrp=1, row_id=7, revision=1, classes=1, trigger=trigger, previous=previous
    )
    return envelope.encode(data, timestamp="2026-09-21T00:00:00.000Z")


def rules(**actions: str) -> Privacy:
    return Privacy(rules=tuple(PrivacyRule(field=n, action=a) for n, a in actions.items()), key=KEY)  # type: ignore[arg-type]


def test_without_rules_the_bytes_are_the_same_object() -> None:
    body = stored({"num": NUMBER})
    assert protect(body, Privacy()) is body


def test_rules_apply_to_the_row_and_to_what_it_was() -> None:
    body = stored({"num": NUMBER, "a": "b", "srcPhoneNumber": NUMBER}, {"num": "+442079460000", "a": None})
    data = envelope.decode(protect(body, rules(num="mask", srcPhoneNumber="drop")))
    assert data["trigger"] == {"num": "**********958", "a": "b"}
    assert data["previous"] == {"num": "**********000", "a": None}


def test_equal_values_have_equal_tokens_within_an_application() -> None:
    data = envelope.decode(protect(stored({"num": NUMBER, "srcPhoneNumber": NUMBER}), rules(num="hash")))
    assert data["trigger"]["num"] == token(NUMBER, KEY) != token(NUMBER, "another key")
    assert data["trigger"]["srcPhoneNumber"] == NUMBER


@given(RULES, RULES, st.text(), st.text())
def test_an_endpoint_cannot_weaken_a_rule_of_its_application(
    of_application: list[PrivacyRule], own: list[PrivacyRule], number: str, plan: str
) -> None:
    """Whatever its own rules are, what it gets follows from what its application may have alone."""
    body = stored({"num": number, "c_plan": plan, "act": "call"}, {"num": plan})
    outer = protect(body, Privacy(rules=tuple(of_application), key=KEY))
    both = protect(body, Privacy(rules=(*of_application, *own), key=KEY))
    assert both == protect(outer, Privacy(rules=tuple(own), key=KEY))


@given(st.text("0123456789", min_size=8, max_size=15), st.sampled_from(["mask", "hash", "drop"]))
def test_a_hidden_number_is_nowhere_in_the_body(digits: str, action: str) -> None:
    number = f"+44x{digits}"
    body = stored({"num": number, "act": "call"}, {"num": f"{number}9"})
    hidden = protect(body, rules(num=action))
    assert number.encode() not in hidden
    assert hidden == protect(body, rules(num=action))


def test_values_in_lists_and_objects_are_masked() -> None:
    assert mask({"a": ["secret", 5, True], "b": None}) == {"a": ["******", None, None], "b": None}


def test_digits_of_other_numbers_stay() -> None:
    body = stored({"num": NUMBER, "rev": 1}).replace(b'"rev":1', b'"rev":1.10')
    assert b'"rev":1.10' in protect(body, rules(num="drop"))


@pytest.mark.parametrize(
    "source",
    [
        {"num": NUMBER}, {"trigger.num": NUMBER}, {"previous.num": NUMBER}, {"$not": {"$or": [{"num": "1"}]}},
        {"trigger": {"$exists": True}}, {"previous": {"$exists": True}}, {"num.x": 1},
    ],
)  # fmt: skip
def test_a_filter_that_asks_for_a_hidden_column_is_a_fault(source: dict[str, object]) -> None:
    application = Application(id=ApplicationId("app_1"), name="", privacy=(PrivacyRule(field="num", action="hash"),))
    compile_filter(source)
    assert "which a privacy rule of the application hides" in str(inference_fault(application, source))
    assert inference_fault(application, {"act": "call", "classes": "call"}) is None


@given(st.dictionaries(st.text("abc", min_size=1), st.text(min_size=1)))
def test_an_expunged_event_has_nothing_of_its_row(trigger: dict[str, str]) -> None:
    """It is as long as before, so that what is counted in bytes stays right."""
    body = stored({"num": NUMBER, **trigger}, {"num": "another"})
    event = StoredEvent(MessageId("msg_1"), "1", 0, 1, b"\4", body)
    left = envelope.expunged(event)
    assert len(left) == len(body)
    assert envelope.is_expunged(structs.replace(event, body=left))
    assert not envelope.is_expunged(event)
    data = envelope.decode(left)
    assert data.pop("expunged") is True
    assert data | {"previous": {"num": "another"}} == envelope.decode(body) | {"trigger": {}}
    assert "previous" not in data


@given(st.dictionaries(st.text("abc", min_size=1), st.text(), min_size=1))
def test_an_expunged_post_has_nothing_of_its_payload(payload: dict[str, str]) -> None:
    """It is an empty object, as long as before."""
    body = json.dumps(payload).encode()
    event = StoredEvent(MessageId("msg_1"), "", 0, 1, bytes((POSTED,)), body, post=Post(event_type="invoice.paid"))
    left = envelope.expunged(event)
    assert (json.loads(left), len(left)) == ({}, len(body))
    assert envelope.is_expunged(structs.replace(event, body=left))
    assert not envelope.is_expunged(event)
