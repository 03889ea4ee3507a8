"""Who is let in."""

from typing import Any

import pytest
from litestar.routes import HTTPRoute

KEYS = "/.well-known/webhook-keys/{endpoint_id}"
OPEN = {
    "/health/live",
    "/health/ready",
    "/api/v1/health",
    "/docs",
    "/docs/openapi.json",
    "/docs/plain",
    "/docs/scalar-1.46.4.js",
    "/portal/token",
    KEYS,
    "/recording/{app_id}/{msg_id}",
    "/visitor-trace/{app_id}/{endpoint_id}/{msg_id}",
}


async def test_every_route_but_health_docs_and_public_keys_wants_the_key(client: Any) -> None:
    """Whatever is added later is behind the key too, unless it is named here."""
    del client.headers["authorization"]
    seen = set()
    for route in client.app.routes:
        assert isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}:
            answer = await client.request(method, route.path_format.replace("{", "").replace("}", ""))
            # Pages have sessions: see tests/integration/console.
            is_open = route.path_format in OPEN or route.path_format.startswith("/console")
            assert (answer.status_code == 401) is not is_open, (method, route.path_format)
            seen.add(route.path_format)
    assert seen > OPEN


@pytest.mark.parametrize(
    "given",
    ["Bearer ", "Bearer wrong", "test-key-0123456789", "Basic test-key-0123456789", "Bearer test-key-012345678é"],
)
async def test_only_the_key_itself_opens(client: Any, given: str) -> None:
    """Another key, another scheme or no scheme is refused, and the answer says how to ask."""
    answer = await client.get("/api/v1/event-type", headers={"authorization": given.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "authentication_failed"


async def test_the_scheme_may_be_written_as_one_likes(client: Any) -> None:
    """RFC 9110: the name of a scheme has no case."""
    answer = await client.get("/api/v1/event-type", headers={"authorization": "bEARER test-key-0123456789"})
    assert answer.status_code == 200
