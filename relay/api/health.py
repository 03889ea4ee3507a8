"""Health checks: whether the process runs, and whether it can work. They require no key."""

from http import HTTPStatus

from litestar import Response, get

from relay.api.dependencies import ReadinessGiven
from relay.api.problems import problem
from relay.errors import StoreUnavailable


@get("/health/live", tags=["health"], summary="Check whether the process is alive", security=[])
async def live() -> dict[str, str]:
    """Answer 200 while the event loop runs, even if Redis is unavailable."""
    return {"status": "live"}


@get("/health/ready", tags=["health"], summary="Check whether the process is ready", security=[])
async def ready(readiness: ReadinessGiven) -> Response[dict[str, str]]:
    """Answer 503 with the reason while the relay cannot write to Redis, or its clock is off."""
    if (reason := await readiness.reason()) is not None:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", reason)
    return Response({"status": "ready"})


@get("/api/v1/health", tags=["health"], summary="Svix's health check", status_code=204, security=[])
async def svix_health(readiness: ReadinessGiven) -> None:
    """Answer `svix.health.get()`: 204, or 503 with the reason while the process is not ready."""
    if (reason := await readiness.reason()) is not None:
        raise StoreUnavailable(reason)
