"""Disabling an endpoint whose receiver is gone: what comes for it is kept, and nothing is sent any more."""

import msgspec
import structlog

from relay.domain.model import Endpoint
from relay.errors import NotFound
from relay.pipeline.clock import Clock
from relay.store.endpoints import Endpoints
from relay.store.operations import Operations

log = structlog.get_logger()


class Disabling:
    """Disables endpoints on the relay's own decision."""

    def __init__(self, endpoints: Endpoints, operations: Operations, clock: Clock) -> None:
        self._endpoints = endpoints
        self._operations = operations
        self._clock = clock

    async def __call__(self, endpoint: Endpoint, reason: str) -> None:
        """Disable an endpoint, saying why, once. Nothing happens if it was deleted or disabled meanwhile."""
        before: list[Endpoint] = []

        def off(current: Endpoint) -> Endpoint:
            before[:] = [current]
            return msgspec.structs.replace(current, disabled=True, disabled_reason=reason)

        try:
            await self._endpoints.change(endpoint.app_id, endpoint.id, off)
        except NotFound:
            return
        if before[0].disabled:
            return
        data = {"appId": endpoint.app_id, "endpointId": endpoint.id, "reason": reason}
        await self._operations.note("endpoint.disabled", data, now_ms=self._clock.now_ms())
        log.warning("endpoint_disabled", endpoint=endpoint.id, reason=reason)
