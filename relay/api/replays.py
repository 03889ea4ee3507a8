"""Replays of an endpoint's messages, in Svix's shapes."""

from collections.abc import Sequence

from litestar import Controller, post
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, StoresGiven
from relay.api.schemas.replays import BackgroundTaskOut, BulkReplayIn, RecoverIn, ReplayIn, show_task
from relay.domain.model import Application, Endpoint, SourceUid
from relay.domain.principals import Resource
from relay.domain.replaying import Kind, Replay, Wanted
from relay.errors import Conflict, Fault, Invalid
from relay.store import journal
from relay.store.idempotency import Once
from relay.store.identifiers import new_id
from relay.store.journal import Change
from relay.store.replays import PREFIX, Part
from relay.wiring import Stores

MOST_RUNNING = 5
"""Tasks of an application that can run at the same time."""


class ReplayController(Controller):
    """`/api/v1/app/{app_id}/endpoint/{endpoint_id}`: what sends messages again."""

    path = "/app/{app_id:str}/endpoint/{endpoint_id:str}"
    tags = ["endpoint"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE)

    @post("/recover", summary="Resend dead messages", status_code=202)
    async def recover(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[RecoverIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
    ) -> BackgroundTaskOut:
        """Send all messages again that the relay gave up or dropped for an endpoint, as a background task."""
        asked = Asked(stores, application, await called(application, endpoint_id, stores), clock.now_ms())
        wanted = data.wanted(data.states())
        return await asked.begin("endpoint.recover", wanted, rate=data.rate, dry_run=data.dry_run, once=once)

    @post("/replay-missing", summary="Send messages that an endpoint was never sent", status_code=202)
    async def replay_missing(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[ReplayIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
    ) -> BackgroundTaskOut:
        """Send the messages to an endpoint that it was never owed and wants now, as a background task."""
        asked = Asked(stores, application, await called(application, endpoint_id, stores), clock.now_ms())
        wanted = data.wanted(["never"])
        return await asked.begin("endpoint.replay", wanted, rate=data.rate, dry_run=data.dry_run, once=once)

    @post("/bulk-replay", summary="Replay messages", status_code=202)
    async def bulk_replay(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[BulkReplayIn],
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
    ) -> BackgroundTaskOut:
        """Send chosen messages to an endpoint again, as a background task. New messages go first."""
        asked = Asked(stores, application, await called(application, endpoint_id, stores), clock.now_ms())
        return await asked.begin(
            "endpoint.bulk-replay",
            data.wanted(),
            rate=data.rate,
            dry_run=data.dry_run,
            once=once,
            named=data.sources,
        )


async def called(application: Application, endpoint_id: str, stores: Stores) -> Endpoint:
    """An endpoint that the relay calls. Raises NotFound, or Conflict for a poller."""
    endpoint = await stores.endpoints.get(application.id, endpoint_id)
    if endpoint.type == "poller":
        raise Conflict(
            f"endpoint {endpoint.id} is a poller, to which nothing is sent. It can poll from an earlier time"
        )
    return endpoint


class Asked:
    """What somebody asks for: the endpoint, and when."""

    def __init__(self, stores: Stores, application: Application, endpoint: Endpoint, now_ms: int) -> None:
        self._stores = stores
        self._application = application
        self._endpoint = endpoint
        self._now_ms = now_ms

    async def begin(
        self,
        kind: Kind,
        wanted: Wanted,
        *,
        rate: int | None,
        dry_run: bool,
        once: Once | None,
        named: Sequence[str] | None = None,
    ) -> BackgroundTaskOut:
        """Begin a task in each source. Raises Conflict if too many run, or Invalid for a source that is not there."""
        journal.current().note(Change(f"endpoint/{self._endpoint.id}"))
        task = once.new_id(PREFIX) if once else new_id(PREFIX, now_ms=self._now_ms)
        sources = await self._sources(named)
        await self._check(task, sources)
        parts = []
        for source in sources:
            replay = Replay(
                id=task, kind=kind, application=self._application.id, endpoint=self._endpoint.id, wanted=wanted,
                end=await self._stores.events.newest(source), created_ms=self._now_ms, updated_ms=self._now_ms,
                rate=rate, dry_run=dry_run,
            )  # fmt: skip
            await self._stores.replays.create(source, replay)
            parts.append(Part(source, replay, 0, 0, 0))
        return show_task(parts)

    async def _sources(self, named: Sequence[str] | None) -> list[SourceUid]:
        own = await self._stores.configuration.streams_of(self._application)
        if named is None:
            if not own:
                raise Conflict("the application has no source and no posted message, so there is nothing to replay")
            return own
        for at, uid in enumerate(named):
            if uid not in own:
                raise Invalid(Fault(("body", "sources", at), "is not the uid of a source of the application"))
        return [uid for uid in own if uid in named]

    async def _check(self, task: str, sources: Sequence[SourceUid]) -> None:
        """Raise Conflict if too many tasks of the application run."""
        running = {
            part.replay.id
            for part in await self._stores.replays.parts(sources)
            if part.replay.phase == "running" and part.replay.application == self._application.id
        }
        if len(running - {task}) >= MOST_RUNNING:
            raise Conflict(f"{MOST_RUNNING} tasks of the application run: wait until one is finished, or cancel one")
