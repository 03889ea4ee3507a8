"""URLs that are secrets: the API shows their origin, and requests can leave them as they are."""

from typing import Any

import httpx
import pytest

from relay.store import keys, request_keys
from relay.wiring import Stores

SECRET = "canary-T024BE7LH-X1y2Z3"
URL = f"https://hooks.slack.com/services/{SECRET}?sig={SECRET}"
SHOWN = "https://hooks.slack.com/••••"
PATH = "/app/one/endpoint/slack"


async def made(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """An endpoint whose URL is a secret, as it was answered."""
    await http.put("/app/one", json={"name": "One"})
    answer = await http.put(PATH, json={"url": URL, "urlIsSecret": True, **fields})
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    body: dict[str, Any] = answer.json()
    return body


async def dialled(stores: Stores) -> str:
    """Where requests would go."""
    app = await stores.applications.get("one")
    return (await stores.endpoints.get(app.id, "slack")).dialled_url


async def test_a_secret_url_is_shown_nowhere(http: httpx.AsyncClient, stores: Stores) -> None:
    """Neither in answers, nor in the audit log, the operational events or the store."""
    endpoint = await made(http)
    assert (endpoint["url"], endpoint["urlIsSecret"]) == (SHOWN, True)
    await http.patch(PATH, json={"url": URL + "x"})
    for path in ("/app/one/endpoint", PATH, "/audit", f"{PATH}/headers", f"{PATH}/stats", "/app/one"):
        answer = await http.get(path)
        assert answer.status_code == 200, path
        assert SECRET not in answer.text
    raw = b"".join(
        [
            *await stores.redis.hvals(keys.config("endpoints")),  # type: ignore[misc]
            *await stores.redis.hvals(request_keys.AUDIT),  # type: ignore[misc]
            repr(await stores.operations.page(limit=100)).encode(),
        ]
    )
    assert SECRET.encode() not in raw
    assert await dialled(stores) == URL + "x"
    (entry,) = [each for each in (await http.get("/audit")).json()["data"] if each["action"] == "endpoint.update"]
    assert entry["changes"][0]["after"]["secretUrl"] == "••••"


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"type": "apiKey", "in": "query", "name": "k", "value": SECRET}, None),
        ({"type": "apiKey", "in": "header", "name": "X-Key", "prefix": "Key ", "value": SECRET}, ("x-key", "Key ••••")),
    ],
    ids=["query", "header"],
)
async def test_a_dry_run_shows_no_secret(http: httpx.AsyncClient, auth: dict[str, Any], header: Any) -> None:
    """Neither of the URL nor of the credentials."""
    await made(http, auth=auth, transformation='{"text": data.rowId}')
    tried = await http.post(f"{PATH}/transformation/test", json={})
    assert (tried.status_code, tried.json()["url"]) == (200, SHOWN), tried.text
    assert header is None or tried.json()["headers"][header[0]] == header[1]
    assert SECRET not in tried.text


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("body", [{"description": "a"}, {"url": SHOWN}, {"url": SHOWN, "urlIsSecret": True}])
async def test_a_request_can_leave_it_as_it_is(
    http: httpx.AsyncClient, stores: Stores, method: str, body: dict[str, Any]
) -> None:
    """By omitting it, or with what GET showed."""
    await made(http, auth={"type": "bearer", "token": "t"}, headers={"X-Api-Key": "k"})
    answer = await http.request(method, PATH, json=body)
    assert (answer.status_code, answer.json()["url"]) == (200, SHOWN), answer.text
    assert await dialled(stores) == URL


async def test_a_url_becomes_a_secret_and_is_one_no_more(http: httpx.AsyncClient, stores: Stores) -> None:
    """It must be sent again to be shown again."""
    await http.put("/app/one", json={"name": "One"})
    await http.put(PATH, json={"url": URL})
    assert (await http.patch(PATH, json={"urlIsSecret": True})).json()["url"] == SHOWN
    for body in ({"urlIsSecret": False}, {"urlIsSecret": False, "url": SHOWN}):
        refused = await http.patch(PATH, json=body)
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "url"])
    shown = await http.patch(PATH, json={"urlIsSecret": False, "url": URL})
    assert (shown.json()["url"], shown.json()["urlIsSecret"]) == (URL, False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": SHOWN}, "url"),
        ({"url": SHOWN, "urlIsSecret": True}, "url"),
        ({"type": "poller", "urlIsSecret": True}, "urlIsSecret"),
        ({"urlIsSecret": True}, "url"),
        ({"url": URL, "urlIsSecret": "yes"}, "urlIsSecret"),
    ],
)
async def test_what_makes_no_sense_is_refused(http: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    """With the field, and without the URL."""
    await http.put("/app/one", json={"name": "One"})
    refused = await http.post("/app/one/endpoint", json=body)
    assert refused.status_code == 422
    assert [fault["loc"] for fault in refused.json()["detail"]] == [["body", field]]
    assert SECRET not in refused.text


async def test_a_secret_url_moves_like_any_other(http: httpx.AsyncClient, stores: Stores) -> None:
    """What is hidden does not follow to another server. Placeholders and lookups follow its rules."""
    await made(http, auth={"type": "bearer", "token": "t"})
    refused = await http.patch(PATH, json={"url": "https://evil.example.com/x"})
    assert [fault["loc"] for fault in refused.json()["detail"]] == [["body", "auth"]]
    bad = {"key": "data.rowId", "result": "id", "url": "https://other.example.com/"}
    assert (await http.patch(PATH, json={"lookup": bad})).status_code == 422
    placed = await http.patch(PATH, json={"url": f"{URL}&row={{row}}"})
    assert placed.json()["detail"][0]["loc"] == ["body", "url"]
    placed = await http.patch(PATH, json={"url": f"{URL}&row={{row}}", "urlParameters": {"row": "data.rowId"}})
    assert placed.status_code == 200, placed.text
    removed = await http.patch(PATH, json={"urlParameters": {}})
    assert removed.json()["detail"][0]["loc"] == ["body", "url"]
    assert SECRET not in removed.text
