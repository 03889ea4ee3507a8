"""Everything that a case plays on: a store, an upstream, a recorder, endpoints, and real worker processes."""

import asyncio
import base64
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.cli.demo.ports import free_port
from relay.config import load
from relay.domain.model import ApiKeyAuth, Application, Endpoint, EndpointId, SigningKey, Source, SourceUid
from relay.store import keys, replay_keys
from relay.wiring import Stores, open_stores
from tests.bench.processes import Child, child, listens
from tests.fault.checker import Verdict, check
from tests.fault.recorder import Habit, Recorder, recorder
from tests.fault.upstream import FIRST_ROW_ID, Offered, Upstream, upstream
from tests.patience import PATIENCE_S

SOURCE = SourceUid("faults")
ROUTE = "all"
WORKER = ("-m", "relay.cli.main", "worker")
_COUNT_WAITING = """
local count = 0
for _, name in ipairs(redis.call('KEYS', ARGV[1])) do count = count + redis.call('LLEN', name) end
return count
"""
STEP_S = 0.01
"""Rows are offered in steps of this length."""


@dataclass(slots=True)
class Stage:
    """See the module. Paths of the recorder are the names of endpoints."""

    folder: Path
    rng: random.Random
    stores: Stores
    environment: dict[str, str]
    application: Application
    upstreams: dict[SourceUid, Upstream]
    """By source: SOURCE is there from the beginning."""
    recorder: Recorder
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    workers: list[Child] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    """Of the workers' health servers, by the workers' names."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def upstream(self) -> Upstream:
        """That of SOURCE."""
        return self.upstreams[SOURCE]

    async def open_upstream(self, *, first_row: int = FIRST_ROW_ID, pad_bytes: int = 600) -> Upstream:
        """One more upstream, until the stage ends."""
        return await self._stack.enter_async_context(upstream(first_row=first_row, pad_bytes=pad_bytes))

    async def source(self, uid: SourceUid, *, first_row: int, poll_s: float) -> Upstream:
        """Make one more source, with an upstream of its own."""
        self.upstreams[uid] = rows = await self.open_upstream(first_row=first_row)
        await self.stores.sources.put(uid, lambda _: _source(uid, rows.url, poll_s))
        return rows

    async def endpoint(
        self, name: str, habit: Habit | None = None, *, url: str | None = None, everything: bool = False, **fields: Any
    ) -> Endpoint:
        """Make an endpoint that wants the rows addressed to it, or all of them, and say how it answers."""
        if habit is not None:
            self.recorder.set(name, habit)
        secret = "whsec_" + base64.b64encode(self.rng.randbytes(32)).decode()
        make = {
            "app_id": self.application.id,
            "url": url or self.recorder.url(name),
            "keys": (SigningKey(key=secret),),
            "filter": None if everything else {"c_to": name},
            **fields,
        }
        made = await self.stores.endpoints.create(lambda i: Endpoint(id=i, **make), now_ms=now_ms())
        self.endpoints[name] = made
        return made

    async def worker(self, *, entry: Iterable[str] = WORKER, env: Mapping[str, str] | None = None) -> Child:
        """Start one more worker, and return when it is at work."""
        port = free_port()
        environment = {**self.environment, "RELAY_WORKER_PORT": str(port), **(env or {})}
        name = f"worker{len(self.workers)}"
        started = await self._stack.enter_async_context(
            child(name, sys.executable, *entry, folder=self.folder, env=environment, ready=listens(port))
        )
        self.workers.append(started)
        self.ports[name] = port
        return started

    async def kill(self, worker: Child) -> None:
        """SIGKILL one worker."""
        worker.process.kill()
        await worker.process.wait()
        self.workers.remove(worker)

    async def stop_workers(self) -> None:
        """End all workers in good order."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        self.workers.clear()

    async def offer_at(self, rate: float, seconds: float, to: Callable[[int], str], **fields: Any) -> int:
        """Offer rows at an even rate for a while; `to` gives the address of each by its number. Gives how many."""
        began, offered = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            while offered < rate * passed:
                self.upstream.offer(to(offered), **fields)
                offered += 1
            await asyncio.sleep(STEP_S)
        return offered

    async def outstanding(self) -> int:
        """How many deliveries have not ended: all that wait, are in flight, or wait for their next try."""
        return sum([await self._outstanding(uid) for uid in self.upstreams])

    async def _outstanding(self, uid: SourceUid) -> int:
        async with self.stores.redis.pipeline(transaction=True) as pipe:
            # Behind blocked keys, of which there can be any: they are looked for by their names.
            pipe.eval(_COUNT_WAITING, 1, keys.due(uid), keys.waiting(uid, EndpointId("*"), "*"))
            pipe.zcard(keys.due(uid))
            for each in self.endpoints.values():
                pipe.llen(keys.lane(uid, each.id))
                pipe.scard(keys.flight(uid, each.id))
                pipe.llen(replay_keys.replay_list(uid, each.id))
            return sum(await pipe.execute())

    async def is_taken_in(self) -> bool:
        """Whether every row that was offered is behind its source's cursor."""
        async with self.stores.redis.pipeline(transaction=False) as pipe:
            for uid in self.upstreams:
                pipe.hget(keys.route(uid, ROUTE), "cursor")
            cursors = await pipe.execute()
        newest = [rows.offered[-1].row if rows.offered else 0 for rows in self.upstreams.values()]
        return all(int(cursor or 0) >= row for cursor, row in zip(cursors, newest, strict=True))

    async def taken_in(self, *, within_s: float = 120.0) -> None:
        """Wait until every row that was offered is behind the cursor."""
        await until(self.is_taken_in, within_s=within_s, what="all rows to be taken in")

    async def drained(self, *, within_s: float = 120.0) -> None:
        """Wait until every row is taken in and every delivery has ended."""
        await self.taken_in(within_s=within_s)

        async def done() -> bool:
            return await self.outstanding() == 0

        await until(done, within_s=within_s, what="all deliveries to end")

    @property
    def offered(self) -> list[Offered]:
        """What all upstreams have."""
        return [each for rows in self.upstreams.values() for each in rows.offered]

    @property
    def shown(self) -> dict[int, float]:
        """What all upstreams have shown, see Upstream."""
        return {row: at for rows in self.upstreams.values() for row, at in rows.shown.items()}

    def verdict(self) -> Verdict:
        """Compare what was shown with what arrived."""
        return check(self.shown, self.offered, self.endpoints, self.recorder.arrivals)


class TooLate(Exception):  # noqa: N818 - named for what happened
    """Something that was waited for did not come."""


async def until(
    condition: Callable[[], Any], *, what: str, within_s: float = PATIENCE_S, every_s: float = 0.05
) -> float:
    """Wait for a condition (plain or awaitable); gives the seconds that it took. Raises TooLate."""
    began = time.monotonic()
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return time.monotonic() - began
        if time.monotonic() - began > within_s:
            raise TooLate(f"waited {within_s:g} s for {what}")
        await asyncio.sleep(every_s)


def now_ms() -> int:
    """Milliseconds of UTC since 1970."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def stage(
    seed: int, *, poll_s: float = 0.05, pad_bytes: int = 600, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """Set everything up but endpoints and workers; all of it is gone when the block ends.

    `settings` are further RELAY_ variables, of the workers; with RELAY_REDIS_URL everything plays on that server.
    """
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    rng = random.Random(seed)
    environment = {
        "RELAY_DATA_DIR": str(folder),
        "RELAY_ADMIN_KEY": base64.b64encode(rng.randbytes(18)).decode(),
        "RELAY_ENCRYPTION_KEY": base64.b64encode(rng.randbytes(32)).decode(),
        "RELAY_EGRESS_ALLOW": "127.0.0.0/8",
        "RELAY_UPSTREAM_ALLOW": "127.0.0.0/8",
        **(settings or {}),
    }
    try:
        async with (
            open_stores(load(environment)) as (stores, url),
            upstream(pad_bytes=pad_bytes) as rows,
            recorder(folder) as sink,
            AsyncExitStack() as stack,
        ):
            application = await stores.applications.create(lambda i: Application(id=i, name="faults"), now_ms=now_ms())
            await stores.sources.put(SOURCE, lambda _: _source(SOURCE, rows.url, poll_s))
            environment["RELAY_REDIS_URL"] = url
            yield Stage(folder, rng, stores, environment, application, {SOURCE: rows}, sink, _stack=stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _source(uid: SourceUid, url: str, poll_s: float) -> Source:
    return Source(
        uid=uid,
        name="faults",
        base_url=url,
        version="v2.1",
        igrp=1,
        auth=ApiKeyAuth("00000000-0000-4000-8000-000000000001"),
        routes=(ROUTE,),
        poll_interval_s=poll_s,
        batch_size=1000,
        start_row_id=0,
    )
