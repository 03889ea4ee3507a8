"""What is set through the API, seen by a receiver: a real dispatcher sends over real sockets."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar import Litestar
from standardwebhooks import Webhook

from relay.api.app import create_api
from relay.config import Settings
from relay.domain import envelope
from relay.domain.addresses import EgressPolicy
from relay.domain.books import State
from relay.domain.model import EndpointId, Secret
from relay.domain.references import resent
from relay.pipeline.clock import Clock
from relay.pipeline.following import follow
from relay.store import keys
from relay.store.notices import Notices
from relay.wiring import Stores
from relay.wiring_dispatch import open_dispatch
from relay.wiring_erasing import erasing_of
from tests.fault.certificates import Authority, server_context
from tests.fault.hostile_sink import HostileSink, Received, hostile_sink
from tests.fault.token_server import token_server
from tests.integration.api.storing import A, Store
from tests.patience import PATIENCE_S

KEY = "test-key-0123456789"
HERE = (ip_network("127.0.0.1/32"),)
AUTHORITY = Authority()
PLAIN = "secret-header-value"


@pytest.fixture(scope="session")
def last() -> list[Stores]:
    """What the application works with."""
    return []


@pytest.fixture(scope="session")
def api(last: list[Stores]) -> Litestar:
    """The API, to which this machine is a place where receivers may be."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Stores]:
        yield last[-1]

    return create_api(opened, admin_key=Secret(KEY), policy=EgressPolicy(allow=HERE), clock=Clock())


@pytest.fixture
async def http(api: Litestar, stores: Stores) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the key, and an application."""
    api.state.stores = stores
    transport, headers = httpx.ASGITransport(api), {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://relay/api/v1", headers=headers) as client:
        await client.put("/app/one", json={"name": "One"})
        yield client


@pytest.fixture
async def sink() -> AsyncIterator[HostileSink]:
    """A receiver."""
    async with hostile_sink() as running:
        yield running


@pytest.fixture
def deaf() -> asyncio.Event:
    """Whether the worker misses what changes."""
    return asyncio.Event()


@pytest.fixture
async def dispatcher(stores: Stores, store: Store, deaf: asyncio.Event) -> AsyncIterator[None]:
    """The sending side of a worker, which follows what the API changes."""
    settings = Settings(
        egress_allow=HERE, egress_ca_file=(AUTHORITY.root,), attempt_timeout_seconds=PATIENCE_S, dispatch_slots=16
    )
    async with open_dispatch(settings, stores, Clock()) as (catalogue, dispatcher):

        async def changed() -> None:
            if deaf.is_set():
                return
            await catalogue.refresh()
            dispatcher.follow_sources()

        following = asyncio.create_task(
            follow(
                Notices(stores.redis),
                changed=changed,
                woken=dispatcher.wake,
                condition_changed=dispatcher.condition_changed,
                has_room=dispatcher.has_room,
                expunged=dispatcher.expunged,
            )
        )
        await changed()
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await dispatcher.drain(1.0)


Make = Callable[..., Awaitable[str]]


@pytest.fixture
def make(http: httpx.AsyncClient, sink: HostileSink) -> Make:
    """Makes an endpoint at a path of the receiver; gives its id."""

    async def make(path: str = "fine", **fields: Any) -> str:
        body = {"url": f"http://127.0.0.1:{sink.port}/{path}"} | fields
        answer = await http.post("/app/one/endpoint", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return make


async def until(ready: Callable[[], Any], *, within_s: float = PATIENCE_S) -> Any:
    """Wait for something to be true."""
    async with asyncio.timeout(within_s):
        while True:
            found = ready()
            if found := await found if asyncio.iscoroutine(found) else found:
                return found
            await asyncio.sleep(0.005)


async def arrived(sink: HostileSink, number: int = 1) -> list[Received]:
    """The first requests, once there are so many."""
    await until(lambda: len(sink.received) >= number)
    return sink.received


async def put_aside(stores: Stores, endpoint: str) -> bool:
    """Whether a worker has seen that an endpoint gets nothing now."""
    return bool(await stores.redis.hget(keys.lanes(A), endpoint) == b"p")  # type: ignore[misc]


@pytest.mark.usefixtures("dispatcher")
async def test_what_was_given_up_is_sent_again_by_hand(
    http: httpx.AsyncClient, sink: HostileSink, store: Store, make: Make
) -> None:
    """It leaves the list, arrives under the id that it had, and its attempt says that somebody asked for it."""
    endpoint = await make("status/500", uid="crm", retrySchedule=[])
    message = await store(A, 1, to=[endpoint])

    async def given_up() -> Any:
        return (await http.get("/undelivered", params={"endpoint": endpoint})).json()["data"]

    (entry,) = await until(given_up)
    assert (entry["msgId"], entry["reason"], entry["attempts"]) == (message, "schedule_used_up", 1)
    await http.patch("/app/one/endpoint/crm", json={"url": f"http://127.0.0.1:{sink.port}/fine"})
    assert (await http.post(f"/app/one/msg/{message}/endpoint/crm/resend")).status_code == 202
    first, second = await arrived(sink, 2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == message
    assert first.body == second.body
    assert await given_up() == []

    async def attempts() -> Any:
        listed = (await http.get(f"/app/one/attempt/msg/{message}")).json()["data"]
        return listed if len(listed) == 2 else None

    shown = [(each["responseStatusCode"], each["triggerType"], each["number"]) for each in await until(attempts)]
    assert shown == [(204, 1, 1), (500, 0, 1)]


@pytest.mark.usefixtures("dispatcher")
async def test_what_is_sent_keeps_the_privacy_rules_in_each_attempt(
    http: httpx.AsyncClient, sink: HostileSink, store: Store, make: Make
) -> None:
    """The signature is that of the bytes that are sent, and a retry has the same bytes."""
    await http.patch("/app/one", json={"privacy": [{"field": "srcPhoneNumber", "action": "hash"}]})
    own = [{"field": "vid", "action": "mask"}, {"field": "srcPhoneNumber", "action": "mask"}]
    hidden = await make("status/500", privacy=own, retrySchedule=[0.01])
    await store(A, 1, to=[hidden], srcPhoneNumber="+442079460958", vid="visitor-1", act="call")
    first, second = await arrived(sink, 2)
    assert first.body == second.body
    secret = (await http.get(f"/app/one/endpoint/{hidden}/secret")).json()["key"]
    trigger = Webhook(secret).verify(first.body, dict(first.headers))["data"]["trigger"]
    assert (trigger["vid"], trigger["act"]) == ("******r-1", "call")
    assert set(trigger["srcPhoneNumber"][:-3]) == {"*"}  # The mask hides the token, not the number.


@pytest.mark.usefixtures("dispatcher")
async def test_an_expunged_message_is_sent_to_nobody(
    http: httpx.AsyncClient, sink: HostileSink, stores: Stores, store: Store, make: Make
) -> None:
    """Not by a repair either, though a worker had it in memory. While it waits, it cannot be expunged."""
    number = "+442079460958"
    endpoint = await make(uid="crm", paused=True)
    message = await store(A, 1, to=[endpoint], srcPhoneNumber=number)
    waiting = await http.delete(f"/app/one/msg/{message}/content")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "conflict")
    await http.patch("/app/one/endpoint/crm", json={"paused": False})
    await arrived(sink)

    async def expunged() -> bool:
        return (await http.delete(f"/app/one/msg/{message}/content")).status_code == 204

    await until(expunged)
    shown = (await http.get(f"/app/one/msg/{message}")).json()
    assert (shown["payload"]["data"]["expunged"], shown["payload"]["data"]["trigger"]) == (True, {})
    assert (await http.post(f"/app/one/msg/{message}/endpoint/crm/resend")).status_code == 409
    async for name in stores.redis.scan_iter():
        assert number.encode() not in (await stores.redis.dump(name) or b"")

    await until(lambda: not stores.bodies._kept)
    place, event = await stores.events.find(A, message) or pytest.fail("it is not there")
    await stores.undelivered.resend(A, EndpointId(endpoint), resent(place, event, None))
    await until(lambda: is_unwanted(stores, endpoint, place))
    assert len(sink.received) == 1


@pytest.mark.usefixtures("dispatcher")
async def test_what_a_worker_has_in_memory_is_not_sent_after_its_erasure(
    http: httpx.AsyncClient, sink: HostileSink, stores: Stores, store: Store, make: Make
) -> None:
    """Deliveries that wait for their turn end without a request."""
    number = "+442079460958"
    endpoint = await make(uid="crm", rateLimit=1)
    messages = [await store(A, row, to=[endpoint], srcPhoneNumber=number) for row in range(1, 9)]
    await arrived(sink)
    assert (await http.post("/erasure", json={"phone": number})).status_code == 202
    turns = erasing_of(Settings(attempt_timeout_seconds=1.0), stores)
    assert await turns.turn()
    place, event = await stores.events.find(A, messages[-1]) or pytest.fail("it is not there")
    assert envelope.is_expunged(event)
    await until(lambda: is_unwanted(stores, endpoint, place))
    sent = [received.body for received in sink.received]
    assert len(sent) < len(messages)
    async for name in stores.redis.scan_iter("relay:s:*"):
        assert number.encode() not in (await stores.redis.dump(name) or b"")


async def is_unwanted(stores: Stores, endpoint: str, number: int) -> bool:
    """Whether the books say that an endpoint does not want an event."""
    states = await stores.books.states(A, [(EndpointId(endpoint), number)])
    return states[EndpointId(endpoint), number] is State.UNWANTED


@pytest.mark.usefixtures("dispatcher")
async def test_what_fails_by_hand_goes_on_by_schedule(http: httpx.AsyncClient, store: Store, make: Make) -> None:
    """The first of the new tries was asked for by somebody, those after it are the relay's own."""
    endpoint = await make("status/500", uid="crm", retrySchedule=[0.01])
    message = await store(A, 1, to=[endpoint])

    async def tried(times: int) -> Any:
        attempts = (await http.get(f"/app/one/attempt/msg/{message}")).json()["data"]
        return [(each["number"], each["triggerType"]) for each in attempts] if len(attempts) == times else None

    await until(lambda: tried(2))
    await http.post(f"/app/one/msg/{message}/endpoint/crm/resend")
    assert await until(lambda: tried(4)) == [(2, 0), (1, 1), (2, 0), (1, 0)]
    (entry,) = (await http.get("/undelivered")).json()["data"]
    assert (entry["msgId"], entry["attempts"]) == (message, 2)


def is_signed(received: Received, whpk: str) -> bool:
    """Whether a callback carries a `v1a` signature of a published key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(whpk.removeprefix("whpk_")))
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    for item in received.headers["webhook-signature"].split(" "):
        version, _, signature = item.partition(",")
        with suppress(InvalidSignature):
            if version == "v1a":
                key.verify(base64.b64decode(signature), signed)
                return True
    return False


@pytest.mark.usefixtures("dispatcher")
async def test_both_signatures_are_verified_with_what_the_api_gives(
    http: httpx.AsyncClient, sink: HostileSink, store: Store, make: Make
) -> None:
    """The secret by Standard Webhooks' own library, the public key by anybody, before and after a rotation."""
    endpoint = await make(uid="crm", signatures=["v1", "v1a"])

    async def published() -> list[str]:
        answer = await http.get(f"http://relay/.well-known/webhook-keys/{endpoint}", headers={"authorization": ""})
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert all(set(key) == {"kty", "crv", "use", "kid", "x", "publicKey"} for key in answer.json()["keys"])
        return [key["publicKey"] for key in answer.json()["keys"]]

    secret = (await http.get("/app/one/endpoint/crm/secret")).json()
    keys = await published()
    assert keys == [secret["publicKey"]]
    await store(A, 1, to=[endpoint])
    await http.post("/app/one/endpoint/crm/secret/rotate")
    new_secret, new_keys = (await http.get("/app/one/endpoint/crm/secret")).json(), await published()
    assert (len(new_keys), new_keys[1:]) == (2, keys)
    await arrived(sink)
    await store(A, 2, to=[endpoint])
    for received, proofs in zip(await arrived(sink, 2), ([secret], [secret, new_secret]), strict=True):
        for proof in proofs:
            Webhook(proof["key"]).verify(received.body, received.headers)
            assert is_signed(received, proof["publicKey"])
    await http.patch("/app/one/endpoint/crm", json={"signatures": ["v1"]})
    assert (await http.get(f"http://relay/.well-known/webhook-keys/{endpoint}")).status_code == 404


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ({"type": "basic", "username": "relay", "password": "pä:ss"}, "Basic cmVsYXk6cMOkOnNz"),
        ({"type": "bearer", "token": "t0ken"}, "Bearer t0ken"),
        ({"type": "oauth2", "clientId": "relay", "clientSecret": "s", "scope": "events"}, "Bearer token-1"),
        (
            {"type": "oauth2RefreshToken", "clientId": "relay", "clientSecret": "s", "refreshToken": "r"},
            "Bearer token-1",
        ),
        (
            {"type": "apiKey", "in": "header", "name": "Authorization", "prefix": "Token token=", "value": "v"},
            "Token token=v",
        ),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
async def test_an_endpoint_is_told_who_calls(
    sink: HostileSink, store: Store, make: Make, auth: dict[str, str], sent: str
) -> None:
    """With a name and a password, a fixed token, or one that is got from an authorization server, once."""
    async with token_server() as tokens:
        if auth["type"].startswith("oauth2"):
            auth = auth | {"tokenUrl": f"http://127.0.0.1:{tokens.port}/token"}
        endpoint = await make(auth=auth)
        for row in (1, 2):
            await store(A, row, to=[endpoint])
        assert [each.headers["authorization"] for each in await arrived(sink, 2)] == [sent] * 2
        forms = {
            "oauth2": "grant_type=client_credentials&scope=events",
            "oauth2RefreshToken": "grant_type=refresh_token&refresh_token=r",
        }
        assert tokens.asked == ([("Basic cmVsYXk6cw==", forms[auth["type"]])] if auth["type"] in forms else [])


@pytest.mark.usefixtures("dispatcher")
async def test_an_endpoint_is_shown_a_certificate(http: httpx.AsyncClient, store: Store, make: Make) -> None:
    """A receiver that wants a client certificate (mTLS) gets the endpoint's, and nobody else's."""
    pair = AUTHORITY.issue("relay", client=True)
    shown = {"certificate": pair.certificate, "privateKey": pair.private_key}
    tls = server_context(AUTHORITY.issue("127.0.0.1"), clients_of=AUTHORITY)
    async with hostile_sink(tls=tls) as strict:
        url = f"https://127.0.0.1:{strict.port}/fine"
        endpoints = [await make(url=url, clientCertificate=shown), await make(url=url)]
        message = await store(A, 1, to=endpoints)

        async def tried() -> Any:
            listed = (await http.get(f"/app/one/attempt/msg/{message}")).json()["data"]
            return {each["endpointId"]: each["responseStatusCode"] for each in listed} if len(listed) == 2 else None

        assert await until(tried) == dict(zip(endpoints, (204, 0), strict=True))
        assert len(strict.received) == 1


@pytest.mark.usefixtures("dispatcher")
async def test_headers_whose_values_are_hidden_are_sent_as_they_are(
    http: httpx.AsyncClient, sink: HostileSink, store: Store, make: Make
) -> None:
    """Masked for whoever looks, whole for the receiver, and untouched by a change of another."""
    endpoint = await make(uid="crm", headers={"X-Api-Key": PLAIN, "X-Team": "a"})
    await http.patch("/app/one/endpoint/crm/headers", json={"headers": {"x-team": "b"}})
    shown = await http.get("/app/one/endpoint/crm/headers")
    assert shown.json() == {"headers": {"x-team": "b"}, "sensitive": ["X-Api-Key"]}
    await store(A, 1, to=[endpoint])
    (received,) = await arrived(sink)
    assert (received.headers["x-api-key"], received.headers["x-team"]) == (PLAIN, "b")


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize("off", [{"paused": True}, {"disabled": True}])
async def test_what_comes_meanwhile_is_kept_and_sent_after(
    http: httpx.AsyncClient, stores: Stores, sink: HostileSink, store: Store, make: Make, off: dict[str, bool]
) -> None:
    """An endpoint that is paused or disabled gets nothing, and everything as soon as that is over."""
    endpoint = await make(uid="crm", order="fifo")
    await store(A, 1, to=[endpoint])
    await arrived(sink)
    await http.patch("/app/one/endpoint/crm", json=off)
    messages = [await store(A, row, to=[endpoint]) for row in range(2, 7)]

    await until(lambda: put_aside(stores, endpoint))
    waiting = (await http.get("/undelivered", params={"endpoint": endpoint})).json()["data"]
    assert [entry["msgId"] for entry in waiting] == messages
    assert len(sink.received) == 1
    await http.patch("/app/one/endpoint/crm", json=dict.fromkeys(off, False))
    received = await arrived(sink, 6)
    assert [each.headers["webhook-id"] for each in received[1:]] == messages


@pytest.mark.usefixtures("dispatcher")
async def test_a_worker_that_missed_the_change_looks_before_it_puts_a_lane_aside(
    http: httpx.AsyncClient, stores: Stores, sink: HostileSink, store: Store, make: Make, deaf: asyncio.Event
) -> None:
    """A lane that is claimed for an endpoint that was resumed a moment ago is sent, and not kept for a minute more."""
    endpoint = await make(uid="crm", paused=True)
    await store(A, 1, to=[endpoint])
    await until(lambda: put_aside(stores, endpoint))
    deaf.set()
    await http.patch("/app/one/endpoint/crm", json={"paused": False})
    assert len(await arrived(sink)) == 1
