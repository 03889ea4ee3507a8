"""A subscriber gets the touch points of a message's visitor: by key or by a link, and only what it may see."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from msgspec import structs

from relay.domain.links import PURPOSE, EventLinks
from relay.domain.model import ApiKeyAuth, EndpointId
from relay.outbound.reports_api import ReportsApi
from relay.pipeline import tracing
from relay.pipeline.catalogue import Catalogue
from relay.sandbox.app import create_sandbox
from relay.sandbox.config import SandboxConfig
from relay.store import request_keys
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.api.documented import Documented
from tests.integration.api.storing import NOW, A, Store
from tests.integration.api.test_recordings import Upstream, answer

VID = "0a4f2a5e-6a0c-4b3e-9f8e-2d1c7a9b1234"
NDJSON = "application/x-ndjson"
URL = "https://hooks.example.com/in"


def row(row_id: int, act: str = "land", **columns: Any) -> dict[str, Any]:
    """A row as the upstream sends it."""
    return {"rowId": str(row_id), "act": act, "vid": VID, "dgrpName": "Sales", **columns}


def shows(*rows: dict[str, Any], cut: bool = False) -> bytes:
    """An answer with rows."""
    body = b"".join(json.dumps(each).encode() + b"\n" for each in rows)
    return answer("200 OK", body[:-5] if cut else body, kind=NDJSON)


@pytest.fixture
async def upstream(stores: Stores, store: Store) -> AsyncIterator[Upstream]:
    """The upstream of source A."""
    fake = Upstream(shows(row(7, "call", srcPhoneNumber="+442079460000"), row(3), row(5, "page"), row(4, goal="9")))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await stores.sources.put(
        A,
        lambda old: structs.replace(old, base_url=fake.url, version="v2.1", auth=ApiKeyAuth("upstream-key")),  # type: ignore[type-var]
    )
    async with server:
        yield fake


@pytest.fixture
async def message(http: httpx.AsyncClient, store: Store, upstream: Upstream) -> str:
    """A call of a visitor."""
    await http.put("/app/crm", json={"name": "CRM", "filter": {"dgrpName": "Sales"}})
    return await store(A, 7, dgrpName="Sales", vid=VID, rec=True, act="call")


def rows_of(found: httpx.Response) -> list[str]:
    """The rowIds of a trace."""
    return [each["rowId"] for each in found.json()["data"]]


async def test_touch_points_up_to_the_message(http: httpx.AsyncClient, message: str, upstream: Upstream) -> None:
    """Oldest first, with the types of events; the upstream is asked for the visitor's rows within bounds."""
    found = await http.get(f"/app/crm/msg/{message}/visitor-trace")
    assert (found.status_code, rows_of(found), found.json()["complete"]) == (200, ["3", "4", "7"], True)
    first, goal, call = found.json()["data"]
    assert (first["classes"], first["source"]) == (["visit", "touch_point", "trigger"], "a")
    assert "goal" in goal["classes"]
    assert call["trigger"]["srcPhoneNumber"] == "+442079460000"
    (request,) = upstream.requests
    line, _, headers = request.partition(b"\r\n")
    path = f"/reports/v2.1/igrps/1/visitors/{VID}/triggers"
    query = "format=json&limit=1000&sort[]=rowId-desc&filter[]=rowId-le-value-7"
    assert line.decode().replace("%5B", "[").replace("%5D", "]") == f"GET {path}?{query} HTTP/1.1"
    assert b"ApiKey upstream-key" in headers


async def test_only_rows_that_the_application_may_see(
    http: httpx.AsyncClient, message: str, upstream: Upstream
) -> None:
    """Its filter and its privacy rules apply to each row, also if the upstream ignores what it is asked for."""
    upstream.answer = shows(
        row(9), row(7, "call", num="0800111222"), row(6, vid="another"), row(5, dgrpName="Other"), row(3), row(3)
    )
    rules = [{"field": "num", "action": "drop"}, {"field": "vid", "action": "hash"}]
    await http.patch("/app/crm", json={"privacy": rules})
    found = await http.get(f"/app/crm/msg/{message}/visitor-trace")
    assert rows_of(found) == ["3", "7"]
    assert "0800111222" not in found.text
    assert VID not in found.text
    assert found.json()["data"][0]["trigger"]["vid"].startswith("hmac_")


async def test_a_hidden_visitor_is_not_followed(http: httpx.AsyncClient, message: str, upstream: Upstream) -> None:
    """A rule masks or drops `vid`; a row has no visitor, or one that is no id; the message is hidden, or posted."""
    for action in ("drop", "mask"):
        await http.patch("/app/crm", json={"privacy": [{"field": "vid", "action": action}]})
        assert (await http.get(f"/app/crm/msg/{message}/visitor-trace")).status_code == 404
    assert not upstream.requests


@pytest.mark.parametrize("vid", ["", "..", "../../x", "a?b", "é", "x" * 65, None, 7])
async def test_what_is_no_visitor(
    http: httpx.AsyncClient, message: str, store: Store, upstream: Upstream, vid: Any
) -> None:
    """Nothing of it gets into the URL that the upstream is asked for."""
    other = await store(A, 8, dgrpName="Sales", vid=vid)
    found = await http.get(f"/app/crm/msg/{other}/visitor-trace")
    assert (found.status_code, found.json()["code"]) == (404, "not_found")
    assert not upstream.requests


async def test_messages_of_others(http: httpx.AsyncClient, message: str, store: Store, upstream: Upstream) -> None:
    """What the application cannot see, and what it posted, is not found."""
    hidden = await store(A, 8, dgrpName="Other", vid=VID)
    posted = (await http.post("/app/crm/msg", json={"eventType": "a.b", "payload": {"vid": VID}})).json()["id"]
    for each in (hidden, posted):
        assert (await http.get(f"/app/crm/msg/{each}/visitor-trace")).status_code == 404
    assert not upstream.requests


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (answer("404 Not Found"), 404, "not_found"),
        (answer("410 Gone"), 404, "not_found"),
        (answer("401 Unauthorized", b'"auth required"'), 502, "upstream_failed"),
        (answer("403 Forbidden"), 502, "upstream_failed"),
        (answer("500 Oops"), 502, "upstream_failed"),
        (answer("200 OK", b'"no such filter"\n', kind=NDJSON), 502, "upstream_failed"),
        (answer("200 OK", b"<html>", kind="text/html"), 502, "upstream_failed"),
        (answer("302 Found", b"", "location: http://169.254.169.254/latest"), 502, "upstream_failed"),
        (b"", 502, "upstream_failed"),
    ],
)
async def test_failures_are_named(
    http: httpx.AsyncClient, message: str, upstream: Upstream, sent: bytes, status: int, code: str
) -> None:
    """The credentials of the source are not shown."""
    upstream.answer = sent
    found = await http.get(f"/app/crm/msg/{message}/visitor-trace")
    assert (found.status_code, found.json()["code"]) == (status, code), found.text
    assert "upstream-key" not in found.text


async def test_what_is_missing_is_said(http: httpx.AsyncClient, message: str, upstream: Upstream) -> None:
    """An answer that broke off, or that is full, is not complete. An empty one is."""
    for sent, count, complete in (
        (shows(row(7, "call"), row(3), cut=True), 1, False),
        (shows(*(row(8, "page") for _ in range(1000))), 0, False),
        (answer("200 OK", kind=NDJSON), 0, True),
    ):
        upstream.answer = sent
        found = (await http.get(f"/app/crm/msg/{message}/visitor-trace")).json()
        assert (len(found["data"]), found["complete"]) == (count, complete)


async def test_slowness_is_504(
    http: httpx.AsyncClient, message: str, upstream: Upstream, application: Documented
) -> None:
    """And the next request gets its turn."""
    hangs = asyncio.Event()
    sent, upstream.answer = upstream.answer, b""

    async def hang(_: asyncio.StreamWriter) -> None:
        await hangs.wait()

    upstream.then = hang
    reports: ReportsApi = application.state.tracing._reports
    reports._deadline_s = reports._stall_s = 0.05
    found = await http.get(f"/app/crm/msg/{message}/visitor-trace")
    assert (found.status_code, found.json()["code"]) == (504, "upstream_timeout")
    hangs.set()
    reports._deadline_s = reports._stall_s = 15.0
    upstream.answer, upstream.then = sent, None
    assert (await http.get(f"/app/crm/msg/{message}/visitor-trace")).status_code == 200


async def test_one_request_at_a_time(
    http: httpx.AsyncClient, message: str, upstream: Upstream, stores: Stores, application: Documented
) -> None:
    """Of one source, over all processes: others wait, and are told to come back if they wait too long."""
    flying, most, arrived, goes_on = 0, 0, asyncio.Event(), asyncio.Event()
    sent, upstream.answer = upstream.answer, b""

    async def hold(writer: asyncio.StreamWriter) -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        arrived.set()
        await goes_on.wait()
        flying -= 1
        writer.write(sent)

    upstream.then = hold
    path = f"/app/crm/msg/{message}/visitor-trace"
    asked = [asyncio.create_task(http.get(path)) for _ in range(tracing.WAITING_AT_MOST + 1)]
    await arrived.wait()
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    assert (refused.result().status_code, refused.result().headers["retry-after"]) == (429, "5")
    goes_on.set()
    answers = [each.status_code for each in await asyncio.gather(*asked)]
    assert (answers.count(200), answers.count(429), most) == (tracing.WAITING_AT_MOST, 1, 1)
    await stores.redis.set(request_keys.tracing(A), "1")
    application.state.tracing._wait_s = 0.05
    assert (await http.get(path)).status_code == 429
    await stores.redis.delete(request_keys.tracing(A))
    assert (await http.get(path)).status_code == 200
    assert await stores.redis.exists(request_keys.tracing(A)) == 0


async def endpoint(http: httpx.AsyncClient, **fields: Any) -> str:
    """An endpoint that includes both links."""
    body = {"url": URL, "uid": "e", "include": ["recordingUrl", "visitorTraceUrl"], **fields}
    made = await http.post("/app/crm/endpoint", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def body_of(stores: Stores, message: str, name: str) -> dict[str, Any]:
    """The body of a callback, as a worker makes it; the same each time."""
    links = EventLinks(key=stores.vault.derived(PURPOSE)[0], public_url="https://relay.example.com", lives_s=3600)
    catalogue = Catalogue(stores.configuration, links=links)
    await catalogue.refresh()
    found = catalogue.endpoint(EndpointId(name))
    _, event = await stores.events.find(A, message) or (0, None)  # type: ignore[arg-type]
    assert found is not None
    assert event is not None
    bodies = {catalogue.body_for(found, event, event.types[0]) for _ in range(3)}
    assert len(bodies) == 1
    body: dict[str, Any] = json.loads(bodies.pop())
    return body


async def test_events_carry_links_that_work(
    http: httpx.AsyncClient, message: str, upstream: Upstream, stores: Stores, clock: TestClock
) -> None:
    """Without a key, until they expire, under the rules of the endpoint, and as long as the endpoint includes them."""
    name = await endpoint(http, privacy=[{"field": "srcPhoneNumber", "action": "mask"}])
    data = (await body_of(stores, message, name))["data"]
    assert data["recordingUrl"].startswith("https://relay.example.com/recording/app_")
    url = httpx.URL(data["visitorTraceUrl"].replace("https://relay.example.com", "http://relay"))
    plain = {"authorization": ""}
    found = await http.get(url, headers=plain)
    assert (found.status_code, rows_of(found)) == (200, ["3", "4", "7"])
    assert found.json()["data"][2]["trigger"]["srcPhoneNumber"] == "**********000"
    for changed in (url.copy_set_param("expires", "9999999999"), url.copy_set_param("signature", "0" * 64)):
        assert (await http.get(changed, headers=plain)).status_code == 401
    upstream.answer = answer("200 OK", b"sound")
    recording = httpx.URL(data["recordingUrl"].replace("https://relay.example.com", "http://relay"))
    assert (await http.get(recording, headers=plain)).content == b"sound"
    clock.at_ms = NOW + 3_600_000
    for each in (url, recording):
        assert (await http.get(each, headers=plain)).status_code == 401
    clock.at_ms = NOW
    await http.patch("/app/crm/endpoint/e", json={"include": ["recordingUrl"]})
    assert (await http.get(url, headers=plain)).status_code == 404


async def test_links_are_there_where_they_lead_somewhere(
    http: httpx.AsyncClient, message: str, upstream: Upstream, stores: Stores, store: Store
) -> None:
    """Only of calls, with a recording, with a visitor, and if no rule hides these. By default there are none."""
    name = await endpoint(http)

    async def links(of: str) -> set[str]:
        return {"recordingUrl", "visitorTraceUrl"} & set((await body_of(stores, of, name))["data"])

    assert await links(message) == {"recordingUrl", "visitorTraceUrl"}
    assert await links(await store(A, 8, dgrpName="Sales", vid=VID, rec=False)) == {"visitorTraceUrl"}
    assert await links(await store(A, 9, dgrpName="Sales", vid="", rec=True)) == {"recordingUrl"}
    assert await links(await store(A, 10, classes=2, dgrpName="Sales", vid=VID, rec=True, note='"call"')) == set()
    await http.patch("/app/crm/endpoint/e", json={"privacy": [{"field": "rec", "action": "drop"}]})
    assert await links(message) == {"visitorTraceUrl"}
    await http.patch("/app/crm", json={"privacy": [{"field": "vid", "action": "mask"}]})
    assert await links(message) == set()
    await http.patch("/app/crm", json={"privacy": None})
    await http.patch("/app/crm/endpoint/e", json={"include": None, "privacy": None})
    assert await links(message) == set()
    assert (await http.get("/app/crm/endpoint/e")).json()["include"] == []


async def test_what_an_endpoint_can_include(http: httpx.AsyncClient, message: str, application: Documented) -> None:
    """Known links, if the operator set up a public URL and the caller may create such links itself; no pollers."""
    answers = [
        await http.post("/app/crm/endpoint", json={"url": URL, "include": ["recording"]}),
        await http.post("/app/crm/endpoint", json={"type": "poller", "include": ["visitorTraceUrl"]}),
    ]
    assert [(each.status_code, each.json()["detail"][0]["loc"][:2]) for each in answers] == [
        (422, ["body", "include"])
    ] * 2
    await endpoint(http)
    kept = await http.put("/app/crm/endpoint/e", json={"url": URL})
    assert kept.json()["include"] == ["recordingUrl", "visitorTraceUrl"]
    key = (await http.post("/key", json={"name": "k", "scopes": ["endpoint:write", "endpoint:read"]})).json()["token"]
    mine = {"authorization": f"Bearer {key}"}
    other = {"url": URL, "uid": "other", "include": ["recordingUrl"]}
    assert (await http.post("/app/crm/endpoint", json=other, headers=mine)).status_code == 403
    assert (await http.put("/app/crm/endpoint/other", json=other, headers=mine)).status_code == 403
    assert (await http.put("/app/crm/endpoint/e", json=kept.json(), headers=mine)).status_code == 200
    moved = {"url": "https://other.example.com/hook"}
    refused = [
        await http.patch("/app/crm/endpoint/e", json=moved, headers=mine),
        await http.patch("/app/crm/endpoint/e", json=moved | {"include": ["recordingUrl"]}, headers=mine),
        await http.patch("/app/crm/endpoint/e", json=moved | {"urlIsSecret": True}, headers=mine),
        await http.put("/app/crm/endpoint/e", json=moved, headers=mine),
    ]
    # On a shared host, the path decides who gets a request.
    lookup = {"url": URL, "method": "POST", "key": "data.rowId", "body": "data.recordingUrl", "result": "id"}
    for shape in ({"urlParameters": {"a": '"x"'}}, {"lookup": lookup}, {"order": "fifo", "capture": {"value": "id"}}):
        refused.append(await http.patch("/app/crm/endpoint/e", json=shape, headers=mine))
    assert [(each.status_code, "recording:write" in each.text) for each in refused] == [(403, True)] * 7
    assert (await http.get("/app/crm/endpoint/e")).json()["url"] == URL
    alone = await http.patch("/app/crm/endpoint/e", json=moved | {"include": ["visitorTraceUrl"]}, headers=mine)
    assert (alone.status_code, alone.json()["url"]) == (200, moved["url"])
    await http.patch("/app/crm/endpoint/e", json={"url": URL, "include": ["recordingUrl"]})
    assert (await http.patch("/app/crm/endpoint/e", json={"url": URL, "rateLimit": 9}, headers=mine)).status_code == 200
    await http.patch("/app/crm/endpoint/e", json={"include": []})
    asked = await http.patch("/app/crm/endpoint/e", json={"include": ["recordingUrl"]}, headers=mine)
    assert asked.status_code == 403
    before = application.state.policies
    application.state.policies = before._replace(has_public_url=False)
    unset = await http.post("/app/crm/endpoint", json={"url": URL, "include": ["visitorTraceUrl"]})
    application.state.policies = before
    assert (unset.status_code, "RELAY_PUBLIC_URL" in unset.text) == (422, True)


async def test_the_sandbox_has_traces(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """A caller's touch points end with the call; all are the visitor's own."""
    server = uvicorn.Server(uvicorn.Config(create_sandbox(SandboxConfig()), port=0, log_config=None, ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    auth = ApiKeyAuth("00000000-0000-4000-8000-000000000001")
    await stores.sources.put(A, lambda old: structs.replace(old, base_url=url, version="v2.1", auth=auth))  # type: ignore[type-var]
    await http.put("/app/all", json={"name": "All"})
    async with httpx.AsyncClient(headers={"authorization": f"ApiKey {auth.key}"}) as plain:
        listed = await plain.get(f"{url}/reports/v2.1/igrps/1/triggers/calls?format=json&limit=50")
    call = [each for each in map(json.loads, listed.text.splitlines()) if each["vid"]][-1]
    message = await store(A, int(call["rowId"]), vid=call["vid"])
    trace = (await http.get(f"/app/all/msg/{message}/visitor-trace")).json()
    assert [trace["data"][-1]["rowId"], trace["complete"]] == [call["rowId"], True]
    assert {each["trigger"]["vid"] for each in trace["data"]} == {call["vid"]}
    assert "visit" in trace["data"][0]["classes"]
    server.should_exit = True
    await running
