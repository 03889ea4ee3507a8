"""Pages of a relay with many sources and endpoints: what needs a look comes first, and each list has an end."""

import httpx
import pytest
from msgspec import structs

from relay.console import finding
from relay.console.pages import endpoints, overview, reconciliations
from relay.domain.model import EndpointId, SourceUid
from relay.domain.reconciling import Counts
from relay.store import keys
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_messages import attempt
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


@pytest.mark.usefixtures("sources")
async def test_a_source_is_found(operator: Walker) -> None:
    """By a part of its name, in capitals or not. What was looked for stays in the form."""
    page = await operator.get("/console/sources")
    assert page.form("/console/sources").fields == {"find": ""}
    page = await operator.get("/console/sources?find=SOURCE-07")
    assert [link for link in page.links if link.startswith("/console/sources/")] == ["/console/sources/source-07"]
    assert page.form("/console/sources").fields == {"find": "SOURCE-07"}
    page = await operator.get("/console/sources?find=nowhere")
    assert "Nothing was found" in page.text
    assert "/console/sources" in page.links


@pytest.mark.usefixtures("sources")
async def test_only_routes_behind_are_listed(operator: Walker) -> None:
    """That of the source whose credentials are refused."""
    page = await operator.get("/console/sources?behind=1")
    assert [link for link in page.links if link.startswith("/console/sources/")] == [f"/console/sources/{LAST}"]


async def test_an_endpoint_is_found_with_its_state(operator: Walker, failing: list[str]) -> None:
    """By its description. The list of an application's endpoints says which of them fail."""
    page = await operator.get(f"/console/applications/one?find=receiver {MANY}")
    assert [link.rpartition("/")[2] for link in page.links if "/endpoints/" in link] == failing[-1:]
    assert "Disabled" in page.text
    page = await operator.get("/console/applications/one?find=nowhere")
    assert "Nothing was found" in page.text


async def test_an_application_is_found(operator: Walker, http: httpx.AsyncClient) -> None:
    """Among those of every page of the API, with a link to where the search continues."""
    for number in range(MANY):
        (await http.post("/app", json={"uid": f"app-{number:02}", "name": f"Customer {number}"})).raise_for_status()
    page = await operator.get("/console/applications?find=customer 11")
    assert ("Customer 11" in page.text, "Customer 12" in page.text) == (True, False)


async def test_a_search_continues_on_the_next_page(
    operator: Walker, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the API has more pages than are read for one page of what is found."""
    monkeypatch.setattr(finding, "LARGEST", 2)
    monkeypatch.setattr(finding, "READ", 2)
    for number in range(6):
        (await http.post("/app", json={"uid": f"app-{number}", "name": f"Customer {number}"})).raise_for_status()
    last = (await http.get("/app")).json()["data"][-1]["uid"]
    page = await operator.get(f"/console/applications?find={last}")
    assert "Nothing was found so far" in page.text
    (onward,) = [link for link in page.links if "iterator=" in link]
    page = await operator.get(onward)
    assert "Nothing was found" not in page.text


async def test_all_attempts_of_an_endpoint_can_be_listed(
    operator: Walker, http: httpx.AsyncClient, store: Store, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page. The page refreshes itself where it is."""
    monkeypatch.setattr(endpoints, "ATTEMPTS", 2)
    await http.post("/app", json={"uid": "one", "name": "One"})
    made = (await http.post("/app/one/endpoint", json={"url": "https://hooks.example.com/in"})).json()["id"]
    for row in range(1, 4):
        message = await store(A, row, to=[made])
        await attempt(stores, A, message, made, at_ms=NOW + row, status=503, verdict="retry")
    page = await operator.get(f"/console/applications/one/endpoints/{made}")
    assert page.html.count("<tr data-key") == 2
    (onward,) = [link for link in page.links if "iterator=" in link]
    page = await operator.get(onward)
    assert page.html.count("<tr data-key") == 1
    assert [given["hx-get"] for _, given in page.tags if "hx-get" in given] == [onward]


async def test_all_endpoints_of_a_reconciliation_can_be_listed(
    operator: Walker, http: httpx.AsyncClient, store: Store, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, beside the list of differences."""
    monkeypatch.setattr(reconciliations, "ENDPOINTS", 1)
    run = (await http.post("/source/a/reconciliation", json={"afterRowId": 0, "untilRowId": 9})).json()["id"]
    before = await stores.reconciliations.get(A, run)
    counts = {EndpointId("ep_one"): Counts(confirmed=1), EndpointId("ep_two"): Counts(confirmed=2)}
    await stores.reconciliations.save(A, before, structs.replace(before, phase="done", endpoints=counts))
    page = await operator.get(f"/console/sources/a/reconciliations/{run}")
    assert ("ep_one" in page.text, "ep_two" in page.text) == (True, False)
    (onward,) = [link for link in page.links if "endpoints=" in link]
    page = await operator.get(onward)
    assert ("ep_one" in page.text, "ep_two" in page.text) == (False, True)


async def test_no_failing_endpoint(operator: Walker) -> None:
    """The page says so."""
    assert "No endpoint is failing" in (await operator.get("/console/failing-endpoints")).text
