"""An endpoint's hidden credentials don't follow its URL to another server: they must be given again."""

from typing import Any

import httpx
import pytest

from relay.wiring import Stores
from tests.fault.certificates import Authority

URL = "https://crm.example.com/hook"
PAIR = Authority().issue("relay", client=True)
CERTIFICATE = {"certificate": PAIR.certificate, "privateKey": PAIR.private_key}
AUTH = {"type": "bearer", "token": "canary-token"}
HEADERS = {"X-Api-Key": "canary-key", "X-Plain": "shown"}
HIDDEN: dict[str, Any] = {"auth": AUTH, "headers": HEADERS, "clientCertificate": CERTIFICATE}
MOVED = ["https://evil.example.com/hook", "https://crm.example.com:8443/hook", "https://crm.example.com.evil.com/hook"]
SAME = ["https://crm.example.com/other?x=1", "https://CRM.example.com:443/hook", "https://crm.example.com"]


async def endpoint(http: httpx.AsyncClient) -> str:
    """The path of one with everything that can be hidden."""
    assert (await http.post("/app", json={"name": "One", "uid": "one"})).status_code == 201
    made = await http.post("/app/one/endpoint", json={"url": URL, **HIDDEN})
    assert made.status_code == 201, made.text
    return f"/app/one/endpoint/{made.json()['id']}"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("url", MOVED)
async def test_what_is_hidden_does_not_follow_a_new_url(
    http: httpx.AsyncClient, stores: Stores, method: str, url: str
) -> None:
    """Everything that must be given again is told at once, and nothing is changed."""
    path = await endpoint(http)
    refused = await http.request(method, path, json={"url": url})
    assert refused.status_code == 422
    assert [fault["loc"] for fault in refused.json()["detail"]] == [
        ["body", "headers"], ["body", "auth"], ["body", "clientCertificate"],
    ]  # fmt: skip
    assert "X-Api-Key" in refused.json()["detail"][0]["msg"]
    assert "canary" not in refused.text
    assert (await http.get(path)).json()["url"] == URL


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("given", [HIDDEN, dict.fromkeys(HIDDEN)], ids=["given again", "dropped"])
async def test_a_url_moves_with_what_is_given_again(
    http: httpx.AsyncClient, stores: Stores, method: str, given: dict[str, Any]
) -> None:
    """Or dropped: then nothing is sent there."""
    path = await endpoint(http)
    moved = await http.request(method, path, json={"url": MOVED[0], **given})
    assert moved.status_code == 200, moved.text
    headers = (await http.get(f"{path}/headers")).json()
    assert headers["sensitive"] == (["X-Api-Key"] if given["headers"] else [])
    assert (moved.json()["auth"] is None) == (given["auth"] is None)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("url", SAME)
async def test_another_path_of_the_same_server_keeps_them(
    http: httpx.AsyncClient, stores: Stores, method: str, url: str
) -> None:
    path = await endpoint(http)
    assert (await http.request(method, path, json={"url": url})).status_code == 200
    assert (await http.get(f"{path}/headers")).json()["sensitive"] == ["X-Api-Key"]
    assert (await http.get(path)).json()["auth"]["type"] == "bearer"


async def test_what_is_shown_anyway_follows(http: httpx.AsyncClient, stores: Stores) -> None:
    """A header without a secret is no reason to refuse."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    made = await http.post("/app/one/endpoint", json={"url": URL, "headers": {"X-Plain": "shown"}})
    path = f"/app/one/endpoint/{made.json()['id']}"
    assert (await http.patch(path, json={"url": MOVED[0]})).status_code == 200
