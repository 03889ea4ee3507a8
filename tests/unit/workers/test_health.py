"""The worker's answers to probes."""

import httpx
import pytest

from workers.health import Health


@pytest.mark.parametrize(
    ("path", "alive", "reason", "status"),
    [
        ("/health/live", True, None, 200),
        ("/health/live", False, None, 503),
        ("/health/ready", True, None, 200),
        ("/health/ready", True, "Redis is away", 503),
        ("/health/ready", False, None, 503),
        ("/nothing", True, None, 404),
    ],
)
async def test_every_answer_of_the_worker_has_the_security_headers(
    path: str, alive: bool, reason: str | None, status: int
) -> None:
    """As the API's have them."""

    async def ready() -> str | None:
        return reason

    app = Health(alive=lambda: alive, ready=ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:  # type: ignore[arg-type]
        answer = await client.get(path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert reason is None or answer.text == reason


async def test_what_an_operator_should_know_is_in_the_answer() -> None:
    """Such as why polling waits: the worker is ready all the same."""

    async def ready() -> str | None:
        return None

    app = Health(alive=lambda: True, ready=ready, notes=lambda: ["Redis is nearly full", "the checkpoint is old"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:  # type: ignore[arg-type]
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.text) == (200, "ok\nRedis is nearly full\nthe checkpoint is old")


async def test_a_worker_that_ends_is_alive_and_not_ready() -> None:
    """Its tasks end one after the other: a probe must not count that as a death."""

    async def ready() -> str | None:
        return None

    app = Health(alive=lambda: False, ready=ready, ends=lambda: True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:  # type: ignore[arg-type]
        live, answer = await client.get("/health/live"), await client.get("/health/ready")
    assert (live.status_code, answer.status_code, answer.text) == (200, 503, "the worker is ending")
