"""A relay with checkpoints in a folder, and as many workers as a test wants, on a real server."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from relay.config import Settings, load
from relay.domain.epoch import Epoch
from relay.domain.model import ApiKeyAuth, Application, Endpoint, Source, SourceUid
from relay.outbound.objects import Objects
from relay.pipeline.checkpoints import Checkpoints, Heads
from relay.pipeline.clock import Clock
from relay.pipeline.vouching import Vouching
from relay.store import keys
from relay.store.vault import Vault
from relay.wiring import Stores, open_stores
from relay.wiring_checkpoints import vouching_of
from tests.integration.books import restore, snapshot

UK = SourceUid("uk")
NOW = 1_790_000_000_000
KEY, OTHER_KEY = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
CHORES = ("checkpoint", "restore")


def source(uid: str = UK) -> Source:
    return Source(
        uid=SourceUid(uid), name="UK", base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"),
        routes=("all",),
    )  # fmt: skip


class Relay:
    """A relay with one worker at a time, as far as it matters here."""

    def __init__(self, stores: Stores, redis: Redis, environment: dict[str, str]) -> None:
        """`redis` sees all servers of a cluster."""
        self.stores = stores
        self.redis = redis
        self.environment = environment
        self.settings = load(environment)
        self.place = Path(environment["RELAY_CHECKPOINT_URL"].removeprefix("file://"))

    def worker(
        self,
        *,
        is_manual: bool = False,
        key: str | None = None,
        still_s: float = 0.0,
        knows: Sequence[Source] | None = None,
    ) -> Vouching:
        """One more worker, which knows some sources. It believes a checkpoint to have no writer when it stands still
        for `still_s`."""
        settings, known = self._settings(key), [source()] if knows is None else list(knows)
        vouching = vouching_of(settings, self.stores, Clock(), sources=lambda: known, is_manual=is_manual)
        assert vouching is not None
        vouching._still_s = still_s
        return vouching

    def _settings(self, key: str | None) -> Settings:
        return load({**self.environment, "RELAY_ENCRYPTION_KEY": key}) if key else self.settings

    def checkpoints(self, key: str | None = None) -> Checkpoints:
        settings = self._settings(key)
        assert settings.checkpoint_url is not None
        return Checkpoints(Objects(settings.checkpoint_url), Vault(settings.encryption_key))

    async def heads(self, key: str | None = None) -> Heads:
        return await self.checkpoints(key).heads()

    async def look(self, *workers: Vouching, times: int = 1) -> None:
        """Have workers look, each as if the last look of all had been a while ago."""
        for _ in range(times):
            for each in workers:
                await self.redis.delete(*(keys.upkeep(chore) for chore in CHORES))
                each._rests_until_s = 0.0
                await each.look()

    async def fill(self, cursor: int = 500) -> Endpoint:
        """A source that is polled, an application, and an endpoint."""
        application = await self.stores.applications.create(lambda i: Application(id=i, name="a"), now_ms=NOW)
        await self.stores.sources.put(UK, lambda _: source())
        token = await self.stores.routes.take(UK)
        assert token is not None
        await self.stores.routes.start(UK, "all", cursor, token=token, now_ms=NOW)
        return await self.endpoint(application)

    async def endpoint(self, application: Application | None = None) -> Endpoint:
        """One more endpoint."""
        if application is None:
            application = (await self.stores.applications.page(after=None, limit=1)).values[0]
        owner = application.id
        return await self.stores.endpoints.create(
            lambda i: Endpoint(id=i, app_id=owner, url="https://r.test/"), now_ms=NOW
        )

    async def cursor(self) -> int | None:
        return (await self.stores.routes.states(UK, ["all"]))[0].cursor

    async def epoch(self) -> Epoch:
        kept = await self.stores.epochs.read()
        assert kept is not None
        return kept.epoch

    async def lose(self, change: Callable[[], Awaitable[object]], worker: Vouching) -> None:
        """Change something, have a checkpoint of it, and lose both the change and that the checkpoint was taken."""
        before = await snapshot(self.redis)
        await change()
        await self.look(worker)
        await restore(self.redis, before)

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.stores.operations.page(limit=9, descending=False)]


@asynccontextmanager
async def opened(redis: Redis, redis_url: str, folder: Path) -> AsyncIterator[Relay]:
    """A relay whose checkpoint is in a folder."""
    environment = {
        "RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": KEY, "RELAY_REDIS_URL": redis_url,
        "RELAY_CHECKPOINT_URL": f"file://{folder}/checkpoint",
    }  # fmt: skip
    async with open_stores(load(environment)) as (stores, _):
        yield Relay(stores, redis, environment)
