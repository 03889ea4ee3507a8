"""The metrics of the API: for operators only, by operation and not by path, and all of them."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.metrics.http import HttpCounts
from relay.metrics.table import METRICS
from relay.wiring import Stores
from relay.wiring_metrics import http_metrics_of
from tests.integration.api.documented import Documented

URL = "http://relay/metrics"


@pytest.fixture
def counted(application: Documented, stores: Stores) -> HttpCounts:
    """The counts of the application, from nothing."""
    application.state.http_counts = counts = HttpCounts()
    application.state.metrics = http_metrics_of(stores, counts)
    return counts


def samples(text: str) -> dict[tuple[str, ...], float]:
    """The samples by their names and the values of their labels."""
    families = text_string_to_metric_families(text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


async def test_answers_are_counted_by_operation(http: httpx.AsyncClient, counted: HttpCounts) -> None:
    """Whoever gives the answer; ids and unknown paths make no series of their own."""
    for number in range(3):
        await http.get(f"/app/nobody-{number}")
        await http.get(f"http://relay/nowhere-{number}")
    await http.get("/app", headers={"authorization": "Bearer wrong-key-0123456789"})
    await http.request("BREW", "/app")
    answer = await http.get(URL)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    assert {key[1:]: count for key, count in found.items() if key[0] == "relay_http_requests_total"} == {
        ("4xx", "GET /api/v1/app/{app_id}"): 3,
        ("4xx", "none"): 4,
        ("4xx", "GET /api/v1/app"): 1,
    }
    assert found["relay_http_request_duration_seconds_count", "GET"] == 7
    assert found["relay_http_request_duration_seconds_count", "other"] == 1


async def test_metrics_are_for_operators(http: httpx.AsyncClient, counted: HttpCounts) -> None:
    """They name endpoints and sources of all tenants. Scrapers without a key have a port of their own."""
    await http.put("/app/one", json={"name": "one"})
    own = (await http.post("/key", json={"name": "tenant", "appId": "one", "scopes": ["read"]})).json()
    other = (await http.post("/key", json={"name": "scraper", "scopes": ["operational_event:read"]})).json()
    for key, status in (("", 401), (own["token"], 403), (other["token"], 200)):
        assert (await http.get(URL, headers={"authorization": f"Bearer {key}"})).status_code == status


async def test_every_metric_of_the_api_is_exposed(http: httpx.AsyncClient, counted: HttpCounts) -> None:
    """With the labels that the table says."""
    await http.get("/app")
    families = text_string_to_metric_families((await http.get(URL)).text)
    shown = {family.name: {name for each in family.samples for name in each.labels} - {"le"} for family in families}
    expected = {each.name.removesuffix("_total"): set(each.labels) for each in METRICS if each.of != "worker"}
    assert {name: labels for name, labels in shown.items() if name.startswith("relay_")} == expected


async def test_a_port_of_its_own_requires_no_key(stores: Stores) -> None:
    """And answers nothing else."""
    app = http_metrics_of(stores, HttpCounts())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relay") as client:
        assert "relay_redis_up 1.0" in (await client.get("/metrics")).text
        assert (await client.get("/api/v1/app")).status_code == 404
