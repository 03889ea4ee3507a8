"""What the pipeline's tests stand on: real stores, a still clock, a fake upstream, and the pieces put together."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from redis.asyncio import Redis

from relay.domain.addresses import EgressPolicy
from relay.domain.envelope import HEADS
from relay.domain.model import ApiKeyAuth, Application, Endpoint, Secret, SigningKey, Source, SourceUid
from relay.domain.reading.plan import Overlap, Plan
from relay.domain.references import Reference
from relay.domain.route_state import RouteState
from relay.observability.spans import Spans
from relay.outbound.callbacks import CallbackSender
from relay.outbound.reports_api import ReportsApi
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.deleting import Deleting
from relay.pipeline.ingest import Ingest
from relay.pipeline.judges import Judges
from relay.pipeline.polling import Polling
from relay.pipeline.pressure import Pressure, Room
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.reading.backfilling import Backfilling
from relay.pipeline.reading.old_rows import OldRows
from relay.pipeline.replaying import Replaying
from relay.pipeline.route_poll import Budget, RoutePoll
from relay.store.api_keys import ApiKeys
from relay.store.applications import Applications
from relay.store.backfills import Backfills
from relay.store.backlog import Backlog
from relay.store.bodies import Bodies
from relay.store.books import Books
from relay.store.configuration import Configuration
from relay.store.deleted_lanes import DeletedLanes
from relay.store.deleted_sources import DeletedSources
from relay.store.deletions import Deletions
from relay.store.endpoints import Endpoints
from relay.store.events import Events
from relay.store.lanes import Lanes
from relay.store.operations import Operations
from relay.store.outstanding import Outstanding
from relay.store.pages import Pages
from relay.store.past_events import PastEvents
from relay.store.readings import Readings
from relay.store.routes import Routes, Token
from relay.store.server import Server
from relay.store.sources import Sources
from relay.store.undelivered import Undelivered
from relay.store.vault import Vault
from tests.fakes.clock import StillClock
from tests.fakes.faulty_redis import FaultyRedis
from tests.fakes.upstream import FakeUpstream
from tests.integration.books import Books as BooksRead
from tests.integration.books import read_books
from tests.patience import PATIENCE_S

UK = SourceUid("uk")
SECRET = "whsec_" + base64.b64encode(b"a secret of 32 bytes for tests..").decode()
PAUSE_S = 0.002


class Rig:
    """One source, `uk`, whose routes are polled from rowId 0 on. `eyes` looks at the same server, and never fails."""

    def __init__(self, redis: FaultyRedis, eyes: Redis) -> None:
        self.eyes = eyes
        self.vault = vault = Vault([Secret(base64.b64encode(bytes(32)).decode())])
        self.redis = redis
        self.clock = StillClock()
        self.upstream = FakeUpstream()
        self.configuration = Configuration(redis, vault)
        self.sources, self.applications = Sources(redis, vault), Applications(redis, vault)
        self.endpoints = Endpoints(redis, vault)
        self.operations = Operations(redis)
        self.pressure = Pressure(
            server=Server(redis),
            operations=self.operations,
            outstanding=Outstanding(redis),
            clock=self.clock,
            room=Room(
                shed_share=0.75, stop_share=0.8, resume_share=0.7, stop_deliveries=10**6, resume_deliveries=10**5
            ),
        )
        self.events, self.lanes, self.routes, self.pages = Events(redis), Lanes(redis), Routes(redis), Pages(redis)
        self.readings, self.backfills = Readings(redis), Backfills(redis)
        self.bodies = Bodies(self.events)
        self.policy = EgressPolicy()
        self.catalogue = self.new_catalogue()

    def new_catalogue(self, sender: CallbackSender | None = None) -> Catalogue:
        """A mirror of its own, as another worker has it."""
        if sender is None:
            # Ingest and polling send nothing.
            sender = CallbackSender(None, policy=self.policy, user_agent="tests")  # type: ignore[arg-type]
        return Catalogue(self.configuration, sender)

    def deleting(self) -> Deleting:
        """A worker's job that ends deletions."""
        return Deleting(
            deletions=Deletions(self.redis),
            configuration=self.configuration,
            endpoints=self.endpoints,
            api_keys=ApiKeys(self.redis, self.vault),
            lanes=DeletedLanes(self.redis),
            sources=DeletedSources(self.redis),
        )

    def ingest(
        self, catalogue: Catalogue | None = None, *, judges: Judges | None = None, spans: Spans | None = None
    ) -> Ingest:
        """A page's way in."""
        return Ingest(
            pages=self.pages,
            events=self.events,
            past=PastEvents(self.redis),
            quarantine=Quarantine(routes=self.routes, operations=self.operations, clock=self.clock),
            bodies=self.bodies,
            catalogue=catalogue or self.catalogue,
            clock=self.clock,
            replaying=Replaying(events=self.events, books=Books(self.redis), undelivered=Undelivered(self.redis)),
            judges=judges,
            spans=spans,
        )

    def poller(
        self,
        *,
        overlap_rows: int = 1000,
        overlap_s: float = 600.0,
        every_s: float = 60.0,
        gaps_s: float = 0.0,
        changes_s: tuple[float, ...] = (),
        requests_per_hour: int = 10**7,
        most_bytes: int = 10**9,
        judges: Judges | None = None,
        spans: Spans | None = None,
    ) -> Polling:
        """A worker's poller. It probes no gaps, nor reads rows again for changes, unless a test asks for that."""
        self.plan = Plan(
            overlap=Overlap(rows=overlap_rows, seconds=overlap_s, interval_seconds=every_s),
            gap_deadline_s=gaps_s,
            change_schedule_s=changes_s,
            requests_per_hour=requests_per_hour,
        )
        reports = ReportsApi(self.upstream.transport())
        return Polling(
            reports=reports,
            routes=self.routes,
            ingest=self.ingest(judges=judges, spans=spans),
            catalogue=self.catalogue,
            clock=self.clock,
            known=self.pages,
            readings=self.readings,
            backfilling=Backfilling(
                backfills=self.backfills,
                backlog=Backlog(self.redis),
                lanes=self.lanes,
                old_rows=OldRows(books=Books(self.redis), events=self.events, undelivered=Undelivered(self.redis)),
                reports=reports,
                catalogue=self.catalogue,
                clock=self.clock,
                most_bytes=most_bytes,
            ),
            plan=self.plan,
            pressure=self.pressure,
            operations=self.operations,
        )

    async def source(self, *routes: str, **fields: Any) -> Source:
        """Make the source, or make it anew."""
        source = Source(
            uid=UK,
            name="UK",
            base_url="https://api.test",
            version="v2.1",
            igrp=1,
            auth=ApiKeyAuth("key"),
            routes=routes or ("all",),
            poll_interval_s=10.0,
            start_row_id=0,
        )
        saved, _ = await self.sources.put(UK, lambda _: msgspec.structs.replace(source, **fields))
        await self.catalogue.refresh()
        return saved

    async def application(self, **fields: Any) -> Application:
        """Make an application."""
        made = await self.applications.create(lambda i: Application(id=i, name="crm", **fields), now_ms=0)
        await self.catalogue.refresh()
        return made

    async def endpoint(self, application: Application | None = None, **fields: Any) -> Endpoint:
        """Make an endpoint, in an application of its own unless one is given."""
        owner = application or await self.application()
        values = {"url": "https://crm.test/hook", "keys": (SigningKey(key=SECRET),)} | fields
        made = await self.endpoints.create(lambda i: Endpoint(id=i, app_id=owner.id, **values), now_ms=0)
        await self.catalogue.refresh()
        return made

    async def change(self, endpoint: Endpoint, **fields: Any) -> Endpoint:
        """Change an endpoint, as an operator does."""
        return await self.endpoints.change(endpoint.app_id, endpoint.id, lambda e: msgspec.structs.replace(e, **fields))

    async def state(self, route: str = "all") -> RouteState:
        """How a route is."""
        return (await Routes(self.eyes).states(UK, [route]))[0]

    async def books(self) -> BooksRead:
        """Where every delivery is. Fails if they do not add up."""
        books = await read_books(self.eyes, UK)
        assert books.faults() == []
        return books

    async def waiting(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        """The `data` of the events that wait in an endpoint's lane, in order, with their types."""
        references = (await self.books()).waiting.get(endpoint.id, [])
        return await self.told(references)

    async def told(self, references: list[Reference]) -> list[dict[str, Any]]:
        """What the callbacks of some references would say."""
        events = await Events(self.eyes).read(UK, [ref.number for ref in references])
        bodies = [msgspec.json.decode(HEADS[ref.type_code] + events[ref.number].body) for ref in references]
        return [
            {"id": events[ref.number].id, "type": b["type"], **b["data"]}
            for ref, b in zip(references, bodies, strict=True)
        ]

    async def row_ids(self, endpoint: Endpoint) -> list[int]:
        """The rowIds of what waits for an endpoint."""
        return [int(each["rowId"]) for each in await self.waiting(endpoint)]


@asynccontextmanager
async def slice_of(polling: Polling) -> AsyncIterator[asyncio.Task[None]]:
    """A slice that runs until the block ends."""
    task = asyncio.create_task(polling.slice(UK))
    try:
        yield task
    finally:
        polling.stopping.set()
        await asyncio.wait_for(task, PATIENCE_S)
        polling.stopping.clear()


async def until(condition: Callable[[], Any], *, within_s: float = PATIENCE_S) -> None:
    """Wait until something is true; `condition` may be a coroutine function."""
    async with asyncio.timeout(within_s):
        while True:
            answer = condition()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(PAUSE_S)


async def time_brings(rig: Rig, condition: Callable[[], Any], *, step_s: float) -> None:
    """Let time pass, step by step, until something is true.

    A slice that is still at work when time passes sets its next poll after that, so one step may not be enough. Steps
    are short: a slice ends after 20 s.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rig.clock.advance(step_s)
            with suppress(TimeoutError):
                return await until(condition, within_s=1.0)


async def catch_up(rig: Rig, polling: Polling, *routes: str) -> None:
    """Poll until every route has nothing to do at this moment of the clock."""

    async with slice_of(polling):
        await until(lambda: has_nothing_to_do(rig, *routes))


async def has_nothing_to_do(rig: Rig, *routes: str) -> bool:
    """Whether no route, and none of its readings, wants a request at this moment of the clock."""
    states = await Routes(rig.eyes).states(UK, routes or rig.catalogue.sources[UK].routes)
    places, budget_ms = await Readings(rig.eyes).load(UK)
    source = rig.catalogue.sources[UK]
    due = [state.next_poll_at_ms for state in states]
    for state in states:
        of_route = places.get(state.route, {})
        poll = RoutePoll(state, Token(0, 0), joined=None, places=of_route, budget=Budget(budget_ms))
        readings = [each for each in rig.plan.readings if each.name in of_route]
        due += [poll.due_ms(each, poll_s=source.poll_interval_s) for each in readings]
        due += [place.due_ms for name, place in of_route.items() if name.startswith("backfill.")]
    return all(state.cursor is not None and state.route in places for state in states) and min(due) > rig.clock.at_ms
