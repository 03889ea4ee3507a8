"""Health: whether the process runs, and whether it can work. No key is needed."""

from http import HTTPStatus

from litestar import Response, get

from relay.api.dependencies import ReadinessGiven
from relay.api.problems import problem


@get("/health/live", tags=["health"], summary="Is the process alive?", security=[])
async def live() -> dict[str, str]:
    """Say that the event loop turns; the store may be away."""
    return {"status": "live"}


@get("/health/ready", tags=["health"], summary="Can it work?", security=[])
async def ready(readiness: ReadinessGiven) -> Response[dict[str, str]]:
    """Answer 503 with the reason while the relay can't write to Redis, or its clock is off."""
    if (reason := await readiness.reason()) is not None:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", reason)
    return Response({"status": "ready"})


@get("/api/v1/health", tags=["health"], summary="Svix's health check", status_code=204, security=[])
async def svix_health() -> None:
    """What `svix.health.get()` asks for."""
