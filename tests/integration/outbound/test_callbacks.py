"""What goes over the wire as a callback, and how connections are used."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook

from relay.domain.credentials import BasicAuth, Bearer, OAuth2
from relay.domain.model import Endpoint, SigningKey
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.model import RequestShape, VerdictRule
from relay.domain.signing import new_secret
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress
from tests.fault.hostile_sink import HostileSink
from tests.fault.scripted import happens
from tests.fault.token_server import TokenServer, token_server
from tests.patience import FOREVER_S, PATIENCE_S

Send = Callable[..., Awaitable[Outcome]]
MakeEndpoint = Callable[..., Endpoint]

SECRET = new_secret(b"0123456789abcdef0123456789abcdef")
ROUNDED_MS = 3


async def test_a_subscribers_library_verifies_the_callback(
    sender: CallbackSender, sink: HostileSink, make_endpoint: MakeEndpoint
) -> None:
    """What arrives is what was given, byte for byte, and `standardwebhooks` accepts it with either of two keys."""
    old = new_secret(b"an old key that still signs a bit")
    keys = (SigningKey(key=SECRET), SigningKey(key=old, expires_at_ms=2**60))
    prepared = sender.prepare(make_endpoint(f"http://127.0.0.1:{sink.port}/fine", keys=keys))
    now, body = int(time.time()), b'{"type":"call.created","data":{"n":1.10,"text":"\xc3\xa4"}}'
    outcome = await sender.send(
        prepared, Callback(message_id="msg_abc", body=body, timestamp_s=now), deadline_s=PATIENCE_S
    )
    assert outcome.succeeded
    [received] = sink.received
    assert received.body == body
    for key in (SECRET, old):
        Webhook(key).verify(received.body, received.headers)


async def test_the_headers_of_a_callback(send: Send, sink: HostileSink) -> None:
    """Exactly these headers are sent: nothing of the client's own, no cookie, no referer, no compression."""
    await send(f"http://127.0.0.1:{sink.port}/cookie")
    await send(f"http://127.0.0.1:{sink.port}/fine")
    headers = dict(sink.received[1].headers)
    assert headers.pop("webhook-signature").startswith("v1,")
    assert headers == {
        "content-type": "application/json",
        "user-agent": "relay-tests/1",
        "accept-encoding": "identity",
        "accept": "*/*",
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "idempotency-key": "msg_1",
        "host": f"127.0.0.1:{sink.port}",
        "content-length": "7",
    }


async def test_own_headers_are_sent_and_cannot_replace_the_relays(
    send: Send, sink: HostileSink, make_endpoint: MakeEndpoint
) -> None:
    """A subscriber's headers go along; those that are the relay's own keep the relay's value."""
    url = f"http://127.0.0.1:{sink.port}/fine"
    own = {
        "X-Tenant": "42",
        "Webhook-Id": "mine",
        "HOST": "inside",
        "content-type": "text/plain",
        "Authorization": "Key k",
    }
    await send(make_endpoint(url, headers=own))
    headers = sink.received[0].headers
    assert (headers["x-tenant"], headers["authorization"]) == ("42", "Key k")
    assert (headers["webhook-id"], headers["content-type"]) == ("msg_1", "application/json")
    assert headers["host"] == f"127.0.0.1:{sink.port}"


@pytest.mark.parametrize(
    ("auth", "value"),
    [
        (BasicAuth("relay", "pa:ss"), "Basic " + base64.b64encode(b"relay:pa:ss").decode()),
        (Bearer("abc.def"), "Bearer abc.def"),
    ],
)
async def test_fixed_credentials(
    auth: BasicAuth | Bearer, value: str, send: Send, sink: HostileSink, make_endpoint: MakeEndpoint
) -> None:
    """Basic and bearer credentials stand above an authorization header of the subscriber's."""
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=auth, headers={"Authorization": "other"})
    await send(endpoint)
    assert sink.received[0].headers["authorization"] == value


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://10.0.0.1/"},
        {"keys": ()},
        {"keys": (SigningKey(key="whsec_short"),)},
        {"headers": {"x": "a\r\nb: c"}},
        {"auth": Bearer("line\nbreak")},
    ],
)
async def test_an_endpoint_that_became_unfit_is_an_outcome(
    fields: dict[str, object], send: Send, sink: HostileSink, make_endpoint: MakeEndpoint
) -> None:
    """What was stored under another policy is not sent, and is not an exception either."""
    outcome = await send(make_endpoint(**{"url": f"http://127.0.0.1:{sink.port}/fine", **fields}))
    assert outcome.error is (Failure.REFUSED_ADDRESS if "url" in fields else Failure.UNFIT)
    assert outcome.detail
    assert sink.received == []


def test_preparing_is_cached_until_the_endpoint_changes(sender: CallbackSender, make_endpoint: MakeEndpoint) -> None:
    """An equal endpoint is not prepared twice, a changed one is."""
    first = sender.prepare(make_endpoint("https://example.com/"))
    assert sender.prepare(make_endpoint("https://example.com/")) is first
    changed = make_endpoint("https://example.com/", headers={"x": "1"})
    assert sender.prepare(changed) is not first


async def test_connections_are_reused(send: Send, sink: HostileSink, egress: Egress) -> None:
    """With and without a body in the answer, one connection does for callbacks one after the other, and is counted."""
    for _ in range(5):
        await send(f"http://127.0.0.1:{sink.port}/fine")
        await send(f"http://127.0.0.1:{sink.port}/fine-with-body")
    assert sink.connections == egress.connections.opened == 1
    assert egress.connections.reused == 9


async def test_a_connection_with_more_to_read_is_dropped(send: Send, sink: HostileSink) -> None:
    """Beyond the cap nothing is drained: the connection goes."""
    await send(f"http://127.0.0.1:{sink.port}/gigabyte")
    await send(f"http://127.0.0.1:{sink.port}/fine")
    assert sink.connections == 2
    await happens(lambda: sink.closed >= 1)


async def test_a_stale_connection_is_replaced_without_sending_twice(
    egress: Egress, send: Send, sink: HostileSink
) -> None:
    """A kept connection that the receiver closed meanwhile costs nothing: the callback arrives, once."""
    for _ in range(20):
        outcome = await send(f"http://127.0.0.1:{sink.port}/closes-unsaid")
        assert outcome.succeeded
        await happens(lambda: egress._pool.open == 0)  # The FIN has reached the client.
    assert len(sink.received) == 20


async def test_a_callback_that_may_have_arrived_is_not_sent_again_by_itself(send: Send) -> None:
    """When the receiver closes a kept connection after it read the request, the attempt fails and is not repeated."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        for answer in (b"HTTP/1.1 204 No Content\r\n\r\n", b""):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(7)
            requests += 1
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    assert (await send(url)).succeeded
    assert (await send(url)).error is Failure.PROTOCOL
    assert requests == 2
    server.close()


async def test_cancelling_an_attempt_ends_it_and_its_connection(send: Send, sink: HostileSink) -> None:
    """Cancellation passes through, and does not wait for the deadline."""
    task = asyncio.create_task(send(f"http://127.0.0.1:{sink.port}/never-answers", deadline_s=FOREVER_S))
    await happens(lambda: len(sink.received) == 1)
    task.cancel()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(asyncio.CancelledError):
            await task
    await happens(lambda: sink.closed == 1)


async def test_closing_the_transport_lets_what_is_in_flight_end(egress: Egress, send: Send, sink: HostileSink) -> None:
    """Shutting down does not break attempts that are under way."""
    task = asyncio.create_task(send(f"http://127.0.0.1:{sink.port}/body-drip", deadline_s=2.0))
    await happens(lambda: len(sink.received) == 1)
    await egress.aclose()
    assert (await task).status == 200


@pytest.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    async with token_server() as running:
        yield running


def _oauth(tokens: TokenServer, **fields: str) -> OAuth2:
    given = {"client_id": "re lay", "client_secret": "s&cret", **fields}
    return OAuth2(token_url=f"http://127.0.0.1:{tokens.port}/token", **given)


async def test_a_token_is_fetched_once_and_kept(
    send: Send, sink: HostileSink, tokens: TokenServer, make_endpoint: MakeEndpoint
) -> None:
    """Client credentials are form-encoded and sent as basic credentials; many callbacks share one token."""
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=_oauth(tokens, scope="crm write"))
    await asyncio.gather(*(send(endpoint) for _ in range(10)))
    await send(endpoint)
    basic = "Basic " + base64.b64encode(b"re+lay:s%26cret").decode()
    assert tokens.asked == [(basic, "grant_type=client_credentials&scope=crm+write")]
    assert {received.headers["authorization"] for received in sink.received} == {"Bearer token-1"}


async def test_a_token_is_renewed_before_it_ends(
    send: Send, sink: HostileSink, tokens: TokenServer, make_endpoint: MakeEndpoint
) -> None:
    """A token of one second is asked for again within that second."""
    tokens.lives_s = 1
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=_oauth(tokens))
    await send(endpoint)
    await asyncio.sleep(1.05)
    await send(endpoint)
    assert [received.headers["authorization"] for received in sink.received] == ["Bearer token-1", "Bearer token-2"]


async def test_a_refused_token_is_replaced_once(
    send: Send, sink: HostileSink, tokens: TokenServer, make_endpoint: MakeEndpoint
) -> None:
    """A 401 may mean a revoked token: one new one is tried in the same attempt, and no more."""
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/status/401", auth=_oauth(tokens))
    outcome = await send(endpoint)
    assert (outcome.status, len(tokens.asked)) == (401, 2)
    assert [received.headers["authorization"] for received in sink.received] == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(("status", "verdict", "asked"), [(403, "renewToken", 2), (401, "dead", 1)])
async def test_a_rule_says_which_answers_refuse_a_token(
    send: Send,
    sink: HostileSink,
    tokens: TokenServer,
    make_endpoint: MakeEndpoint,
    status: int,
    verdict: Any,
    asked: int,
) -> None:
    """Some APIs say it with another status than 401, and a 401 of some means something else."""
    shape = RequestShape(verdicts=(VerdictRule(status=str(status), verdict=verdict),))
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/status/{status}", auth=_oauth(tokens))
    outcome = await send(msgspec.structs.replace(endpoint, request=shape))
    assert (outcome.status, len(tokens.asked)) == (status, asked)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"access_token":"a\\r\\nb","token_type":"bearer"}',
        b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"access_token":"a","token_type":"mac"}',
        b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"access_token":"a","expires_in":"soon"}',
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"[" * 16384,
        b"garbage",
    ],
)
async def test_without_a_token_nothing_is_sent(
    answer: bytes, send: Send, sink: HostileSink, tokens: TokenServer, make_endpoint: MakeEndpoint
) -> None:
    """Whatever an authorization server answers, the outcome is `auth`, and it is not asked again at once.

    One that refuses Basic is asked once more, with the credentials in the body.
    """
    tokens.answer = answer
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=_oauth(tokens))
    for _ in range(2):
        outcome = await send(endpoint)
        assert (outcome.error, "authorization server" in outcome.detail) == (Failure.AUTH, True)
    assert (len(tokens.asked), sink.received) == (2 if b" 400 " in answer else 1, [])


async def test_a_token_url_is_guarded_like_a_callback(
    send: Send, sink: HostileSink, make_endpoint: MakeEndpoint
) -> None:
    """An authorization server inside is not asked."""
    auth = OAuth2(token_url="https://169.254.169.254/latest/token", client_id="a", client_secret="b")
    outcome = await send(make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=auth))
    assert (outcome.error, sink.received) == (Failure.AUTH, [])


async def test_a_silent_authorization_server_ends_with_the_attempt(
    send: Send, sink: HostileSink, make_endpoint: MakeEndpoint
) -> None:
    """Fetching a token is part of the attempt's deadline."""
    auth = OAuth2(token_url=f"http://127.0.0.1:{sink.port}/never-answers", client_id="a", client_secret="b")
    outcome = await send(make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=auth), deadline_s=0.2)
    assert outcome.error is Failure.AUTH
    assert outcome.duration_ms < 15_000, "the request for a token would end by itself after 20 s"


async def test_an_attempt_says_how_long_its_phases_took(send: Send, make_endpoint: MakeEndpoint) -> None:
    """The head of the response takes as long as the receiver; a kept connection takes no time to make.

    No time is counted twice.
    """

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(7)
                await asyncio.sleep(0.05)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
        endpoint = make_endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook")
        for is_kept in (False, True):
            outcome = await send(endpoint)
            assert outcome.status == 204
            assert outcome.head_ms >= 45
            assert outcome.connect_ms + outcome.tls_ms + outcome.head_ms <= outcome.duration_ms + ROUNDED_MS
            assert not (is_kept and outcome.connect_ms + outcome.tls_ms)


@pytest.mark.parametrize("size", [0, 400, 600, 640, 660, 700, 800])
@pytest.mark.parametrize("status", [200, 500])
async def test_a_receiver_that_echoes_the_request_shows_no_secret(
    send: Send, make_endpoint: Callable[..., Endpoint], size: int, status: int
) -> None:
    """Neither in the body that is kept, wherever it is cut, nor in the headers."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        shown = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization:"))
        body = b"." * size + head
        writer.write(
            b"HTTP/1.1 %d Told\r\nx-seen: %s\r\ncontent-length: %d\r\n\r\n" % (status, shown, len(body)) + body
        )
        await writer.drain()
        writer.close()

    secret = "canary-0123456789-token"
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for auth in (Bearer(secret), BasicAuth("user", secret)):
            outcome = await send(make_endpoint(url, auth=auth, headers={"x-api-key": "canary-header-value"}))
            kept = outcome.body + repr(outcome.headers).encode()
            assert b"user-agent" in kept.lower()
            for hidden in (b"canar", base64.b64encode(f"user:{secret}".encode())[:8]):
                assert hidden not in kept


@pytest.mark.parametrize("wants", ["basic", "body"])
@pytest.mark.parametrize("setting", [None, "basic", "body"])
async def test_an_authorization_server_gets_the_credentials_where_it_wants_them(
    send: Send, sink: HostileSink, tokens: TokenServer, make_endpoint: MakeEndpoint, wants: str, setting: str | None
) -> None:
    """In Basic or in the body: as it is set, or whichever works, which is remembered."""
    tokens.wants, tokens.lives_s = wants, 1
    auth = OAuth2(
        token_url=f"http://127.0.0.1:{tokens.port}/token", client_id="a", client_secret="b c", token_auth=setting
    )
    endpoint = make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=auth)
    outcome = await send(endpoint)
    assert outcome.succeeded == (setting in (None, wants))
    if setting is None and wants == "body":
        assert [bool(header) for header, _ in tokens.asked] == [True, False]
        await asyncio.sleep(1.0)
        await send(endpoint)
        assert [bool(header) for header, _ in tokens.asked] == [True, False, False]


@pytest.mark.parametrize(
    "kind", ["Bearer", "bearer", "BEARER", "BearerToken", "bearer_token", None, "absent", ""], ids=repr
)
@pytest.mark.parametrize("expires_in", [3600, "3600", 0, -5, "", 1e18, None, "absent"], ids=repr)
async def test_every_answer_that_means_a_bearer_token_is_one(
    send: Send,
    sink: HostileSink,
    tokens: TokenServer,
    make_endpoint: MakeEndpoint,
    kind: str | None,
    expires_in: object,
) -> None:
    """With every character that RFC 6750 allows, and however long it says that it lives."""
    token = "AZaz09-._~+/=="
    tokens.extra = {"token_type": kind, "expires_in": expires_in, "access_token": token}
    outcome = await send(make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=_oauth(tokens)))
    assert outcome.succeeded, outcome
    assert sink.received[-1].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    "said", [{"token_type": "mac"}, {"access_token": "a b"}, {"access_token": "a\r\nx: y"}, {"access_token": ""}]
)
async def test_what_is_no_bearer_token_is_refused(
    send: Send, sink: HostileSink, tokens: TokenServer, make_endpoint: MakeEndpoint, said: dict[str, str]
) -> None:
    tokens.extra = said
    outcome = await send(make_endpoint(f"http://127.0.0.1:{sink.port}/fine", auth=_oauth(tokens)))
    assert outcome.error is Failure.AUTH
    assert sink.received == []
