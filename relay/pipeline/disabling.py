"""Disabling an endpoint whose receiver is gone: its events are kept, and the relay sends it nothing any more."""

import structlog

from relay.domain.model import Endpoint
from relay.errors import Conflict, NotFound, Unreadable
from relay.pipeline.clock import Clock
from relay.store.endpoints import Endpoints

log = structlog.get_logger()


class Disabling:
    """Disables endpoints on the relay's own decision."""

    def __init__(self, endpoints: Endpoints, clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock

    async def __call__(self, endpoint: Endpoint, reason: str) -> None:
        """Disable an endpoint, saying why, once, however many attempts and workers ask for it.

        Nothing happens if it was deleted or disabled in between, or a newer release has it in its care.
        """
        try:
            disabled = await self._endpoints.disable(endpoint, reason, now_ms=self._clock.now_ms())
        except NotFound:
            return
        except (Conflict, Unreadable) as error:
            log.warning("endpoint_not_disabled", endpoint=endpoint.id, error=str(error))
            return
        if disabled:
            log.warning("endpoint_disabled", endpoint=endpoint.id, reason=reason)
