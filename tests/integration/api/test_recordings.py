"""A subscriber downloads the recording of a call: by key or by link, streamed, and only of calls that it may see."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from msgspec import structs

from relay.domain.event_types import GOAL
from relay.domain.model import ApiKeyAuth
from relay.outbound.recordings import Recordings
from relay.sandbox.app import create_sandbox
from relay.sandbox.config import SandboxConfig
from relay.wiring import Stores
from tests.integration.api.conftest import KEY, TestClock
from tests.integration.api.documented import Documented
from tests.integration.api.storing import A, Store
from tests.patience import PATIENCE_S

SOUND = bytes(range(256)) * 400


@dataclass
class Upstream:
    """A scripted upstream on a real port: `answer` is what it sends for a request."""

    answer: bytes = b""
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    then: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            writer.write(self.answer)
            if self.then:
                await self.then(writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


def answer(status: str, body: bytes = b"", *headers: str, kind: str = "audio/mpeg") -> bytes:
    """A whole response."""
    own = (f"content-type: {kind}", f"content-length: {len(body)}", "connection: close")
    return "\r\n".join((f"HTTP/1.1 {status}", *own, *headers)).encode() + b"\r\n\r\n" + body


@pytest.fixture
async def upstream(stores: Stores, store: Store) -> AsyncIterator[Upstream]:
    """The upstream of source A."""
    fake = Upstream(answer("200 OK", SOUND, 'etag: "1"', "accept-ranges: bytes", "set-cookie: a=b"))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await stores.sources.put(
        A,
        lambda old: structs.replace(old, base_url=fake.url, version="v2.1", auth=ApiKeyAuth("upstream-key")),  # type: ignore[type-var]
    )
    async with server:
        yield fake


@pytest.fixture
async def path(http: httpx.AsyncClient, store: Store, upstream: Upstream) -> str:
    """The path of a call's recording."""
    await http.put("/app/crm", json={"name": "CRM", "filter": {"dgrpName": "Sales"}})
    return f"/app/crm/msg/{await store(A, 7, dgrpName='Sales')}/recording"


async def test_it_is_passed_on_as_it_is(http: httpx.AsyncClient, path: str, upstream: Upstream) -> None:
    """With the source's credentials to the upstream, and with safe headers to the subscriber."""
    found = await http.get(path)
    assert (found.status_code, found.content, found.headers["content-type"]) == (200, SOUND, "audio/mpeg")
    assert found.headers["content-disposition"] == 'attachment; filename="recording-7.mp3"'
    assert found.headers["cache-control"] == "private, no-store"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert (found.headers["etag"], found.headers["content-length"]) == ('"1"', str(len(SOUND)))
    assert "set-cookie" not in found.headers
    (request,) = upstream.requests
    assert request.startswith(b"GET /reports/v2.1/igrps/1/callRecording/7 HTTP/1.1\r\n")
    assert b"ApiKey upstream-key" in request
    assert KEY.encode() not in request


async def test_ranges(http: httpx.AsyncClient, path: str, upstream: Upstream) -> None:
    """`range` and `if-range` are passed on, if they have their form, and so is what the upstream says."""
    upstream.answer = answer("206 Partial Content", SOUND[2:5], f"content-range: bytes 2-4/{len(SOUND)}")
    found = await http.get(path, headers={"range": "bytes=2-4", "if-range": '"1"'})
    assert (found.status_code, found.content) == (206, SOUND[2:5])
    assert found.headers["content-range"] == f"bytes 2-4/{len(SOUND)}"
    assert b"range: bytes=2-4" in upstream.requests[0]
    assert b'if-range: "1"' in upstream.requests[0]
    await http.get(path, headers={"range": "bytes=2-4,7-9"})
    assert b"range:" not in upstream.requests[1]
    upstream.answer = answer("416 Range Not Satisfiable", b"", f"content-range: bytes */{len(SOUND)}")
    found = await http.get(path, headers={"range": "bytes=999999999-"})
    assert (found.status_code, found.headers["content-range"]) == (416, f"bytes */{len(SOUND)}")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (answer("404 Not Found"), 404, "not_found"),
        (answer("401 Unauthorized"), 502, "upstream_failed"),
        (answer("403 Forbidden"), 502, "upstream_failed"),
        (answer("500 Oops"), 502, "upstream_failed"),
        (answer("200 OK", b"<script>", kind="text/html"), 502, "upstream_failed"),
        (answer("200 OK", b"x", "content-encoding: gzip"), 502, "upstream_failed"),
        (answer("302 Found", b"", "location: http://10.0.0.256/"), 502, "upstream_failed"),
        (answer("302 Found", b"", "location: http://169.254.169.254/latest"), 502, "upstream_failed"),
        (answer("302 Found", b"", "location: file:///etc/passwd"), 502, "upstream_failed"),
        (answer("302 Found", b"", "location: /again"), 502, "upstream_failed"),
        (b"", 502, "upstream_failed"),
    ],
)
async def test_failures_are_named(
    http: httpx.AsyncClient, path: str, upstream: Upstream, sent: bytes, status: int, code: str
) -> None:
    """Nothing of what came is passed on, and no credentials are shown."""
    upstream.answer = sent
    found = await http.get(path)
    assert (found.status_code, found.json()["code"]) == (status, code), found.text
    assert "upstream-key" not in found.text


async def test_a_redirect_takes_no_credentials_along(http: httpx.AsyncClient, path: str, upstream: Upstream) -> None:
    """Another host, port or scheme is asked without them."""
    other = Upstream(answer("200 OK", SOUND))
    async with await asyncio.start_server(other.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        upstream.answer = answer("302 Found", b"", f"location: http://127.0.0.1:{port}/file")
        assert (await http.get(path)).content == SOUND
    assert b"upstream-key" in upstream.requests[0]
    assert b"upstream-key" not in other.requests[0]


async def test_slowness_is_504(http: httpx.AsyncClient, path: str, upstream: Upstream, application: Documented) -> None:
    """An upstream that does not begin to answer holds nobody for long."""
    hangs = asyncio.Event()
    upstream.answer = b""

    async def hang(_: asyncio.StreamWriter) -> None:
        await hangs.wait()

    upstream.then = hang
    recordings: Recordings = application.state.recordings
    recordings._stall_s = 0.05
    found = await http.get(path)
    hangs.set()
    assert (found.status_code, found.json()["code"]) == (504, "upstream_timeout")
    assert recordings._running == 0


async def test_only_calls_that_the_application_may_see(
    http: httpx.AsyncClient, path: str, store: Store, upstream: Upstream
) -> None:
    """Another group's call, and what is no call, are not found, and the upstream is not asked."""
    other, goal = await store(A, 8, dgrpName="Other"), await store(A, 9, dgrpName="Sales", classes=GOAL)
    for message in (other, goal):
        assert (await http.get(f"/app/crm/msg/{message}/recording")).status_code == 404
        assert (await http.post(f"/app/crm/msg/{message}/recording/link", json={})).status_code == 404
    key = (await http.post("/key", json={"name": "k", "scopes": ["read", "write"]})).json()["token"]
    assert (await http.get(path, headers={"authorization": f"Bearer {key}"})).status_code == 403
    assert not upstream.requests


async def test_a_link_works_without_a_key_until_it_expires(
    http: httpx.AsyncClient, path: str, upstream: Upstream, clock: TestClock
) -> None:
    """A changed one is refused. It ends with its time, and with the application."""
    link = (await http.post(f"{path}/link", json={"expiresInSeconds": 60})).json()
    plain = {"authorization": ""}
    url = httpx.URL("http://relay" + link["url"])
    assert (await http.get(url, headers=plain)).content == SOUND
    changed = [
        url.copy_set_param("expires", "9999999999"),
        url.copy_set_param("signature", "0" * 64),
        url.copy_set_param("signature", "ü"),
        url.copy_with(path=url.path[:-1] + "x"),
    ]
    for each in changed:
        assert (await http.get(each, headers=plain)).status_code == 401
    clock.at_ms += 60_000
    assert (await http.get(url, headers=plain)).status_code == 401
    clock.at_ms -= 60_000
    await http.delete("/app/crm")
    assert (await http.get(url, headers=plain)).status_code == 404


async def test_what_the_subscriber_does_not_read_is_not_fetched(path: str, base_url: str, upstream: Upstream) -> None:
    """A download of 64 MiB that nobody reads stops the upstream, far before its end."""
    sent, blocked = 0, asyncio.Event()
    piece = b"s" * (64 << 10)

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for _ in range(1024):
            writer.write(piece)
            sent += len(piece)
            try:
                async with asyncio.timeout(1):
                    await writer.drain()
            except TimeoutError:
                blocked.set()
                return

    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\nconnection: close\r\n\r\n"
    upstream.then = pour
    async with (
        httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=PATIENCE_S) as client,
        client.stream("GET", f"{base_url}/api/v1{path}") as response,
    ):
        assert response.status_code == 200
        await blocked.wait()
    assert sent < 32 << 20


async def test_the_sandbox_has_recordings(http: httpx.AsyncClient, path: str, stores: Stores, store: Store) -> None:
    """Whole, and by range."""
    config = SandboxConfig()
    server = uvicorn.Server(uvicorn.Config(create_sandbox(config), port=0, log_config=None, ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    auth = ApiKeyAuth("00000000-0000-4000-8000-000000000001")
    await stores.sources.put(A, lambda old: structs.replace(old, base_url=url, version="v2.1", auth=auth))  # type: ignore[type-var]
    query = "format=json&limit=5&filter[]=rec-eq-value-1"
    async with httpx.AsyncClient(timeout=PATIENCE_S) as plain:
        listed = await plain.get(
            f"{url}/reports/v2.1/igrps/1/triggers/calls?{query}", headers={"authorization": f"ApiKey {auth.key}"}
        )
    row = int(json.loads(listed.text.splitlines()[0])["rowId"])
    message = await store(A, row, dgrpName="Sales")
    whole = await http.get(f"/app/crm/msg/{message}/recording")
    assert (whole.status_code, whole.content[:4], whole.headers["content-type"]) == (200, b"RIFF", "audio/wav")
    part = await http.get(f"/app/crm/msg/{message}/recording", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    server.should_exit = True
    await running
