"""After a change of an endpoint's expressions: deliveries that failed because of one are sent again, once."""

import hashlib

import structlog

from relay.domain.model import ApplicationId, Endpoint, SourceUid
from relay.domain.replaying import Replay, Wanted
from relay.errors import NotFound, Unreadable
from relay.store.applications import Applications
from relay.store.configuration import Configuration
from relay.store.endpoints import Endpoints
from relay.store.events import Events
from relay.store.mendings import Mended, Mendings
from relay.store.replays import PREFIX, Replays

log = structlog.get_logger()

AFTER_MS = 30_000
"""How long after a change: attempts that began with the expressions of before have failed by then, or not."""


class Mending:
    """Begins a replay of each change, as a background task that the API shows."""

    def __init__(
        self,
        *,
        mendings: Mendings,
        replays: Replays,
        endpoints: Endpoints,
        applications: Applications,
        configuration: Configuration,
        events: Events,
    ) -> None:
        self._mendings, self._replays, self._events = mendings, replays, events
        self._endpoints, self._applications, self._configuration = endpoints, applications, configuration

    async def begin(self, *, now_ms: int) -> None:
        """Begin what is due. After a crash, it is begun again: the same change has the same task. Raises
        StoreUnavailable."""
        for mended in await self._mendings.before(now_ms - AFTER_MS):
            endpoint = (await self._endpoints.read([mended.endpoint])).get(mended.endpoint)
            if endpoint is not None:
                await self._replay(endpoint, mended, now_ms)
            await self._mendings.forget(mended)

    async def _replay(self, endpoint: Endpoint, mended: Mended, now_ms: int) -> None:
        for source in await self._streams(endpoint.app_id):
            if not await self._replays.listed(source, endpoint.id, [mended.reason]):
                continue
            replay = Replay(
                id=_task_of(mended), kind="endpoint.recover", application=endpoint.app_id, endpoint=endpoint.id,
                wanted=Wanted(states=(mended.reason,)), end=await self._events.newest(source),
                created_ms=now_ms, updated_ms=now_ms,
            )  # fmt: skip
            try:
                await self._replays.create(source, replay)
            except NotFound:  # The source is being deleted.
                continue
            log.info(
                "dead_sent_again", source=source, app=endpoint.app_id, endpoint=endpoint.id, replay=replay.id,
                reason=mended.reason,
            )  # fmt: skip

    async def _streams(self, application: ApplicationId) -> list[SourceUid]:
        try:
            return await self._configuration.streams_of(await self._applications.get(application))
        except (NotFound, Unreadable):
            return []


def _task_of(mended: Mended) -> str:
    text = f"{mended.endpoint} {mended.reason} {mended.at_ms}"
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()[:27]
