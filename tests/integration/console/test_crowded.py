"""Pages of a relay with many sources and endpoints: what needs a look comes first, and each list has an end."""

import httpx
import pytest

from relay.console.pages import overview
from relay.domain.model import SourceUid
from relay.store import keys
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.console.walking import Walker

MANY = 14
LAST = SourceUid(f"source-{MANY - 1:02}")
SOURCE = {"baseUrl": "https://127.0.0.1", "igrp": 1, "routes": ["all"], "auth": {"type": "apiKey", "key": "k"}}


@pytest.fixture
async def sources(http: httpx.AsyncClient, stores: Stores) -> None:
    """More sources than the overview lists. Infinity refuses the credentials of the last one."""
    for number in range(MANY):
        (await http.put(f"/source/source-{number:02}", json=SOURCE)).raise_for_status()
    token = await stores.routes.take(LAST)
    assert token is not None
    await stores.routes.save(LAST, "all", {"state": "stopped"}, token=token)


@pytest.fixture
async def failing(http: httpx.AsyncClient, store: Store, stores: Stores) -> list[str]:
    """The ids of more failing endpoints than the overview lists. They are disabled, and a message waits for each."""
    ids = []
    await http.post("/app", json={"uid": "one", "name": "One"})
    for row in range(1, MANY + 1):
        body = {"url": "https://hooks.example.com/in", "description": f"Receiver {row}", "disabled": True}
        ids.append((await http.post("/app/one/endpoint", json=body)).json()["id"])
        await store(A, row, to=[ids[-1]], at_ms=NOW - 3_600_000 + row)
    await stores.redis.zadd(keys.parked(A), dict.fromkeys(ids, NOW))
    return ids


@pytest.mark.usefixtures("sources")
async def test_the_overview_lists_the_routes_that_need_a_look(operator: Walker) -> None:
    """One that is stopped comes before all others, and a link leads to those that are not listed."""
    page = await operator.get("/console")
    listed = [link for link in page.links if link.startswith("/console/sources/")]
    assert (listed[0], len(listed)) == (f"/console/sources/{LAST}", overview.ROUTES_LISTED)
    assert "All sources →" in page.text


async def test_every_failing_endpoint_can_be_listed(operator: Walker, failing: list[str]) -> None:
    """The overview leads there. An endpoint without a uid has its description as its name."""
    page = await operator.get("/console")
    assert "/console/failing-endpoints" in page.links
    page = await operator.get("/console/failing-endpoints")
    assert [one for one in failing if not any(link.endswith(one) for link in page.links)] == []
    assert f"Receiver {MANY}" in page.text


async def test_no_failing_endpoint(operator: Walker) -> None:
    """The page says so."""
    assert "No endpoint is failing" in (await operator.get("/console/failing-endpoints")).text
