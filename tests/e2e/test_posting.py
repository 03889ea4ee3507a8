"""Messages that are posted, against real processes: what was answered arrives, and nothing is half there."""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
from standardwebhooks.webhooks import Webhook
from svix.api import ApplicationIn, EndpointIn, MessageIn, SvixAsync, SvixOptions

from relay.cli.demo.ports import free_port
from relay.domain.model import EndpointId
from relay.domain.streams import posts_of
from relay.store import keys
from tests.bench.processes import Child, child, listens
from tests.fault.serving import Exchange, serving
from tests.fault.stage import Stage, stage, until
from tests.patience import PATIENCE_S

POSTERS = 40
"""At once."""


@dataclass
class Receiver:
    """Keeps the headers and the bytes of every callback, by path."""

    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def take(self, exchange: Exchange) -> None:
        """Write a callback down, and confirm it."""
        names = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")
        self.got.append((exchange.target, {name: exchange.header(name) for name in names}, exchange.body))
        exchange.answer(204, b"")

    def ids(self, path: str) -> list[str]:
        """The webhook-ids that arrived at a path."""
        return [headers["webhook-id"] for at, headers, _ in self.got if at == path]


@asynccontextmanager
async def serve(on: Stage, port: int) -> AsyncIterator[Child]:
    """The REST API as a process."""
    command = (sys.executable, "-m", "relay.cli.main", "serve")
    env = {**on.environment, "RELAY_PORT": str(port)}
    async with child("api", *command, folder=on.folder, ready=listens(port), env=env) as running:
        yield running


async def test_a_posted_message_arrives_signed_as_it_was_posted() -> None:
    """With Svix's own client, by type and channel, to the byte; one that is answered 202 is never lost."""
    port, receiver = free_port(), Receiver()
    async with stage(71) as on, serve(on, port), serving(receiver.take, host="127.0.0.1") as sink:
        svix = SvixAsync(on.environment["RELAY_ADMIN_KEY"], SvixOptions(server_url=f"http://127.0.0.1:{port}"))
        await on.worker()
        await svix.application.create(ApplicationIn(name="Shop", uid="shop"))
        url = f"http://127.0.0.1:{sink}"
        await svix.endpoint.create("shop", EndpointIn(url=f"{url}/all", uid="all"))
        await svix.endpoint.create("shop", EndpointIn(url=f"{url}/europe", uid="europe", channels=["europe"]))
        await svix.endpoint.create("shop", EndpointIn(url=f"{url}/calls", uid="calls", event_types=["call.created"]))
        paid = await svix.message.create("shop", MessageIn(event_type="invoice.paid", payload={"total": 19.9}))
        sold = await svix.message.create(
            "shop", MessageIn(event_type="sold", event_id="s-1", channels=["europe"], payload={"zwölf": 12})
        )
        await until(lambda: len(receiver.got) == 3, what="three callbacks")
        assert sorted(receiver.ids("/all")) == sorted([paid.id, sold.id])
        assert (receiver.ids("/europe"), receiver.ids("/calls")) == ([sold.id], [])
        secret = (await svix.endpoint.get_secret("shop", "all")).key
        for path, headers, body in receiver.got:
            if path == "/all":
                Webhook(secret).verify(body, headers)
        bodies = {headers["webhook-id"]: body for _, headers, body in receiver.got}
        assert json.loads(bodies[paid.id]) == {"total": 19.9}
        headers = {"authorization": f"Bearer {on.environment['RELAY_ADMIN_KEY']}", "content-type": "application/json"}
        raw = b'{"eventType": "call.created", "payload": {"n" : 1.10, "e": 1e2,\n "big": 9007199254740993}}'
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=PATIENCE_S
        ) as client:
            assert (await client.post("/app/shop/msg", content=raw)).status_code == 202
            await until(lambda: receiver.ids("/calls"), what="the callback of the typed endpoint")
            exact = next(body for path, _, body in receiver.got if path == "/calls")
            assert exact == b'{"n" : 1.10, "e": 1e2,\n "big": 9007199254740993}'

            async def confirmed() -> bool:
                attempts = (await client.get("/app/shop/attempt/msg/s-1")).json()["data"]
                return [(each["eventType"], each["status"]) for each in attempts] == [("sold", 0)] * 2

            await until(confirmed, what="the attempts to be listed")
            assert (await client.post("/app/shop/msg/s-1/endpoint/all/resend")).status_code == 202
            await until(lambda: receiver.ids("/all").count(sold.id) == 2, what="the resent callback")
            assert (await client.delete("/app/shop")).status_code == 204
        await until(lambda: nothing_left(on, paid.id), what="the application's posts to be deleted")
        await svix._httpx_client.aclose()


async def nothing_left(on: Stage, _: str) -> bool:
    """Whether only the mark of a deleted stream is left of any posts."""
    names = [bytes(name) async for name in on.stores.redis.scan_iter(match="relay:s:{posts@*")]
    return all(name.endswith(b":fence") for name in names)


async def test_a_killed_api_never_posts_by_halves() -> None:
    """SIGKILL while messages are posted: what was answered is there, and each event has all of its deliveries."""
    port = free_port()
    async with stage(72) as on, AsyncExitStack() as stack:
        for name in ("one", "two", "three"):
            await on.endpoint(name, everything=True, paused=True)
        headers = {"authorization": f"Bearer {on.environment['RELAY_ADMIN_KEY']}"}
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/app", headers=headers, timeout=PATIENCE_S)
        )
        answered, numbers = list[str](), itertools.count()

        async def post_on() -> None:
            """Post one message after the other, until one is not answered."""
            with suppress(httpx.TransportError):
                while True:
                    number = next(numbers)
                    body = {"eventType": "a.b", "eventId": f"e{number}", "payload": {"n": number}}
                    answer = await client.post(f"/{on.application.id}/msg", json=body)
                    assert answer.status_code == 202
                    answered.append(f"e{number}")

        for _ in range(3):
            running = await stack.enter_async_context(serve(on, port))
            under_way = [asyncio.create_task(post_on()) for _ in range(POSTERS)]
            target = len(answered) + 20
            await until(lambda target=target: len(answered) >= target, what="answers", every_s=0.001)  # type: ignore[misc]
            running.process.kill()
            await running.process.wait()
            await asyncio.gather(*under_way)
        stream = posts_of(on.application.id)
        newest = await on.stores.events.newest(stream)
        events = await on.stores.events.read(stream, range(1, newest + 1))
        names = [event.post.event_id for event in events.values() if event.post]
        assert len(names) == len(set(names)) == newest
        assert set(answered) <= set(names)
        assert len(answered) == next(numbers) - 3 * POSTERS
        for endpoint in on.endpoints.values():
            assert await waiting(on, endpoint.id) == sorted(events)


async def waiting(on: Stage, endpoint: EndpointId) -> list[int]:
    """The numbers of the events in a lane."""
    lane = await on.stores.redis.lrange(keys.lane(posts_of(on.application.id), endpoint), 0, -1)  # type: ignore[misc]
    return [int(bytes(reference)[1:].partition(b":")[0]) for reference in lane]
