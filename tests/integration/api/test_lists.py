"""Every list of the API: `order`, `iterator` and `prevIterator` mean the same in all of them."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from msgspec import structs

from relay.domain.erasing import phone
from relay.domain.erasures import erasure_of
from relay.domain.model import EndpointId, SourceUid
from relay.domain.reconciling import Counts, Difference
from relay.store import keys, tally_keys
from relay.store.identifiers import new_id
from relay.store.reconciliations import Range
from relay.store.replays import PREFIX
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_messages import attempt
from tests.integration.api.test_sources import SOURCE

URL = "https://hooks.example.com/in"
MANY = 7

Fill = Callable[[httpx.AsyncClient, Stores, Store], Awaitable[str]]


async def _sources(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    for n in range(MANY):
        assert (await http.put(f"/source/s{n}", json=SOURCE)).status_code < 300
    return "/source"


async def _applications(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    for n in range(MANY):
        await http.post("/app", json={"name": str(n)})
    return "/app"


async def _endpoints(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await http.post("/app", json={"name": "One", "uid": "one"})
    for n in range(MANY):
        await http.post("/app/one/endpoint", json={"url": URL, "uid": f"e{n}"})
    return "/app/one/endpoint"


async def _operational_endpoints(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    for n in range(MANY):
        await http.post("/operational-webhook/endpoint", json={"url": URL, "uid": f"e{n}"})
    return "/operational-webhook/endpoint"


async def _messages(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await http.post("/app", json={"name": "One", "uid": "one"})
    for n in range(MANY):
        await store(SourceUid("ab"[n % 2]), n, at_ms=NOW + n)
    return "/app/one/msg"


async def _attempts(http: httpx.AsyncClient, stores: Stores, store: Store, *, one_message: bool) -> str:
    """The attempts began in an order that is not the one in which they are noted."""
    endpoint = (await _one_endpoint(http))["id"]
    message = await store(A, 100)
    for n in range(MANY):
        message = message if one_message else await store(A, n)
        await attempt(stores, A, message, endpoint, at_ms=NOW + n * 5 % MANY, status=500, verdict="dead")
    return message


async def _one_endpoint(http: httpx.AsyncClient) -> dict[str, Any]:
    await http.post("/app", json={"name": "One", "uid": "one"})
    made: dict[str, Any] = (await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm"})).json()
    return made


async def _attempts_of_endpoint(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await _attempts(http, stores, store, one_message=False)
    return "/app/one/attempt/endpoint/crm"


async def _attempts_of_message(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    return f"/app/one/attempt/msg/{await _attempts(http, stores, store, one_message=True)}"


async def _attempted_messages(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await _attempts(http, stores, store, one_message=False)
    return "/app/one/endpoint/crm/msg"


async def _destinations(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await _endpoints(http, stores, store)
    message = await store(A, 1)
    for n in range(MANY):
        endpoint = (await http.get(f"/app/one/endpoint/e{n}")).json()["id"]
        await attempt(stores, A, message, endpoint, at_ms=NOW, status=204, verdict="delivered")
    return f"/app/one/msg/{message}/endpoint"


async def _event_types(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    return "/event-type"


async def _undelivered(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    endpoint = EndpointId((await _one_endpoint(http))["id"])
    for n in range(MANY):
        message = await store(A, n)
        number, event = await stores.events.find(A, message) or (0, None)
        assert event is not None
        member = f"{endpoint} a{number}:{event.types[0]}:{message[4:9]}:3 schedule_used_up"
        await stores.redis.zadd(keys.dead(A), {member: NOW + n})
    return "/undelivered"


async def _operational_events(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    for n in range(MANY):
        await stores.operations.note("endpoint.disabled", {"n": n}, now_ms=NOW + n)
    return "/operational-event"


async def _quarantine(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await http.put("/source/s", json=SOURCE)
    token = await stores.routes.take(SourceUid("s"))
    assert token is not None
    for n in range(MANY):
        line = {"route": "all", "rowId": n, "reason": "bad", "line": "{", "seenAtMs": NOW + n // 2}
        await stores.routes.set_aside(SourceUid("s"), {f"{n:x}": line}, token=token)
    return "/source/s/quarantine"


async def _reconciliations(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await http.put("/source/s", json=SOURCE)
    for n in range(MANY):
        run = await stores.reconciliations.ask(SourceUid("s"), Range(), now_ms=NOW + n)
        await stores.reconciliations.save(SourceUid("s"), run, structs.replace(run, phase="done"))
    return "/source/s/reconciliation"


async def _reconciled(http: httpx.AsyncClient, stores: Stores) -> str:
    await http.put("/source/s", json=SOURCE)
    run = await stores.reconciliations.ask(SourceUid("s"), Range(), now_ms=NOW)
    counts = {EndpointId(f"ep_{n:027}"): Counts(confirmed=n) for n in range(MANY)}
    found = [Difference("missing", "t", n, "all") for n in range(MANY)]
    ended = structs.replace(run, phase="done", endpoints=counts)
    await stores.reconciliations.save(SourceUid("s"), run, ended, differences=found)
    return f"/source/s/reconciliation/{run.id}"


async def _differences(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    return await _reconciled(http, stores) + "/difference"


async def _confirmed(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    return await _reconciled(http, stores) + "/endpoint"


async def _keys(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await http.post("/app", json={"name": "One", "uid": "one"})
    for n in range(MANY):
        body = {"name": str(n), "scopes": ["read"], "appId": "one" if n % 2 else None}
        assert (await http.post("/key", json=body)).status_code == 201
    return "/key"


async def _audit(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    for n in range(MANY):
        await http.post("/app", json={"name": str(n)})
    return "/audit"


async def _background_tasks(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await http.put("/source/s", json=SOURCE)
    for n in range(MANY):
        await http.put(f"/app/{n}", json={"name": str(n)})
        await http.put(f"/app/{n}/endpoint/crm", json={"url": URL})
        begun = await http.post(f"/app/{n}/endpoint/crm/bulk-replay", json={"dryRun": True})
        assert begun.status_code == 202
    return "/background-task"


async def _erasures(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    key = await stores.erasures.key()
    for n in range(MANY):
        identity = phone(f"+4420794600{n:02}")
        erasure_id = new_id(PREFIX, now_ms=NOW + n)
        await stores.erasures.keep(erasure_of(identity, erasure_id, key=key, until_ms=NOW + n, sources=None))
    return "/erasure"


async def _failing(http: httpx.AsyncClient, stores: Stores, store: Store) -> str:
    await _endpoints(http, stores, store)
    for n in range(MANY):
        endpoint = (await http.get(f"/app/one/endpoint/e{n}")).json()["id"]
        await stores.redis.zadd(tally_keys.failing(A), {endpoint: NOW - 5 * n})
        await store(A, n, to=[endpoint] if n % 2 else [], at_ms=NOW - n)
    return "/stats/failing-endpoint"


LISTS: list[tuple[Fill, bool]] = [
    (_sources, False),
    (_applications, False),
    (_endpoints, True),
    (_messages, True),
    (_attempts_of_endpoint, True),
    (_attempts_of_message, True),
    (_attempted_messages, True),
    (_destinations, False),
    (_event_types, False),
    (_undelivered, True),
    (_operational_events, True),
    (_operational_endpoints, True),
    (_quarantine, True),
    (_reconciliations, True),
    (_differences, False),
    (_confirmed, False),
    (_keys, False),
    (_audit, True),
    (_background_tasks, True),
    (_erasures, True),
    (_failing, False),
]
"""Each list, and whether it begins with the newest."""
each_list = pytest.mark.parametrize(("fill", "newest_first"), LISTS, ids=[fill.__name__[1:] for fill, _ in LISTS])


class Pages:
    """One list, read page by page."""

    def __init__(self, http: httpx.AsyncClient, path: str) -> None:
        self.http, self.path = http, path

    async def page(self, **query: Any) -> dict[str, Any]:
        answer = await self.http.get(self.path, params={k: v for k, v in query.items() if v is not None})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def all(self, **query: Any) -> list[dict[str, Any]]:
        pages = [await self.page(**query)]
        while not pages[-1]["done"]:
            pages.append(await self.page(**query, iterator=pages[-1]["iterator"]))
        return pages


@each_list
async def test_lists_lead_forth_and_back_in_both_orders(
    http: httpx.AsyncClient, stores: Stores, store: Store, fill: Fill, newest_first: bool
) -> None:
    """Pages hold as many objects as they may, each object once; the way back shows the same pages."""
    pages = Pages(http, await fill(http, stores, store))
    whole = (await pages.page(limit=250))["data"]
    assert len(whole) >= MANY
    for order in (None, "ascending", "descending"):
        expected = whole if order in (None, "descending" if newest_first else "ascending") else whole[::-1]
        forth = await pages.all(limit=3, order=order)
        assert [each for page in forth for each in page["data"]] == expected
        assert all(len(page["data"]) == 3 for page in forth[:-1])
        assert forth[0]["prevIterator"] is None
        back = forth[-1]
        for page in forth[-2::-1]:
            back = await pages.page(limit=3, order=order, iterator=back["prevIterator"])
            assert back["data"] == page["data"]
        again = await pages.page(limit=3, order=order, iterator=back["iterator"])
        assert again["data"] == forth[1]["data"]


@each_list
async def test_an_iterator_of_no_list_is_refused(
    http: httpx.AsyncClient, stores: Stores, store: Store, fill: Fill, newest_first: bool
) -> None:
    """It is 422 and names the parameter."""
    path = await fill(http, stores, store)
    for iterator in ("nonsense of mine", "~nonsense of mine", "~", "~~", "é", "-1", "1" * 99):
        answer = await http.get(path, params={"iterator": iterator})
        could_be = path in ("/source", "/event-type") and set(iterator) <= set("-1")
        assert answer.status_code == (200 if could_be else 422), (iterator, answer.text)
        if not could_be:
            assert answer.json()["detail"][0]["loc"] == ["query", "iterator"]


async def test_every_list_is_tried(http: httpx.AsyncClient) -> None:
    """A new list must be added above."""
    document = (await http.get("https://relay.test/docs/openapi.json")).json()
    takes = [
        path
        for path, item in document["paths"].items()
        if "/poller/" not in path  # They only go forward: test_pollers.py.
        and any(each["name"] == "iterator" for each in item.get("get", {}).get("parameters", ()))
    ]
    assert len(takes) == len(LISTS), takes
    for path in takes:
        names = {each["name"] for each in document["paths"][path]["get"]["parameters"]}
        assert {"limit", "iterator", "order"} <= names, path
