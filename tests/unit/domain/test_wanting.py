"""Which setting keeps an event from an endpoint."""

from typing import Any

import pytest

from relay.domain import envelope
from relay.domain.event_types import CALL, POSTED, codes_of
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.post import Post
from relay.domain.wanting import unwanted_by
from relay.errors import Invalid


def application(**fields: Any) -> Application:
    return Application(**{"id": ApplicationId("app_1"), "name": "One", **fields})


def endpoint(**fields: Any) -> Endpoint:
    return Endpoint(**{"id": EndpointId("ep_1"), "app_id": ApplicationId("app_1"), "url": "https://a.test", **fields})


DATA = envelope.data(
    source=SourceUid("a"), igrp=1, row_id=7, revision=1, classes=CALL, trigger={"rowId": 7, "act": "call"}
)
ROW = StoredEvent(
    MessageId("msg_1"), "7", 0, 1, codes_of(CALL, None), envelope.encode(DATA, timestamp="2026-09-21T00:00:00.000Z")
)
POSTED_ONE = StoredEvent(
    MessageId("msg_2"), "", 0, 1, bytes([POSTED]), b'{"act": "chat"}', post=Post("a.b", channels=("x",))
)


@pytest.mark.parametrize(
    ("event", "fields", "setting"),
    [
        (ROW, {}, None),
        (ROW, {"event_types": ("call.created",), "filter": {"act": "call"}}, None),
        (ROW, {"event_types": ("goal.created",), "filter": {"act": "chat"}}, "eventTypes"),
        (ROW, {"filter": {"act": "chat"}}, "filter"),
        (POSTED_ONE, {}, None),
        (POSTED_ONE, {"event_types": ("a.c",)}, "eventTypes"),
        (POSTED_ONE, {"filter": {"act": "call"}, "channels": ("y",)}, "filter"),
        (POSTED_ONE, {"channels": ("y",)}, "channels"),
        (POSTED_ONE, {"channels": ("x",)}, None),
    ],
)
def test_the_setting_is_named(event: StoredEvent, fields: dict[str, Any], setting: str | None) -> None:
    """The first of them: event types, filter, channels."""
    assert unwanted_by(application(), endpoint(**fields), event) == setting


def test_the_filter_of_the_application_is_about_rows() -> None:
    """It keeps a row from the endpoint, and never a post."""
    one = application(filter={"act": "goal"})
    assert unwanted_by(one, endpoint(), ROW) == "filter"
    assert unwanted_by(one, endpoint(), POSTED_ONE) is None


def test_a_filter_that_is_none() -> None:
    """Whoever asks has to say so: nobody knows what it would want."""
    with pytest.raises(Invalid):
        unwanted_by(application(), endpoint(filter={"$nonsense": 1}), ROW)
