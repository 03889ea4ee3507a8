"""A subscriber reads its messages with an iterator: nothing is missed, and nothing is acknowledged by itself."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from svix.api import ApplicationIn, MessagePollerConsumerPollOptions, MessagePollerPollOptions, SvixAsync
from svix.api.errors.http_error import HttpError
from svix.models import PollingEndpointConsumerSeekIn

from relay.domain.event_types import CALL, GOAL, codes_of
from relay.domain.model import EndpointId, MessageId, StoredEvent
from relay.store import keys
from relay.store.events import pack_event
from relay.store.pages import RowCommit
from relay.store.routes import NEWEST
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.api.storing import NOW, A, B, Store

URL = "https://hooks.example.com/in"


@pytest.fixture
async def poller(http: httpx.AsyncClient, store: Store) -> str:
    """The path of a poller that wants calls."""
    await http.put("/app/crm", json={"name": "CRM"})
    body = {"uid": "pull", "type": "poller", "eventTypes": ["call.created"]}
    assert (await http.post("/app/crm/endpoint", json=body)).status_code == 201
    return "/app/crm/poller/pull"


async def read_all(http: httpx.AsyncClient, path: str, iterator: str | None = None, **query: Any) -> list[str]:
    """The ids of all messages from an iterator on, poll by poll."""
    ids: list[str] = []
    while True:
        asked = {k: v for k, v in {"iterator": iterator, **query}.items() if v is not None}
        page = (await http.get(path, params=asked)).json()
        ids += [message["id"] for message in page["data"]]
        iterator = page["iterator"]
        if page["done"]:
            return ids


async def test_the_svix_client_polls(svix: SvixAsync, http: httpx.AsyncClient, store: Store) -> None:
    """By iterator and as a consumer, with the same ids as callbacks have."""
    await svix.application.create(ApplicationIn(name="CRM", uid="crm"))
    await http.put("/app/crm/endpoint/pull", json={"type": "poller"})
    ids = [await store(A, n) for n in range(1, 4)]
    first = await svix.message.poller.poll("crm", "pull", MessagePollerPollOptions(limit=2))
    assert ([each.id for each in first.data], first.done) == (ids[:2], False)
    assert first.data[0].payload["type"] == first.data[0].event_type == "call.created"
    rest = await svix.message.poller.poll("crm", "pull", MessagePollerPollOptions(iterator=first.iterator))
    assert ([each.id for each in rest.data], rest.done) == (ids[2:], True)
    new = await store(A, 4)
    more = await svix.message.poller.poll("crm", "pull", MessagePollerPollOptions(iterator=rest.iterator))
    assert [each.id for each in more.data] == [new]

    poll = svix.message.poller.consumer_poll
    one = await poll("crm", "pull", "c1", MessagePollerConsumerPollOptions(limit=2))
    again = await poll("crm", "pull", "c1", MessagePollerConsumerPollOptions(limit=2))
    assert [each.id for each in one.data] == [each.id for each in again.data] == ids[:2]
    two = await poll("crm", "pull", "c1", MessagePollerConsumerPollOptions(iterator=again.iterator))
    assert [each.id for each in two.data] == [ids[2], new]
    resumed = await poll("crm", "pull", "c1")
    assert [each.id for each in resumed.data] == [ids[2], new]
    seek = PollingEndpointConsumerSeekIn(after=datetime.fromtimestamp(NOW / 1000 - 1, UTC))
    sought = await svix.message.poller.consumer_seek("crm", "pull", "c1", seek)
    assert [each.id for each in (await poll("crm", "pull", "c1")).data] == [*ids, new]
    with pytest.raises(HttpError) as caught:
        await poll("crm", "pull", "c1", MessagePollerConsumerPollOptions(iterator=one.iterator))
    assert (caught.value.status_code, caught.value.code) == (409, "conflict")
    assert (await poll("crm", "pull", "c1", MessagePollerConsumerPollOptions(iterator=sought.iterator))).data


async def test_only_what_the_endpoint_wants(http: httpx.AsyncClient, poller: str, store: Store) -> None:
    """Its types and filter and those of the application apply, as for callbacks."""
    await http.patch("/app/crm", json={"filter": {"dgrpName": "Sales"}, "sources": [A]})
    await http.patch("/app/crm/endpoint/pull", json={"filter": {"callDuration": {"$gte": 60}}})
    wanted = await store(A, 1, dgrpName="Sales", callDuration=70)
    await store(A, 2, dgrpName="Other", callDuration=70)
    await store(A, 3, dgrpName="Sales", callDuration=7)
    await store(A, 4, dgrpName="Sales", callDuration=70, classes=GOAL)
    both = await store(A, 5, dgrpName="Sales", callDuration=70, classes=CALL | GOAL)
    await store(B, 6, dgrpName="Sales", callDuration=70)
    assert await read_all(http, poller) == [wanted, both]
    assert await read_all(http, poller, event_type="goal.created") == [both]


async def test_several_sources_page_by_page(http: httpx.AsyncClient, poller: str, store: Store) -> None:
    """Each message once, those of a source in order, with every size of page."""
    ids = {source: [await store(source, n, at_ms=NOW + n * 7 % 5) for n in range(1, 8)] for source in (A, B)}
    for limit in (1, 2, 3, 13, 250):
        found = await read_all(http, poller, limit=limit)
        assert [each for each in found if each in ids[A]] == ids[A]
        assert [each for each in found if each in ids[B]] == ids[B]
        assert len(found) == 14


async def test_nothing_is_missed_while_pages_are_committed(http: httpx.AsyncClient, poller: str, store: Store) -> None:
    """A reader that keeps up with two writers reads every message once."""

    async def write(source: Any) -> list[str]:
        return [await store(source, n) for n in range(1, 120)]

    writing = asyncio.gather(write(A), write(B))
    found = await read_ids(http, poller, writing)
    written = await writing
    assert len(found) == len(set(found)) == 238
    assert set(found) == {*written[0], *written[1]}


async def read_ids(http: httpx.AsyncClient, path: str, writing: "asyncio.Future[Any]") -> list[str]:
    """What a reader gets until the writers have ended and nothing is left."""
    ids: list[str] = []
    iterator: str | None = None
    while True:
        ended = writing.done()
        page = (await http.get(path, params={"iterator": iterator} if iterator else {})).json()
        ids += [each["id"] for each in page["data"]]
        iterator = page["iterator"]
        if ended and page["done"]:
            return ids


async def test_a_poller_has_no_lane(http: httpx.AsyncClient, poller: str, stores: Stores) -> None:
    """It has no URL, and nothing can be sent to it."""
    shown = (await http.get("/app/crm/endpoint/pull")).json()
    assert (shown["type"], shown["url"]) == ("poller", "")
    assert (await http.put("/app/crm/endpoint/pull", json=shown)).status_code == 200
    for body in ({"url": URL}, {"type": "webhook"}):
        refused = await http.patch("/app/crm/endpoint/pull", json=body)
        assert refused.status_code == 422, refused.text
    missing = await http.post("/app/crm/endpoint", json={"uid": "x"})
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "url"])


async def test_a_store_that_lost_its_last_writes(
    http: httpx.AsyncClient, poller: str, store: Store, stores: Stores
) -> None:
    """Numbers are given twice then. The reader goes back in time, so it reads twice, and misses nothing."""
    for n in range(1, 4):
        await store(A, n)
    page = (await http.get(poller)).json()
    await stores.redis.set(keys.sequence(A), 1)
    await stores.redis.delete(keys.events(A, 0))
    await stores.redis.delete(keys.lease(A))
    store._tokens.clear()  # A poller that notices begins again with another token.
    lost = [await store(A, n) for n in range(11, 18)]
    assert set(lost) <= set(await read_all(http, poller, page["iterator"]))


async def test_two_clients_with_one_consumer_id(http: httpx.AsyncClient, poller: str, store: Store) -> None:
    """The one that polled before is told so. What it acknowledges is not lost for the other."""
    path = f"{poller}/consumer/c"
    ids = [await store(A, n) for n in range(1, 6)]
    one = (await http.get(path, params={"limit": 2})).json()
    two = (await http.get(path, params={"limit": 2})).json()
    assert one["data"] == two["data"]
    assert (await http.get(path, params={"iterator": one["iterator"]})).status_code == 409
    three = (await http.get(path, params={"iterator": two["iterator"]})).json()
    assert [each["id"] for each in three["data"]] == ids[2:]
    repeated = (await http.get(path, params={"iterator": two["iterator"]})).json()
    assert repeated["data"] == three["data"]
    both = await asyncio.gather(*(http.get(path, params={"iterator": repeated["iterator"]}) for _ in range(2)))
    assert [each.status_code for each in both] == [200, 200]
    last = [(await http.get(path, params={"iterator": each.json()["iterator"]})).status_code for each in both]
    assert sorted(last) == [200, 409]


async def test_iterators_are_for_one_reader(http: httpx.AsyncClient, poller: str, store: Store) -> None:
    """Another endpoint, another consumer and a changed text are refused."""
    await http.put("/app/crm/endpoint/other", json={"type": "poller"})
    iterator = (await http.get(poller)).json()["iterator"]
    for path in ("/app/crm/poller/other", f"{poller}/consumer/c"):
        assert (await http.get(path, params={"iterator": iterator})).status_code == 422
    assert (await http.get(poller, params={"iterator": iterator[:-3] + "AAA"})).status_code == 422


async def test_consumers_are_bounded_and_go_with_the_endpoint(
    http: httpx.AsyncClient, poller: str, stores: Stores
) -> None:
    """An endpoint has 100. Nothing of them is left when it is deleted."""
    answers = [(await http.get(f"{poller}/consumer/c{n}")).status_code for n in range(101)]
    assert answers == [200] * 100 + [409]
    endpoint = EndpointId((await http.get("/app/crm/endpoint/pull")).json()["id"])
    assert await stores.redis.exists(keys.consumers(endpoint))
    await http.delete("/app/crm/endpoint/pull")
    assert not await stores.redis.exists(keys.consumers(endpoint))


async def test_a_poller_begins_with_its_creation(
    http: httpx.AsyncClient, store: Store, clock: TestClock, poller: str
) -> None:
    """Older messages can be read with `after`."""
    old, new = await store(A, 1, at_ms=NOW - 3_600_000), await store(A, 2)
    assert await read_all(http, poller) == [new]
    since = datetime.fromtimestamp(NOW / 1000 - 7200, UTC).isoformat()
    assert await read_all(http, poller, after=since) == [old, new]


async def test_a_webhook_can_be_polled_too(http: httpx.AsyncClient, poller: str, store: Store) -> None:
    """Also while it is disabled: its subscriber catches up without being called."""
    await http.put("/app/crm/endpoint/hook", json={"url": URL, "disabled": True})
    message = await store(A, 1)
    assert await read_all(http, "/app/crm/poller/hook") == [message]
    resent = await http.post(f"/app/crm/msg/{message}/endpoint/pull/resend")
    assert resent.status_code == 409


async def test_numbers_that_are_taken_and_not_committed_are_not_passed(
    http: httpx.AsyncClient, poller: str, store: Store, stores: Stores
) -> None:
    """A worker takes numbers before it stores events. A reader that begins in between waits for them."""
    token = await store._token(A)
    for before in range(2):
        first = (await http.get(poller)).json()
        _, number = await stores.pages.known(A, "t", [90 + before], token=token)
        begun = (await http.get(poller)).json()
        body = {"after": datetime.fromtimestamp(NOW / 1000, UTC).isoformat()}
        sought = (await http.post(f"{poller}/consumer/c{before}/seek", json=body)).json()
        event = StoredEvent(
            id=MessageId(f"msg_{before}2345678901234567890123"), row_id="9", stored_at_ms=NOW + 1, revision=1,
            types=codes_of(CALL, None), body=b'"timestamp":"2026-09-21","data":{"source":"a","trigger":{}}}',
        )  # fmt: skip
        row = RowCommit(90 + before, b"seen", event.id, number, pack_event(event), [])
        await stores.pages.commit(
            A, "all", [row], space="t", cursor=90 + before, token=token, version=NEWEST, now_ms=NOW
        )
        for page in (first, begun):
            assert event.id in await read_all(http, poller, page["iterator"])
        consumed = await http.get(f"{poller}/consumer/c{before}", params={"iterator": sought["iterator"]})
        assert event.id in [each["id"] for each in consumed.json()["data"]]


async def test_posted_messages_are_polled_too(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """Beside rows, by type and channel; none of them goes into a lane that nobody empties."""
    await http.put("/app/crm", json={"name": "CRM", "privacy": [{"field": "num", "action": "drop"}]})
    endpoint = (await http.put("/app/crm/endpoint/pull", json={"type": "poller"})).json()["id"]
    row = await store(A, 1, num="+442079460123", act="call")
    posted = {"eventType": "invoice.paid", "payload": {"n": 1}, "channels": ["europe"]}
    message = (await http.post("/app/crm/msg", json=posted)).json()["id"]
    path = "/app/crm/poller/pull"
    assert set(await read_all(http, path)) == {row, message}
    assert await read_all(http, path, event_type="invoice.paid") == [message]
    assert await read_all(http, path, channel="europe") == [message]
    shown = {each["id"]: each["payload"] for each in (await http.get(path)).json()["data"]}
    assert (shown[message], shown[row]["data"]["trigger"]) == ({"n": 1}, {"rowId": 1, "act": "call"})
    assert [name async for name in stores.redis.scan_iter(f"relay:s:*{endpoint}*")] == []
    refused = await http.post("/app/crm/endpoint/pull/bulk-replay", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
