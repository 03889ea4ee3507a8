"""What the log says of the API's work."""

from typing import Any

import structlog


async def test_each_change_leaves_one_line_without_its_content(client: Any) -> None:
    """Who reads the log sees what was called and what came of it, and neither bodies nor keys nor queries."""
    with structlog.testing.capture_logs() as lines:
        await client.get("/api/v1/event-type")
        await client.post("/api/v1/app?canary=1", json={"canary": 2}, headers={"authorization": "Bearer canary"})
    assert lines == [
        {"event": "api_change", "log_level": "info", "method": "POST", "path": "/api/v1/app", "status": 401}
    ]
