"""Health: whether the process runs, and whether it can work. No key is needed."""

import asyncio
from http import HTTPStatus

from litestar import Response, get

from relay.api.dependencies import StoresGiven
from relay.api.problems import problem
from relay.errors import StoreRefused, StoreUnavailable
from relay.store.connection import ping

PING_WITHIN_S = 2.0
"""A store that takes longer is as good as away; probes give up after 3 s or so."""


@get("/health/live", tags=["health"], summary="Is the process alive?", security=[])
async def live() -> dict[str, str]:
    """Say that the event loop turns; the store may be away."""
    return {"status": "live"}


@get("/health/ready", tags=["health"], summary="Can it work?", security=[])
async def ready(stores: StoresGiven) -> Response[dict[str, str]]:
    """Say whether the store answers; 503 while it does not."""
    try:
        async with asyncio.timeout(PING_WITHIN_S):
            await ping(stores.redis)
    except (StoreUnavailable, StoreRefused, TimeoutError):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the store does not answer")
    return Response({"status": "ready"})


@get("/api/v1/health", tags=["health"], summary="Svix's health check", status_code=204, security=[])
async def svix_health() -> None:
    """What `svix.health.get()` asks for."""
