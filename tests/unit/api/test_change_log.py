"""What the log says of the API's work."""

from typing import Any

import structlog

from relay.api.request_ids import NAMES


async def test_each_change_leaves_one_line_without_its_content(client: Any) -> None:
    """Who reads the log sees what was called, by which key and what came of it: no bodies, no keys and no queries."""
    with structlog.testing.capture_logs() as lines:
        await client.get("/api/v1/event-type")
        await client.post("/api/v1/app?canary=1", json={"canary": 2})
    called = {"method": "POST", "operation": "/api/v1/app", "status": 422, "by": "admin"}
    assert lines == [{"event": "api_change", "log_level": "info", **called}]


async def test_a_failed_login_is_a_warning_with_the_address(client: Any) -> None:
    """Whatever was wrong with the key. The line has the reason, and not the key."""
    for given in ("Bearer canary", "Basic canary", f"Bearer rlk_{'canary' * 9}00000000", ""):
        with structlog.testing.capture_logs() as lines:
            await client.get("/api/v1/event-type", headers={"authorization": given})
        assert [(line["event"], line["log_level"], line["operation"]) for line in lines] == [
            ("login_failed", "warning", "/api/v1/event-type")
        ]
        assert lines[0]["address"]
        assert lines[0]["reason"]
        assert "canary" not in str(lines)


async def test_all_lines_of_a_request_have_its_id(client: Any) -> None:
    """The id is in the answer too, also if nothing is there. A client can choose it, but not any text."""
    seen: list[Any] = []

    def look(_logger: Any, _method: str, event: Any) -> Any:
        seen.append(structlog.contextvars.merge_contextvars(None, "", dict(event)))
        raise structlog.DropEvent

    kept = structlog.get_config()["processors"]
    structlog.configure(processors=[look])
    try:
        given = await client.post("/api/v1/app", json={}, headers={"svix-req-id": "17"})
        made = await client.post("/api/v1/app", json={}, headers={"x-request-id": "a b"})
    finally:
        structlog.configure(processors=kept)
    names = [name.decode() for name in NAMES]
    assert [given.headers[name] for name in names] == ["17", "17"]
    assert made.headers["x-request-id"].startswith("req_")
    assert [line["request_id"] for line in seen] == ["17", made.headers["x-request-id"]]
    absent = await client.get("/nothing", headers={"x-request-id": "mine"})
    assert (absent.status_code, absent.headers["x-request-id"]) == (404, "mine")
