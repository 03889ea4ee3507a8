"""A relay for the browser: the API and the console on a port, with a world to look at."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network

import httpx

from relay.api.app import create_api
from relay.bounded_clients import ClientLimits
from relay.config import Settings
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Secret
from relay.pipeline.clock import Clock
from relay.serving import open_port, server
from relay.wiring import Stores, open_stores
from tests.browser.embedder import embedding
from tests.browser.terminating import terminating
from tests.fault.certificates import Authority, server_context

KEY = "browser-key-0123456789"
LOCAL = EgressPolicy(allow=(ip_network("127.0.0.0/8"),))


@dataclass
class Served:
    """Where the relay is."""

    url: str
    embedder: str = ""
    """The origin of a page that can embed the portal: see tests/browser/embedder.py."""
    secure_url: str = ""
    secure_embedder: str = ""
    """The same by https."""
    key: str = KEY


def settings_of(redis_url: str) -> Settings:
    """The settings of the relay."""
    return Settings(redis_url=Secret(redis_url), encryption_key=(Secret(base64.b64encode(b"k" * 32).decode()),))


@asynccontextmanager
async def serve(redis_url: str) -> AsyncIterator[Served]:
    """Serve for as long as this is used, on an emptied store."""
    context = server_context(Authority().issue("127.0.0.1", "localhost"))
    with embedding() as embedder, embedding(context) as secure_embedder:
        async with relaying(redis_url, [embedder, secure_embedder]) as port, terminating(port, context) as secure_port:
            urls = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{secure_port}"
            served = Served(urls[0], embedder, urls[1], secure_embedder)
            await fill(served)
            yield served


@asynccontextmanager
async def relaying(redis_url: str, embed_origins: list[str]) -> AsyncIterator[int]:
    """Run the API on an emptied store; gives its port."""
    async with open_stores(settings_of(redis_url)) as (stores, _):
        await stores.redis.flushdb()

        @asynccontextmanager
        async def opened() -> AsyncIterator[Stores]:
            yield stores

        app = create_api(
            opened, admin_key=Secret(KEY), policy=LOCAL, upstreams=LOCAL, clock=Clock(), embed_origins=embed_origins
        )
        listener = open_port("127.0.0.1", 0, setting="--port")
        serves = server(app, lifespan=True, limits=ClientLimits())
        running = asyncio.create_task(serves.serve([listener]))
        while not serves.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
        serves.should_exit = True
        await running


def stored(redis_url: str, do: Callable[[Stores], Awaitable[None]]) -> None:
    """Do something with the stores of the relay, in a thread: the browser occupies the loop of the test's own."""

    async def run() -> None:
        async with open_stores(settings_of(redis_url)) as (stores, _):
            await do(stores)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(run())).result()


async def fill(served: Served) -> None:
    """Create a world: sources, applications and endpoints, one of each with a hostile name."""
    headers = {"authorization": f"Bearer {served.key}"}
    async with httpx.AsyncClient(base_url=f"{served.url}/api/v1", headers=headers) as api:
        for uid, name in (("uk", "United Kingdom"), ("evil", "<script>alert(1)</script>")):
            source = {"name": name, "baseUrl": "http://127.0.0.1:1", "igrp": 1, "routes": ["calls", "visits"]}
            (await api.put(f"/source/{uid}", json=source | {"auth": {"type": "apiKey", "key": "k"}})).raise_for_status()
        for uid, name in (("acme", "Acme Motors"), ("evil", "<img src=x onerror=alert(1)>")):
            (await api.post("/app", json={"uid": uid, "name": name})).raise_for_status()
            made = {"uid": "crm", "url": "http://127.0.0.1:1/hook?<b>", "description": name}
            (await api.post(f"/app/{uid}/endpoint", json=made)).raise_for_status()
        told = {"name": "invoice.paid", "description": "An invoice was paid"}
        (await api.post("/event-type", json=told)).raise_for_status()
        sent = {"eventType": "invoice.paid", "eventId": "first", "payload": {"said": "<script>alert(1)</script>"}}
        (await api.post("/app/acme/msg", json=sent)).raise_for_status()
