"""What an operator does once: register the source, the application and its endpoints, through the REST API."""

from typing import Any

import httpx

from relay.cli.demo.plan import APPLICATION, IGRP, SOURCE, SUBSCRIPTIONS, Plan
from relay.cli.demo.verdict import Subscription, Trouble
from relay.errors import RelayError


class Refusal(RelayError):  # noqa: N818 - named for what it is
    """The REST API did not do what the demo asked for."""


async def register(api: httpx.AsyncClient, plan: Plan) -> None:
    """Make the source last: from then on rows come, and every endpoint is there. Raises Refusal."""
    await _send(api, "POST", "/api/v1/app", {"name": "Demo CRM", "uid": APPLICATION})
    for each in SUBSCRIPTIONS:
        await _send(api, "POST", f"/api/v1/app/{APPLICATION}/endpoint", _endpoint(each, plan))
    source = {
        "name": "Demo installation",
        "baseUrl": plan.sandbox,
        "version": "v2.1",
        "igrp": IGRP,
        "auth": {"type": "apiKey", "key": plan.upstream_key},
        "routes": ["all"],
        "pollIntervalSeconds": 1,
        "batchSize": 1000,
        "startRowId": 0,
    }
    await _send(api, "PUT", f"/api/v1/source/{SOURCE}", source)


def _endpoint(each: Subscription, plan: Plan) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "uid": each.name,
        "url": f"{plan.receiver}/{each.name}",
        "description": each.says,
        "secret": plan.signing_secrets[each.name],
    }
    if each.types:
        endpoint["filterTypes"] = each.types
    if each.filter:
        endpoint["filter"] = each.filter
    if each.trouble is Trouble.PAUSED:
        endpoint["paused"] = True
    if each.trouble is Trouble.REFUSES:
        # Short, so that the relay soon gives up its first messages.
        endpoint["retrySchedule"] = [3]
    return endpoint


async def payload_of(api: httpx.AsyncClient, message: str) -> dict[str, Any]:
    """The payload of a message. Raises Refusal."""
    found: dict[str, Any] = (await _send(api, "GET", f"/api/v1/app/{APPLICATION}/msg/{message}"))["payload"]
    return found


async def stored_events(api: httpx.AsyncClient) -> int:
    """How many messages the API lists. Raises Refusal."""
    count, iterator = 0, None
    while True:
        query = {"limit": "250"} | ({"iterator": iterator} if iterator else {})
        page = await _send(api, "GET", f"/api/v1/app/{APPLICATION}/msg", query=query)
        count, iterator = count + len(page["data"]), page["iterator"]
        if page["done"]:
            return count


async def _send(
    api: httpx.AsyncClient, method: str, path: str, body: Any = None, *, query: dict[str, str] | None = None
) -> Any:
    response = await api.request(method, path, json=body, params=query)
    if response.is_error:
        raise Refusal(f"{method} {path} was answered {response.status_code}: {response.text}")
    return response.json()
