"""Access tokens of several workers: gotten once, renewed once, and refresh tokens that are replaced at each use."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from redis.asyncio import Redis

from relay.domain.addresses import EgressPolicy
from relay.domain.credentials import Granted, JwtBearer, OAuth2, RefreshToken, ServiceAccount
from relay.domain.model import Endpoint, EndpointId
from relay.domain.outcomes import Failure, Outcome
from relay.errors import StoreUnavailable
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.resolver import Resolver
from relay.pipeline.token_keeping import TokenKeeping
from relay.store.operations import Operations
from relay.store.tokens import SharedTokens
from tests.fakes.subscribers import status
from tests.fault.hostile_sink import HostileSink, hostile_sink
from tests.fault.token_server import TokenServer, token_server
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import Rig, until
from tests.patience import PATIENCE_S

SECRET = "canary-0123456789"
POLICY = EgressPolicy(allow=(ip_network("127.0.0.1/32"),))


@pytest.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    async with token_server() as running:
        yield running


@pytest.fixture
async def sink() -> AsyncIterator[HostileSink]:
    async with hostile_sink() as running:
        yield running


class Slow(TokenKeeping):
    """A store that does not take a new refresh token while a test wants it. Then it fails, or says nothing."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(SharedTokens(rig.redis, rig.vault), rig.endpoints)
        self.fails = 0
        self.hangs = False
        self.rotating = asyncio.Event()

    async def rotate(self, endpoint: EndpointId, used: RefreshToken, new: str) -> bool:
        """Store it, at last."""
        self.rotating.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("away")
        return await super().rotate(endpoint, used, new)


@dataclass
class Floor:
    """Workers that send over real sockets, and keep tokens in a real store."""

    rig: Rig
    redis: Redis
    egress: Egress
    sink: HostileSink

    def worker(self) -> "Worker":
        """One more worker."""
        keeper = Slow(self.rig)
        return Worker(self, keeper, CallbackSender(self.egress, policy=POLICY, user_agent="tests", keeper=keeper))

    async def endpoint(self, auth: Granted, path: str = "/fine", **fields: Any) -> Endpoint:
        """An endpoint at the sink."""
        return await self.rig.endpoint(url=f"http://127.0.0.1:{self.sink.port}{path}", auth=auth, **fields)

    async def stored(self, endpoint: Endpoint) -> RefreshToken:
        """The credentials as they are stored."""
        auth = (await self.rig.endpoints.named(endpoint.id)).auth
        assert isinstance(auth, RefreshToken)
        return auth

    async def forget(self, kind: str) -> None:
        """What a worker finds after some time: no token (`token`), or the right of a dead worker gone (`getting`)."""
        names = [name async for name in self.redis.scan_iter(f"relay:*:{kind}")]
        assert names, "there was one"
        await self.redis.delete(*names)

    def sent(self) -> list[str]:
        """The credentials of the requests that the sink got."""
        return [got.headers["authorization"] for got in self.sink.received]


@dataclass
class Worker:
    """One worker's sender."""

    floor: Floor
    keeper: Slow
    sender: CallbackSender

    async def send(self, endpoint: Endpoint) -> Outcome:
        """Send one callback."""
        callback = Callback(message_id="msg_1", body=b"{}", timestamp_s=1_700_000_000)
        return await self.sender.send(self.sender.prepare(endpoint), callback, deadline_s=PATIENCE_S)


@pytest.fixture
async def floor(rig: Rig, redis: Redis, sink: HostileSink) -> AsyncIterator[Floor]:
    resolver = Resolver(nameservers=["127.0.0.1:9"])
    egress = Egress(policy=POLICY, resolver=resolver, options=EgressOptions(connect_timeout_s=PATIENCE_S))
    yield Floor(rig, redis, egress, sink)
    await egress.aclose()
    await resolver.close()


def refresh(tokens: TokenServer, **fields: Any) -> RefreshToken:
    """Credentials with a refresh token."""
    given = {"client_id": "relay", "client_secret": SECRET, "refresh_token": "refresh-0", "given": "refresh-0"}
    return RefreshToken(token_url=tokens.url, **given | fields)


def client(tokens: TokenServer, **fields: Any) -> OAuth2:
    """Client credentials."""
    return OAuth2(token_url=tokens.url, client_id="relay", client_secret=SECRET, **fields)


@pytest.mark.parametrize("kind", [client, refresh])
async def test_workers_get_one_token(floor: Floor, tokens: TokenServer, kind: Any) -> None:
    """Two workers that need a token at once ask for it once, and both use it. It is sealed in the store."""
    endpoint = await floor.endpoint(kind(tokens))
    one, other = floor.worker(), floor.worker()
    outcomes = await asyncio.gather(*(worker.send(endpoint) for worker in (one, other) for _ in range(5)))
    assert {outcome.status for outcome in outcomes} == {204}
    assert (len(tokens.asked), set(floor.sent())) == (1, {"Bearer token-1"})
    kept = [await floor.redis.get(name) async for name in floor.redis.scan_iter("relay:*:token")]
    assert len(kept) == 1
    assert b"token-1" not in kept[0]


async def test_a_refresh_token_is_sent_as_a_form(floor: Floor, tokens: TokenServer) -> None:
    """With the client's credentials where the endpoint says, and its own word before the access token."""
    auth = refresh(tokens, token_auth="body", scope="a b", scheme="Zoho-oauthtoken")
    tokens.extra = {"token_type": "absent"}
    assert (await floor.worker().send(await floor.endpoint(auth))).status == 204
    form = f"grant_type=refresh_token&refresh_token=refresh-0&scope=a+b&client_id=relay&client_secret={SECRET}"
    assert tokens.asked == [("", form)]
    assert floor.sent() == ["Zoho-oauthtoken token-1"]


async def test_a_new_refresh_token_is_stored_before_anything_is_sent(floor: Floor, tokens: TokenServer) -> None:
    """Nothing is sent while the store does not take it, and the relay offers it until the store does."""
    tokens.refresh_token, tokens.rotates = "refresh-0", True
    endpoint, worker = await floor.endpoint(refresh(tokens)), floor.worker()
    worker.keeper.fails = 2
    sending = asyncio.create_task(worker.send(endpoint))
    await until(lambda: worker.keeper.fails == 0)
    assert floor.sent() == []
    assert (await sending).status == 204
    assert (await floor.stored(endpoint)).refresh_token == "refresh-1"
    raw = await floor.redis.hget("relay:{config}:endpoints", endpoint.id)  # type: ignore[misc]
    assert b"refresh-" not in raw


async def test_each_worker_uses_the_newest_refresh_token(floor: Floor, tokens: TokenServer) -> None:
    """Also a worker that does not know yet that it was replaced."""
    tokens.refresh_token, tokens.rotates = "refresh-0", True
    endpoint = await floor.endpoint(refresh(tokens))
    for number in (1, 2, 3):
        assert (await floor.worker().send(endpoint)).status == 204
        assert (await floor.stored(endpoint)).refresh_token == f"refresh-{number}"
        await floor.forget("token")
    assert floor.sent() == ["Bearer token-1", "Bearer token-2", "Bearer token-3"]


@pytest.mark.parametrize("strict", [False, True])
async def test_a_worker_dies_before_it_stores_a_new_refresh_token(
    floor: Floor, tokens: TokenServer, strict: bool
) -> None:
    """Another worker waits for its right to end. It goes on with the old one, if the server takes that twice."""
    tokens.refresh_token, tokens.rotates = ("refresh-0", True) if strict else ("", True)
    endpoint, dying, other = await floor.endpoint(refresh(tokens)), floor.worker(), floor.worker()
    dying.keeper.hangs = True
    lost = asyncio.create_task(dying.send(endpoint))
    await dying.keeper.rotating.wait()
    waiting = asyncio.create_task(other.send(endpoint))
    for task in dying.sender._tokens._running.values():
        # A killed process gives nothing back.
        dying.keeper.unlock = never  # type: ignore[method-assign]
        task.cancel()
    await asyncio.wait([lost])
    assert (await floor.stored(endpoint)).refresh_token == "refresh-0"
    assert len(tokens.asked) == 1
    await floor.forget("getting")
    outcome = await waiting
    expected = (0, Failure.CREDENTIALS, []) if strict else (204, "", ["Bearer token-2"])
    assert (outcome.status, outcome.error, floor.sent()) == expected


async def never(*_: Any) -> None:
    """Nothing is given back."""


async def test_the_owner_replaces_a_refresh_token_meanwhile(floor: Floor, tokens: TokenServer) -> None:
    """The owner's stays, the one that came with it is dropped, and the next attempt uses the owner's."""
    tokens.rotates = True
    tokens.gate.clear()
    endpoint, worker = await floor.endpoint(refresh(tokens)), floor.worker()
    sending = asyncio.create_task(worker.send(endpoint))
    await until(lambda: len(tokens.asked) == 1)
    own = refresh(tokens, refresh_token="own", given="own")
    changed = await floor.rig.change(endpoint, auth=own)
    tokens.gate.set()
    outcome = await sending
    assert (outcome.error, floor.sent()) == (Failure.LOCAL, [])
    assert await floor.stored(endpoint) == own
    assert (await worker.send(changed)).status == 204
    assert "refresh_token=own" in tokens.asked[1][1]


async def test_without_the_store_no_refresh_token_is_used(floor: Floor, tokens: TokenServer) -> None:
    """The endpoint has no part in it. Client credentials need no store."""
    endpoint, other = await floor.endpoint(refresh(tokens)), await floor.endpoint(client(tokens))
    worker = floor.worker()

    async def fail(*_: Any) -> None:
        raise StoreUnavailable("away")

    worker.keeper.find = fail  # type: ignore[method-assign,assignment]
    outcome = await worker.send(endpoint)
    assert (outcome.error, len(tokens.asked)) == (Failure.LOCAL, 0)
    assert (await worker.send(other)).status == 204


@pytest.mark.parametrize("kind", [client, refresh])
async def test_a_401_renews_once(floor: Floor, tokens: TokenServer, kind: Any) -> None:
    """In one attempt, and not again in each of those that follow. Another worker does not use the refused token."""
    endpoint, worker, other = await floor.endpoint(kind(tokens), "/status/401"), floor.worker(), floor.worker()
    assert (await worker.send(endpoint)).status == 401
    assert floor.sent() == ["Bearer token-1", "Bearer token-2"]
    assert (await worker.send(endpoint)).status == 401
    assert floor.sent()[2:] == ["Bearer token-2"]
    assert (await other.send(endpoint)).status == 401
    assert floor.sent()[3:] == ["Bearer token-2", "Bearer token-3"]


async def test_attempts_at_once_share_the_renewal(floor: Floor, tokens: TokenServer) -> None:
    """Each of those that were answered 401 with the old token tries the new one."""
    endpoint, worker = await floor.endpoint(client(tokens), "/status/401"), floor.worker()
    await asyncio.gather(*(worker.send(endpoint) for _ in range(5)))
    assert len(tokens.asked) == 2
    assert sorted(floor.sent()) == ["Bearer token-1"] * 5 + ["Bearer token-2"] * 5


HTML = f"<html>{SECRET}</html>".encode()
NONSENSE = {
    "html": (b"200 OK", HTML),
    "a list": (b"200 OK", b'["access_token"]'),
    "null": (b"200 OK", b"null"),
    "other types": (b"200 OK", b'{"access_token":{"a":1},"expires_in":[]}'),
    "a number": (b"200 OK", b'{"access_token":7}'),
    "a huge token": (b"200 OK", b'{"access_token":"%s"}' % (b"a" * 60_000)),
    "huge": (b"200 OK", b"[" * 2_000_000),
    "a line break": (b"200 OK", b'{"access_token":"a\\r\\nx: y"}'),
    "an error in a success": (b"200 OK", b'{"error":"invalid_scope","access_token":"x"}'),
    "an unknown error": (b"400 Bad Request", b'{"error":"%s"}' % SECRET.encode()),
    "an error that is none": (b"400 Bad Request", b'{"error":["invalid_grant"]}'),
    "a redirect": (b"302 Found\r\nlocation: /%s" % SECRET.encode(), HTML),
    "503": (b"503 Unavailable", HTML),
    "not http": (b"", b"\x16\x03\x01" + HTML),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("kind", [client, refresh])
async def test_a_token_server_answers_nonsense(
    floor: Floor, tokens: TokenServer, answer: tuple[bytes, bytes], kind: Any
) -> None:
    """The attempt says so in the relay's own words, nothing is sent, and the endpoint stays enabled."""
    code, body = answer
    head = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (code, len(body)) if code else b""
    tokens.answer = head + body
    outcome = await floor.worker().send(await floor.endpoint(kind(tokens)))
    assert (outcome.status, outcome.error, floor.sent()) == (0, Failure.AUTH, [])
    assert "authorization server" in outcome.detail
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
async def test_final_errors_are_told_apart(floor: Floor, tokens: TokenServer, error: str) -> None:
    """Only if every way to send the client's credentials gives one."""
    body = b'{"error":"%s","error_description":"%s"}' % (error.encode(), SECRET.encode())
    tokens.answer = b"HTTP/1.1 400 Bad\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    outcome = await floor.worker().send(await floor.endpoint(refresh(tokens)))
    assert outcome.error == Failure.CREDENTIALS
    assert outcome.detail == f"the authorization server refuses the credentials: {error}"
    assert len(tokens.asked) == (1 if error == "invalid_grant" else 2)


async def test_requests_go_to_the_server_that_comes_with_the_token(floor: Floor, tokens: TokenServer) -> None:
    """The path and the query are the endpoint's."""
    async with hostile_sink() as instance:
        tokens.extra = {"instance_url": f"http://127.0.0.1:{instance.port}/ignored?too"}
        auth = client(tokens, base_url_field="instance_url", base_url_suffix="127.0.0.1")
        assert (await floor.worker().send(await floor.endpoint(auth, "/fine?a=b"))).status == 204
        assert [got.path for got in instance.received] == ["/fine?a=b"]
        assert instance.received[0].headers["host"] == f"127.0.0.1:{instance.port}"
    assert floor.sent() == []


@pytest.mark.parametrize(
    "base_url",
    [
        "http://169.254.169.254", "https://169.254.169.254/", "https://evil.example", "https://127.0.0.1.evil.example",
        "https://evil-crm.example", "https://user@a.crm.example", "https://a.crm.example\\@evil.example",
        "file:///etc/passwd", "a.crm.example", "https://", "", 7, None, ["https://a.crm.example"],
        "https://a.crm.example/" + "a" * 3000,
    ],
)  # fmt: skip
async def test_hostile_base_urls_lead_nowhere(floor: Floor, tokens: TokenServer, base_url: Any) -> None:
    """Nothing is sent, and no host is looked up that the endpoint's owner does not allow."""
    tokens.extra = {"api_domain": base_url}
    for suffix in ("crm.example", "169.254.169.254"):
        auth = client(tokens, base_url_field="api_domain", base_url_suffix=suffix)
        outcome = await floor.worker().send(await floor.endpoint(auth))
        assert (outcome.status, outcome.error, floor.sent()) == (0, Failure.AUTH, [])
        assert "base URL" in outcome.detail


def pem(key: Any) -> tuple[str, str]:
    """A private key and its public one."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


RSA = pem(rsa.generate_private_key(65537, 2048))
EC = pem(ec.generate_private_key(ec.SECP256R1()))


async def test_a_google_service_account_signs_for_its_token(floor: Floor, tokens: TokenServer) -> None:
    """The assertion says who, for what, and for how long, and a stand-in verifies it with the public key."""
    tokens.public_key, tokens.audience = RSA[1], tokens.url
    auth = ServiceAccount(
        token_url=tokens.url, client_email="relay@p.iam.test", private_key=RSA[0], key_id="k1", scopes=("a", "b")
    )
    assert (await floor.worker().send(await floor.endpoint(auth))).status == 204
    (claims,) = tokens.claims
    assert (claims["iss"], claims["scope"], claims["kid"], "sub" in claims) == ("relay@p.iam.test", "a b", "k1", False)
    assert claims["exp"] - claims["iat"] == 180
    assert tokens.asked[0][1].startswith("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("ES256", EC)])
async def test_an_assertion_is_signed(floor: Floor, tokens: TokenServer, algorithm: Any, key: tuple[str, str]) -> None:
    """With the algorithm, the subject and the claims that the endpoint says; a wrong key is refused for good."""
    tokens.public_key, tokens.audience = key[1], "https://login.crm.example"
    auth = JwtBearer(
        token_url=tokens.url, issuer="client", subject="user@crm.example", audience="https://login.crm.example",
        private_key=key[0], algorithm=algorithm, claims={"tenant": 7},
    )  # fmt: skip
    assert (await floor.worker().send(await floor.endpoint(auth))).status == 204
    assert (tokens.claims[0]["sub"], tokens.claims[0]["tenant"]) == ("user@crm.example", 7)
    wrong = msgspec.structs.replace(auth, private_key=pem(ec.generate_private_key(ec.SECP256R1()))[0])
    outcome = await floor.worker().send(await floor.endpoint(wrong))
    assert outcome.error == (Failure.AUTH if algorithm == "RS256" else Failure.CREDENTIALS)


async def test_invalid_grant_disables_the_endpoint(rig: Rig) -> None:
    """With an operational event that has the reason. The events wait, and are sent when new credentials are there."""
    await rig.source()
    floor = Dispatching(rig)
    refusal = httpx.ByteStream(b'{"error":"invalid_grant"}')
    floor.subscribers.answers["id.example.com"] = lambda _: httpx.Response(400, stream=refusal)
    auth = RefreshToken(
        token_url="https://id.example.com/t", client_id="c", client_secret=SECRET, refresh_token="r", given="r"
    )
    crm = await rig.endpoint(url="https://crm.example.com/hook", auth=auth)
    await floor.changed()
    async with floor.worker():
        await floor.rows(3)

        async def is_disabled() -> bool:
            return (await rig.endpoints.named(crm.id)).disabled

        await until(is_disabled)
        reason = "the authorization server refuses the credentials: invalid_grant"
        assert (await rig.endpoints.named(crm.id)).disabled_reason == reason
        noted = [each for each in await Operations(rig.eyes).page(limit=10) if each.kind == "endpoint.disabled"]
        assert [each.data["reason"] for each in noted] == [reason]
        await floor.changed()
        await floor.settled()
        floor.subscribers.answers["id.example.com"] = token_answer
        await floor.change(crm, auth=msgspec.structs.replace(auth, refresh_token="s", given="s"), disabled=False)
        await floor.pass_time(5)
        await floor.all_ended()
    assert sorted(floor.subscribers.rows("crm.example.com")) == [1, 2, 3]


def token_answer(_: Any) -> httpx.Response:
    """A token."""
    return httpx.Response(200, stream=httpx.ByteStream(b'{"access_token":"t"}'))


async def test_a_lookup_has_the_same_credentials(rig: Rig) -> None:
    """A token server that is down fails the attempt, and not for good."""
    await rig.source()
    floor = Dispatching(rig)
    floor.subscribers.answers["id.example.com"] = status(503)
    auth = OAuth2(token_url="https://id.example.com/t", client_id="c", client_secret=SECRET)
    crm = await rig.endpoint(url="https://crm.example.com/hook", auth=auth)
    await floor.changed()
    async with floor.worker(schedule=(10.0,)):
        await floor.rows(1)

        async def judged() -> bool:
            return len(await floor.attempts(crm)) == 1

        await until(judged)
        await floor.settled()
    assert await floor.attempts(crm) == [(1, 0, "retry")]
