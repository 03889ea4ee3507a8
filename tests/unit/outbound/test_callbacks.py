"""The sender over a transport that is no network: what it makes of requests and answers."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.credentials import Bearer
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SigningKey
from relay.domain.outcomes import Failure, Outcome
from relay.domain.signing import new_secret
from relay.outbound.callback_answers import KEPT_BODY_BYTES, KEPT_HEADER_CHARS, KEPT_HEADERS
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.http.messages import WireRequest
from relay.outbound.targets import vet_url
from tests.patience import PATIENCE_S

Handler = Callable[[httpx.Request], httpx.Response]


def make_endpoint(**fields: Any) -> Endpoint:
    given = {"url": "https://crm.example.com/hooks?token=canary", "keys": (SigningKey(key=new_secret(b"k" * 32)),)}
    return Endpoint(id=EndpointId("ep_1"), app_id=ApplicationId("app_1"), **(given | fields))


async def send(handler: Handler, **fields: Any) -> Outcome:
    sender = CallbackSender(httpx.MockTransport(handler), policy=EgressPolicy(), user_agent="relay-tests/1")
    prepared = sender.prepare(make_endpoint(**fields))
    return await sender.send(prepared, Callback(message_id="msg_1", body=b"{}", timestamp_s=1), deadline_s=PATIENCE_S)


async def test_any_httpx_transport_will_do() -> None:
    """httpx is the seam: what arrives there is a whole request with its headers and its body."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, text="thanks")

    outcome = await send(handler, headers={"X-Tenant": "42"})
    assert outcome.succeeded
    assert outcome.body == b"thanks"
    [request] = seen
    assert (request.method, str(request.url)) == ("POST", "https://crm.example.com/hooks?token=canary")
    assert (request.headers["webhook-id"], request.headers["x-tenant"]) == ("msg_1", "42")
    assert await request.aread() == b"{}"


async def test_what_is_kept_of_an_answer_is_bounded() -> None:
    """Many headers, long ones and a large body are cut, of a success as of a failure."""
    many = [(f"x-{n}", "v") for n in range(KEPT_HEADERS * 2)]
    failed = await send(lambda _: httpx.Response(500, headers=many, text="x" * 5000))
    assert (len(failed.headers), len(failed.body)) == (KEPT_HEADERS, KEPT_BODY_BYTES)
    long = await send(lambda _: httpx.Response(500, headers=[("x-a", "v" * 100), ("x-b", "v" * KEPT_HEADER_CHARS)]))
    assert [name for name, _ in long.headers] == ["x-a"]
    assert len((await send(lambda _: httpx.Response(200, headers=many))).headers) == KEPT_HEADERS


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (httpx.ReadTimeout("canary"), Failure.TIMEOUT),
        (httpx.ConnectError("canary"), Failure.CONNECT),
        (httpx.RemoteProtocolError("canary"), Failure.CONNECT),
    ],
)
async def test_errors_of_other_transports_are_outcomes_too(error: httpx.TransportError, failure: Failure) -> None:
    """Whatever transport stands there, its errors do not pass, nor do their words."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    outcome = await send(handler)
    assert (outcome.error, "canary" in outcome.detail) == (failure, False)


def test_nothing_on_the_way_shows_a_secret() -> None:
    """No repr holds the URL's query, a credential or a key: one in a log line would be one too many."""
    sender = CallbackSender(httpx.MockTransport(lambda _: httpx.Response(204)), policy=EgressPolicy(), user_agent="r")
    target = vet_url("https://crm.example.com/hooks?token=canary", EgressPolicy())
    shown = (
        sender.prepare(make_endpoint(auth=Bearer("canary"), headers={"x-key": "canary"})),
        target,
        WireRequest("POST", target, headers=[("authorization", "canary")], body=b"canary", deadline_s=1.0),
    )
    assert [thing for thing in map(repr, shown) if "canary" in thing] == []
