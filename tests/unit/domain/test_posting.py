"""Which endpoints get a posted event."""

from typing import Any

import pytest

from relay.domain.envelope import posted_data
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId
from relay.domain.post import Post
from relay.domain.posting import PostMatcher, wants_post

APP = Application(id=ApplicationId("app_1"), name="One", filter={"act": "call"})


def endpoint(**fields: Any) -> Endpoint:
    return Endpoint(**{"id": EndpointId("ep_1"), "app_id": APP.id, "url": "https://a.test", **fields})


@pytest.mark.parametrize(
    ("fields", "post", "payload", "wanted"),
    [
        ({}, Post("a.b"), b"{}", True),
        ({"event_types": ("a.b",)}, Post("a.b"), b"{}", True),
        ({"event_types": ("a.c",)}, Post("a.b"), b"{}", False),
        ({"event_types": ("call.created",)}, Post("call.created"), b"{}", True),
        ({"channels": ("x", "y")}, Post("a.b", channels=("y", "z")), b"{}", True),
        ({"channels": ("x",)}, Post("a.b", channels=("y",)), b"{}", False),
        ({"channels": ("x",)}, Post("a.b"), b"{}", False),
        ({}, Post("a.b", channels=("y",)), b"{}", True),
        ({"filter": {"c_n": 1.5}}, Post("a.b"), b'{"c_n": 1.50}', True),
        ({"filter": {"source": "web"}}, Post("a.b"), b'{"source": "web"}', True),
        ({"filter": {"trigger.source": "web"}}, Post("a.b"), b'{"source": "web"}', True),
        ({"filter": {"source": "web"}}, Post("a.b"), b"{}", False),
    ],
)
def test_type_channels_and_filter_decide(fields: dict[str, Any], post: Post, payload: bytes, wanted: bool) -> None:
    """All three, in the matcher of an application as for one endpoint; the application's own filter does not."""
    one, data = endpoint(**fields), posted_data(payload)
    matcher = PostMatcher(APP, [one, endpoint(id=EndpointId("ep_2"), app_id=ApplicationId("app_2"))])
    found = matcher.heard(matcher.of_type(post.event_type).match(b"\xff", data), post)
    assert found == ([one.id] if wanted else [])
    assert wants_post(one, post, data) is wanted


def test_types_that_nobody_names_share_a_matcher() -> None:
    """However many types are posted, memory is bounded by those that endpoints name."""
    matcher = PostMatcher(APP, [endpoint(event_types=("a.b",))])
    assert matcher.of_type("x") is matcher.of_type("y") is not matcher.of_type("a.b")


def test_unfit_endpoints_are_matched_unchecked() -> None:
    """By type and channels: their events are kept until their filters can be asked."""
    broken = endpoint(filter={"$nonsense": 1}, event_types=("a.b",))
    matcher = PostMatcher(APP, [broken])
    assert matcher.of_type("a.b").unchecked == {broken.id}
    assert matcher.heard(matcher.of_type("a.b").match(b"\xff", posted_data(b"{}")), Post("a.b")) == [broken.id]
