"""A store of its own with a source, an application and endpoints: what a worker needs to have something to do."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from relay.config import load
from relay.domain.model import ApiKeyAuth, Application, Endpoint, EndpointId, SigningKey, Source, SourceUid
from relay.domain.requests.model import PLAIN, RequestShape
from relay.store import keys
from relay.wiring import Stores, open_stores
from tests.bench.upstream import API_KEY, IGRP

ROUTE = "all"
AT_ONCE = 32
"""Endpoints that are made side by side."""


@dataclass(slots=True)
class Ground:
    """An embedded server with the relay's configuration in it."""

    stores: Stores
    url: str
    server_pid: int
    environment: dict[str, str]
    application: Application
    endpoints: list[Endpoint] = field(default_factory=list)
    _sources: int = 0

    async def subscribe(
        self,
        count: int,
        url: Callable[[int], str],
        *,
        filters: Callable[[int], dict[str, Any] | None] = lambda _: None,
        shapes: Callable[[int], RequestShape] = lambda _: PLAIN,
        paused: bool = False,
    ) -> list[Endpoint]:
        """Make endpoints; `url`, `filters` and `shapes` are asked with the number of each."""
        turns = iter(range(count))

        async def make_some() -> None:
            for number in turns:
                wanted, shape = filters(number), shapes(number)
                make = partial(self._endpoint, url=url(number), wanted=wanted, shape=shape, paused=paused)
                self.endpoints.append(await self.stores.endpoints.create(make, now_ms=1 + number))

        await asyncio.gather(*(make_some() for _ in range(AT_ONCE)))
        return self.endpoints

    def _endpoint(
        self, endpoint: EndpointId, *, url: str, wanted: dict[str, Any] | None, shape: RequestShape, paused: bool
    ) -> Endpoint:
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        return Endpoint(
            id=endpoint,
            app_id=self.application.id,
            url=url,
            keys=(SigningKey(key=secret),),
            filter=wanted,
            request=shape,
            paused=paused,
        )

    async def source(self, base_url: str = "http://127.0.0.1:9", *, paused: bool = False, batch: int = 1000) -> Source:
        """Make a source that begins at the first row; one that is paused is never polled."""
        self._sources += 1
        uid = SourceUid(f"bench{self._sources}")
        source = Source(
            uid=uid,
            name="bench",
            base_url=base_url,
            version="v2.1",
            igrp=IGRP,
            auth=ApiKeyAuth(API_KEY),
            routes=(ROUTE,),
            poll_interval_s=0.1,
            batch_size=batch,
            start_row_id=0,
            paused=paused,
        )
        await self.stores.sources.put(uid, lambda _: source)
        return source

    async def version(self) -> int:
        """The version that a page must have been matched against to be committed."""
        return await self.stores.configuration.version()

    async def outstanding(self, source: Source) -> int:
        """How many deliveries of a source have not ended."""
        counts: dict[bytes, bytes] = await self.stores.redis.hgetall(keys.references(source.uid))  # type: ignore[misc]
        return sum(map(int, counts.values()))


@asynccontextmanager
async def ground(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Ground]:
    """Run an embedded server in `folder` for as long as the block lasts. `settings` are further RELAY_ variables."""
    environment = {
        "RELAY_DATA_DIR": str(folder),
        "RELAY_ADMIN_KEY": base64.b64encode(os.urandom(18)).decode(),
        "RELAY_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
        "RELAY_EGRESS_ALLOW": "127.0.0.0/8",
        "RELAY_UPSTREAM_ALLOW": "127.0.0.0/8",
        **(settings or {}),
    }
    async with open_stores(load(environment)) as (stores, url):
        server = await stores.redis.info("server")
        application = await stores.applications.create(lambda i: Application(id=i, name="bench"), now_ms=1)
        environment["RELAY_REDIS_URL"] = url
        yield Ground(stores, url, int(server["process_id"]), environment, application)
