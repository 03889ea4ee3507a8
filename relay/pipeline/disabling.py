"""Disabling an endpoint whose receiver is gone: what comes for it is kept, and nothing is sent any more."""

import msgspec
import structlog

from relay.domain.model import Endpoint
from relay.errors import NotFound
from relay.store.endpoints import Endpoints

log = structlog.get_logger()


class Disabling:
    """Disables endpoints on the relay's own decision."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def __call__(self, endpoint: Endpoint, reason: str) -> None:
        """Disable an endpoint, saying why. Nothing happens if it was deleted meanwhile."""

        def off(current: Endpoint) -> Endpoint:
            return msgspec.structs.replace(current, disabled=True, disabled_reason=reason)

        try:
            await self._endpoints.change(endpoint.app_id, endpoint.id, off)
        except NotFound:
            return
        log.warning("endpoint_disabled", endpoint=endpoint.id, reason=reason)
