"""After a change of an endpoint's expressions: deliveries that failed because of one are sent again, once."""

import hashlib
from contextlib import suppress

import structlog

from relay.domain.model import Endpoint
from relay.domain.replaying import Replay, Wanted
from relay.errors import NotFound, Unreadable
from relay.store.applications import Applications
from relay.store.configuration import Configuration
from relay.store.corrections import Correction, Corrections
from relay.store.endpoints import Endpoints
from relay.store.events import Events
from relay.store.replays import PREFIX, Replays

log = structlog.get_logger()

AFTER_MS = 30_000
"""How long after a change: attempts that began with the expressions of before have failed by then, or not."""


class Correcting:
    """Begins a replay of each change, as a background task that the API shows."""

    def __init__(
        self,
        *,
        corrections: Corrections,
        replays: Replays,
        endpoints: Endpoints,
        applications: Applications,
        configuration: Configuration,
        events: Events,
    ) -> None:
        self._corrections, self._replays, self._events = corrections, replays, events
        self._endpoints, self._applications, self._configuration = endpoints, applications, configuration

    async def begin(self, *, now_ms: int) -> None:
        """Begin what is due. After a crash, it is begun again: the same change has the same task.

        Raises StoreUnavailable.
        """
        for correction in await self._corrections.before(now_ms - AFTER_MS):
            try:
                with suppress(NotFound):  # It was deleted.
                    await self._replay(await self._endpoints.named(correction.endpoint), correction, now_ms)
            except Unreadable:  # It waits until somebody repairs the record.
                continue
            await self._corrections.forget(correction)

    async def _replay(self, endpoint: Endpoint, correction: Correction, now_ms: int) -> None:
        """Raises NotFound or Unreadable for its application."""
        application = await self._applications.get(endpoint.app_id)
        for source in await self._configuration.streams_of(application):
            if not await self._replays.listed(source, endpoint.id, [correction.reason]):
                continue
            replay = Replay(
                id=_task_of(correction), kind="endpoint.recover", application=endpoint.app_id, endpoint=endpoint.id,
                wanted=Wanted(states=(correction.reason,)), end=await self._events.newest(source),
                created_ms=now_ms, updated_ms=now_ms,
            )  # fmt: skip
            try:
                await self._replays.create(source, replay)
            except NotFound:  # The source is being deleted.
                continue
            log.info(
                "dead_sent_again", source=source, app=endpoint.app_id, endpoint=endpoint.id, replay=replay.id,
                reason=correction.reason,
            )  # fmt: skip


def _task_of(correction: Correction) -> str:
    text = f"{correction.endpoint} {correction.reason} {correction.at_ms}"
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()[:27]
