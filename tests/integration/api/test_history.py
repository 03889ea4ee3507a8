"""Attempts over time, of everything, a source, or an application."""

import httpx

from relay.domain.model import EndpointId
from relay.domain.tallies import EVERY
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.api.test_statistics import HOUR, MINUTE, at, counted, endpoint


async def test_everything_and_a_source(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """The attempts of all endpoints of all sources by minutes, and those of one source; the last hour unless asked."""
    await counted(stores, A, EVERY, NOW - 2 * HOUR, (200, 1))
    await counted(stores, A, EVERY, NOW - 10 * MINUTE, (200, 10), (0, 20_000))
    await counted(stores, B, EVERY, NOW - 10 * MINUTE, (503, 30))
    await counted(stores, A, EVERY, NOW - 5 * HOUR, (404, 5), unit="hour")
    found = (await http.get("/stats/history")).json()
    assert [(each["success"], each["byClass"]) for each in found["buckets"]] == [(1, {"none": 1, "2xx": 1, "5xx": 1})]
    assert (found["total"]["fail"], found["unit"], found["complete"]) == (2, "minute", True)
    of_a = (await http.get("/stats/history", params={"source": "a", "since": at(NOW - 3 * HOUR)})).json()
    assert (len(of_a["buckets"]), of_a["total"]["success"], of_a["total"]["fail"]) == (2, 2, 1)
    hours = (await http.get("/stats/history", params={"unit": "hour"})).json()
    assert hours["total"]["byClass"] == {"4xx": 1}
    assert (await http.get("/stats/history", params={"source": "none"})).status_code == 404
    turned = {"since": at(NOW), "until": at(NOW - HOUR)}
    assert (await http.get("/stats/history", params=turned)).status_code == 422


async def test_an_application(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """A key of one application gets the sum of its own endpoints, whatever it asks for."""
    one, two = await endpoint(http, "crm", "one"), await endpoint(http, "crm", "two")
    await counted(stores, A, one, NOW - 10 * MINUTE, (200, 10))
    await counted(stores, B, one, NOW - 10 * MINUTE, (200, 10))
    await counted(stores, A, two, NOW - 10 * MINUTE, (500, 10))
    await counted(stores, A, EVERY, NOW - 10 * MINUTE, (500, 10), (200, 10))
    body = {"name": "k", "scopes": ["endpoint:read"], "appId": "one"}
    headers = {"authorization": f"Bearer {(await http.post('/key', json=body)).json()['token']}"}
    for params, success in (({}, 2), ({"app": "one"}, 2), ({"source": "a"}, 1), ({"source": "none"}, 0)):
        found = (await http.get("/stats/history", params=params, headers=headers)).json()
        assert (found["total"]["success"], found["total"]["fail"]) == (success, 0)
    assert (await http.get("/stats/history", params={"app": "two"}, headers=headers)).status_code == 404
    assert (await http.get("/stats/history", params={"app": "two"})).json()["total"]["fail"] == 1
    assert EndpointId(two) != EVERY
