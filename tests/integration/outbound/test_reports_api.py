"""The upstream transport, against a server that answers byte by byte what a test wants."""

import asyncio
import gzip
import json
import logging
import socket
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from relay.domain.credentials import BasicAuth
from relay.domain.model import ApiKeyAuth, Source, SourceUid
from relay.domain.parsing import MAX_LINE_BYTES, Rejected, parse_line
from relay.errors import Absent, Declined, LimitRefused, Refused, Retriable, UpstreamError
from relay.outbound.answers import LONG_AT_ONCE, Memory
from relay.outbound.reports_api import ReportsApi
from relay.outbound.upstream_transport import RECEIVE_BYTES, UNREACHABLE
from tests.patience import PATIENCE_S

KEY = "canary-0f8fad5b-d9cb-469f"
ROWS = [b'{"rowId":"%d","act":"call"}' % n for n in range(1, 6)]
BODY = b"".join(row + b"\n" for row in ROWS)
HANG = None
"""In an answer: say nothing more, and keep the connection open."""


def response(body: bytes = BODY, *, status: int = 200, length: int | None = None, **headers: str) -> list[bytes]:
    """An answer whose Content-Length may lie."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode(), body]


def message(text: str, *, status: int = 200, **headers: str) -> list[bytes]:
    return response(json.dumps(text).encode() + b"\n", status=status, **headers)


class Upstream:
    """Answers every request with `answer`, chunk by chunk, and keeps the requests' heads."""

    def __init__(self) -> None:
        self.answer: list[bytes | None] = []
        self.pause_s = 0.0
        """Before each chunk but the first."""
        self.requests: list[str] = []
        self.sent_bytes = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            for i, chunk in enumerate(self.answer):
                if i and self.pause_s:
                    await asyncio.sleep(self.pause_s)
                if chunk is HANG:
                    await reader.read()
                    break
                writer.write(chunk)
                await writer.drain()
                self.sent_bytes += len(chunk)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def target(self) -> str:
        return self.requests[-1].split(" ")[1]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.requests[-1].split("\r\n")[1:-2]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with server:
        yield upstream, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await upstream.close()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Upstream, str]]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def upstream(served: tuple[Upstream, str]) -> Upstream:
    return served[0]


@pytest.fixture
def make_source(served: tuple[Upstream, str]) -> Callable[..., Source]:
    def make(**changes: Any) -> Source:
        fields = {
            "uid": SourceUid("uk"),
            "name": "",
            "base_url": served[1],
            "version": "v2.1",
            "igrp": 12,
            "auth": ApiKeyAuth(KEY),
            "routes": ("calls",),
        }
        return Source(**fields | changes)

    return make


@pytest.fixture
def source(make_source: Callable[..., Source]) -> Source:
    return make_source()


@pytest.fixture
async def transport() -> AsyncIterator[httpx.AsyncHTTPTransport]:
    bounded = [(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)]
    async with httpx.AsyncHTTPTransport(trust_env=False, socket_options=bounded) as transport:
        yield transport


@pytest.fixture
def api(transport: httpx.AsyncHTTPTransport) -> ReportsApi:
    return ReportsApi(transport, deadline_s=PATIENCE_S, stall_s=PATIENCE_S)


async def failure(api: ReportsApi, source: Source) -> UpstreamError:
    """What fetching raises, checked for what it must not hold."""
    with pytest.raises(UpstreamError) as raised:
        await api.fetch(source, "calls", after=5, limit=10)
    error = raised.value
    assert KEY not in repr(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


async def test_it_asks_as_the_api_prescribes(api: ReportsApi, source: Source, upstream: Upstream) -> None:
    """In NDJSON, sorted, behind the cursor; no dates, tz or offset (H5, H6, H13, H18), each parameter once (H35)."""
    upstream.answer = response()
    page = await api.fetch(source, "calls", after=41, limit=1000)
    assert page.lines == ROWS
    assert (page.truncated, page.problem) == (False, None)
    assert upstream.target == (
        "/reports/v2.1/igrps/12/triggers/calls?format=json&limit=1000&sort[]=rowId-asc&filter[]=rowId-gt-value-41"
    )
    assert upstream.headers["authorization"] == f"ApiKey {KEY}"
    assert upstream.headers["accept-encoding"] == "identity"


async def test_a_range_has_an_upper_end(
    api: ReportsApi, make_source: Callable[..., Source], upstream: Upstream
) -> None:
    """The rows behind a cursor are asked for by both of their ends; v2 has a user's name and password (H36)."""
    upstream.answer = response(b"")
    source = make_source(version="v2", auth=BasicAuth("jö", "pässword"), base_url=make_source().base_url + "/")
    page = await api.fetch(source, "itemisedCalls", after=41, limit=10, until=99)
    assert (page.lines, page.truncated) == ([], False)
    assert upstream.target == (
        "/reports/v2/igrps/12/triggers/itemisedCalls?format=json&limit=10&sort[]=rowId-asc"
        "&filter[]=rowId-gt-value-41&filter[]=rowId-le-value-99"
    )
    assert upstream.headers["authorization"] == "Basic " + b64encode("jö:pässword".encode()).decode()


async def test_the_newest_row_is_found(api: ReportsApi, source: Source, upstream: Upstream) -> None:
    """By descending order, one row; a route without rows has none; a broken row still has its id (H1)."""
    upstream.answer = response(b'{"rowId":"900","act":"call"}\n')
    assert await api.newest(source, "calls") == 900
    assert upstream.target.endswith("?format=json&limit=1&sort[]=rowId-desc")
    upstream.answer = response(b"\n")
    assert await api.newest(source, "calls") == 0
    upstream.answer = response(b'{"rowId":"901","t":"a "b" c"}\n')
    assert await api.newest(source, "calls") == 901
    upstream.answer = response(b'{"act":"call"}\n')
    with pytest.raises(Retriable, match="could not be read"):
        await api.newest(source, "calls")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([*response(BODY + ROWS[0][:9], length=999)], "RemoteProtocolError"),
        ([*response(BODY + ROWS[0][:9], length=999), HANG], "sent nothing for"),
        (response(BODY + ROWS[0][:9]), "broke off"),
        (response(gzip.compress(BODY + ROWS[0] * 500)[:-40], Content_Encoding="gzip"), "broke off"),
        (response(BODY + b'"Query timed out"\n'), "Query timed out"),
    ],
    ids=["closed", "stalled", "no last line break", "compressed", "message at the end"],
)
async def test_a_page_that_was_cut_gives_its_whole_lines(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream, answer: list[bytes | None], problem: str
) -> None:
    """So that a bad connection still gets on; and it says that it proves nothing of what follows (H4)."""
    upstream.answer = answer
    api = ReportsApi(transport, deadline_s=PATIENCE_S, stall_s=0.5 if answer[-1] is HANG else PATIENCE_S)
    page = await api.fetch(source, "calls", after=0, limit=1000)
    assert page.lines == ROWS
    assert page.truncated
    assert problem in str(page.problem)


async def test_a_last_row_without_its_line_break_is_kept_if_it_is_whole(
    api: ReportsApi, source: Source, upstream: Upstream
) -> None:
    """Else an upstream that never writes the last break would hide its newest row for ever."""
    upstream.answer = response(BODY[:-1])
    page = await api.fetch(source, "calls", after=0, limit=1000)
    assert (page.lines, page.truncated) == (ROWS, True)


async def test_the_whole_request_has_a_deadline(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """An upstream that sends a byte now and then ends like one that sends none, though it never stalls."""
    upstream.answer = [*response(BODY, length=999), HANG]
    page = await ReportsApi(transport, deadline_s=1.5).fetch(source, "calls", after=0, limit=1000)
    assert (page.lines, page.problem) == (ROWS, "the upstream's answer took more than 1.5 s")
    upstream.answer = [HANG]
    with pytest.raises(Retriable, match=r"more than 0\.2 s"):
        await ReportsApi(transport, deadline_s=0.2).fetch(source, "calls", after=0, limit=1000)


async def test_only_the_deadline_bounds_the_wait_for_the_first_byte(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """A report may take long to make: before its head, or before its first row. Later, bytes must keep coming."""
    api = ReportsApi(transport, deadline_s=PATIENCE_S, stall_s=0.2)
    head, body = response(BODY)
    for pieces in ([b"", head + body], [head, body]):
        upstream.answer, upstream.pause_s = pieces, 0.5
        assert (await api.fetch(source, "calls", after=0, limit=10)).lines == ROWS
    upstream.answer = [head + body[:-5], body[-5:]]
    page = await api.fetch(source, "calls", after=0, limit=10)
    assert (page.lines, page.problem) == (ROWS[:-1], "the upstream sent nothing for 0.2 s")


async def test_every_member_of_a_compressed_answer_is_read(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """A gzip file can have several (RFC 1952 2.2), also an empty one first; padding behind the last is left out."""
    api = ReportsApi(transport, deadline_s=PATIENCE_S, stall_s=PATIENCE_S)
    members = b"".join(gzip.compress(part) for part in (b"", BODY[:30], b"", BODY[30:]))
    for packed in (members, members + bytes(512), members + b"\x1f", members + b"no gzip"):
        for pieces in ([packed], [packed[i : i + 1] for i in range(len(packed))]):
            upstream.answer = [*response(b"", length=len(packed), Content_Encoding="gzip"), *pieces]
            page = await api.fetch(source, "calls", after=0, limit=10)
            assert (page.lines, page.truncated) == (ROWS, False)
    upstream.answer = response(members[:-12], Content_Encoding="gzip")
    assert "broke off" in str((await api.fetch(source, "calls", after=0, limit=10)).problem)
    upstream.answer = [*response(b"", length=10**9, Content_Encoding="gzip"), *[gzip.compress(b"") * 1000] * 1000, HANG]
    assert "more than 10000 compressed members" in str(await failure(api, source))
    upstream.answer = response(gzip.compress(BODY[:-5]) + gzip.compress(b"\n" * 20_000_000, 9), Content_Encoding="gzip")
    assert "more than 50000 lines" in str((await api.fetch(source, "calls", after=0, limit=10)).problem)


async def test_a_body_has_a_greatest_size(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """What is beyond it is not read now: its lines are a part of the page, and the rest is asked for again."""
    upstream.answer = [*response(b"", length=10**9), *[BODY * 1000] * 200, HANG]
    api = ReportsApi(transport, max_part_bytes=1_000_000)
    page = await api.fetch(source, "calls", after=0, limit=1000)
    assert (page.truncated, page.problem) == (True, None)
    assert 900_000 < sum(map(len, page.lines)) <= 1_000_000
    assert upstream.sent_bytes < 20_000_000


async def test_a_compressed_body_is_inflated_no_further_than_fits(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """Compression that nobody asked for is understood, and a bomb is just a body that is too large."""
    api = ReportsApi(transport, max_part_bytes=1_000_000)
    upstream.answer = response(gzip.compress(BODY), Content_Encoding="gzip")
    assert (await api.fetch(source, "calls", after=0, limit=10)).lines == ROWS
    upstream.answer = response(gzip.compress(BODY + b" " * 50_000_000), Content_Encoding="gzip")
    page = await api.fetch(source, "calls", after=0, limit=10)
    assert (page.lines, page.truncated, page.problem) == (ROWS, True, None)
    upstream.answer = response(b"not gzip at all", Content_Encoding="gzip")
    assert "broke off (error)" in str(await failure(api, source))
    upstream.answer = response(BODY, Content_Encoding="br")
    assert "not asked for" in str(await failure(api, source))


async def test_lines_are_bounded_as_well_as_bytes(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """59 KiB of gzip can be twenty million empty lines: no more is inflated than a worker has room for."""
    bomb = gzip.compress(b"\n" * 20_000_000, 9)
    api = ReportsApi(transport)
    for body, encoding in ((bomb, "gzip"), (b"\n" * 2_000_000, "identity"), (b"\r\n" * 2_000_000, "identity")):
        tracemalloc.start()
        upstream.answer = response(body, Content_Encoding=encoding)
        error = await failure(api, source)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert "more than 50000 lines" in str(error)
        assert peak < 16_000_000
    upstream.answer = response(gzip.compress(BODY + b"\n" * 20_000_000, 9), Content_Encoding="gzip")
    page = await api.fetch(source, "calls", after=0, limit=10)
    assert (page.lines, page.truncated) == (ROWS, True)


async def test_nothing_is_read_behind_the_end_of_a_compressed_answer(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """Zlib would keep all of it, and no limit would count it."""
    whole = gzip.compress(BODY)
    upstream.answer = [*response(b"", length=10**9, Content_Encoding="gzip"), whole, *[b"x" * 65536] * 2000, HANG]
    page = await ReportsApi(transport, deadline_s=PATIENCE_S).fetch(source, "calls", after=0, limit=10)
    assert (page.lines, page.truncated) == (ROWS, False)
    assert upstream.sent_bytes < 20_000_000


async def test_all_answers_together_have_a_greatest_size(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """With many at once each is cut sooner, and each makes progress; what was taken in makes room again."""
    memory = Memory(1_000_000)
    api = ReportsApi(transport, memory=memory)
    row = b'{"rowId":"1","t":"%s"}\n' % (b"x" * 50_000)
    upstream.answer = response(row * 60)

    async def fetched(number: int) -> list[int]:
        pages = await asyncio.gather(*(api.fetch(source, "calls", after=0, limit=100) for _ in range(number)))
        assert {(page.truncated, page.problem) for page in pages} == {(True, None)}
        assert memory.used < 1_400_000 + number * 400_000
        return [len(page.lines) for page in pages]

    for number in (1, 6, 1):
        assert min(await fetched(number)) > 0
        await asyncio.sleep(0)  # Until then the loop holds what was gathered.
        assert memory.used == 0
    upstream.answer = response(b"no rows", status=500)
    await failure(api, source)
    assert memory.used == 0


async def test_many_long_rows_at_once_take_turns(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """Each answer may have a row whole, but not all of them at the same time: each makes progress, in bounds."""
    memory = Memory(1_000_000)
    api = ReportsApi(transport, memory=memory)
    upstream.answer = response(b'{"rowId":"1","t":"%s"}\n' % (b"x" * 1_000_000) * 2)

    async def rows() -> int:
        return len((await api.fetch(source, "calls", after=0, limit=100)).lines)

    tracemalloc.start()
    assert await asyncio.gather(*(rows() for _ in range(40))) == [1] * 40
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 36_000_000, "with the buffers of the connections and of the server"
    assert memory.used == 0


async def test_who_waits_for_its_turn_does_not_stall(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """The relay reads nothing meanwhile: the upstream is not to blame for that. A turn ends with the page."""
    memory = Memory(1)
    api = ReportsApi(transport, memory=memory, stall_s=1.0)
    upstream.answer = response(b'{"rowId":"1","t":"%s"}\n' % (b"x" * 1_000_000) * 2)
    pages = [await api.fetch(source, "calls", after=0, limit=100) for _ in range(LONG_AT_ONCE)]
    waiting = asyncio.create_task(api.fetch(source, "calls", after=0, limit=100))
    await asyncio.sleep(1.3)
    assert not waiting.done()
    pages.clear()
    assert len((await waiting).lines) == 1
    assert waiting.result().problem is None


async def test_a_row_larger_than_a_part_is_told_by_its_beginning(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """It is set aside, and what lies behind it can be asked for."""
    upstream.answer = response(b'{"rowId":"7","t":"%s"}\n' % (b"x" * 6_000_000) + ROWS[0] + b"\n")
    page = await ReportsApi(transport).fetch(source, "calls", after=0, limit=10)
    assert page.truncated
    assert [parse_line(line) for line in page.lines] == [Rejected("the line is too long", 7)]


async def test_a_line_that_is_too_long_is_a_rejected_line(api: ReportsApi, source: Source, upstream: Upstream) -> None:
    """And no failure of the page: the rows around it go on."""
    upstream.answer = response(
        ROWS[0] + b"\n" + b'{"rowId":"3","t":"%s"}\n' % (b"x" * MAX_LINE_BYTES) + ROWS[4] + b"\n"
    )
    page = await api.fetch(source, "calls", after=0, limit=10)
    assert len(page.lines) == 3
    assert parse_line(page.lines[1]) == Rejected("the line is too long", 3)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_told(api: ReportsApi, source: Source, upstream: Upstream, status: int) -> None:
    """Asking again would be hammering (H28); the upstream's word is passed on."""
    upstream.answer = message("auth required", status=status)
    error = await failure(api, source)
    assert isinstance(error, Refused)
    assert str(error) == f"the upstream refuses the credentials ({status}): auth required"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "Limit must not exceed 10000"),
        (200, "The maximum number of rows is 1000"),
        (200, "Invalid limit"),
        (422, "limit: too high"),
    ],
)
async def test_a_limit_that_is_too_high_is_told_apart(
    api: ReportsApi, source: Source, upstream: Upstream, status: int, text: str
) -> None:
    """Whatever its status (H2), a message about the limit asks for fewer rows (H7)."""
    upstream.answer = message(text, status=status)
    error = await failure(api, source)
    assert isinstance(error, LimitRefused)
    assert text in str(error)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (200, "Something went wrong", Declined),
        (200, "Rate limit exceeded", Retriable),
        (400, "Unknown filter", Declined),
        (404, "Not found", Absent),
        (429, "limit of requests reached", Retriable),
        (500, "limit", Retriable),
        (503, "Down for maintenance", Retriable),
    ],
)
async def test_a_message_is_a_failure_and_never_an_empty_page(
    api: ReportsApi, source: Source, upstream: Upstream, status: int, text: str, kind: type[Retriable]
) -> None:
    """With status 200 as well (H2, H3): it may work later, or if something else is asked for."""
    upstream.answer = message(text, status=status)
    error = await failure(api, source)
    assert type(error) is kind
    assert str(error) == f"the upstream answered {status}: {text}"


@pytest.mark.parametrize(
    "answer",
    [
        response(b"<html><body>{\n</body></html>\n"),
        response(b"rowId,act\n1,call\n2,call\n"),
        response(b'"rowId","act"\n"1","call"\n'),
        response(b'[{"rowId":"1"},\n{"rowId":"2"}]\n'),
        response(b"\n]\n"),
    ],
    ids=["html", "csv", "quoted csv", "jsonarray", "empty jsonarray of 2016"],
)
async def test_another_format_is_a_failure(
    api: ReportsApi, source: Source, upstream: Upstream, answer: list[bytes | None]
) -> None:
    """The default format is told of in two ways (H5), and a proxy may answer in its own."""
    upstream.answer = answer
    error = await failure(api, source)
    assert type(error) is Retriable
    assert "not in the format" in str(error)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("text", [BODY.decode(), "\n\n\n"], ids=["rows", "blank"])
async def test_another_encoding_is_told_as_such(
    api: ReportsApi, source: Source, upstream: Upstream, encoding: str, text: str
) -> None:
    """Nobody has to guess from lines that are no JSON, and it is never an empty page: asking again does not help."""
    upstream.answer = response(text.encode(encoding))
    error = str(await failure(api, source))
    assert error.startswith(f"the upstream's answer is in {encoding[:6].upper()}, and the relay reads UTF-8 only")


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_redirects_are_not_followed(api: ReportsApi, source: Source, upstream: Upstream, status: int) -> None:
    """They would carry the credentials elsewhere."""
    upstream.answer = response(b"", status=status, Location="/elsewhere")
    error = await failure(api, source)
    assert "redirects" in str(error)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "999999999999"}, 3600.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "Tue, 24 Nov 2026 08:00:30 GMT", "Date": "Tue, 24 Nov 2026 08:00:00 GMT"}, 30.0),
        ({"Retry_After": "Tue, 24 Nov 2026 08:00:00 GMT", "Date": "Tue, 24 Nov 2026 08:00:30 GMT"}, 0.0),
        ({"Retry_After": "Tue, 24 Nov 2020 08:00:00 GMT"}, 0.0),
        ({"Retry_After": "Tue, 99 Nov 2026 08:00:00 GMT"}, None),
    ],
    ids=repr,
)
async def test_retry_after_is_passed_on(
    api: ReportsApi, source: Source, upstream: Upstream, headers: dict[str, str], seconds: float | None
) -> None:
    """In both of its forms, within bounds; what makes no sense says nothing (H29)."""
    upstream.answer = message("busy", status=503, **headers)
    error = await failure(api, source)
    assert isinstance(error, Retriable)
    assert error.retry_after_s == seconds


async def test_what_the_upstream_says_is_masked(api: ReportsApi, source: Source, upstream: Upstream) -> None:
    """Neither credentials, nor phone numbers, nor addresses, nor pages of text reach a log."""
    upstream.answer = message(
        f"key {KEY} of jo@example.com for +44 20 3555 5610\n\x07 is bad " + "x" * 5000, status=500
    )
    text = str(await failure(api, source))
    assert text.startswith("the upstream answered 500: key … of … for … is bad xxx")
    assert len(text) < 250


@pytest.mark.parametrize("key", [KEY + "\r\nX-Evil: 1", KEY + " é", KEY + "\0"], ids=["line break", "not ASCII", "NUL"])
async def test_odd_credentials_are_not_quoted(
    api: ReportsApi, make_source: Callable[..., Source], upstream: Upstream, key: str
) -> None:
    """A key that makes no header is a failure that does not show it, and splits no request."""
    upstream.answer = message("auth required", status=401)
    await failure(api, make_source(auth=ApiKeyAuth(key)))
    assert not any("evil" in request.lower().split("authorization")[0] for request in upstream.requests)
    assert not any("x-evil: 1\r\n" in request.lower() for request in upstream.requests)


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:1", "http://[::1", "ftp://127.0.0.1", "http://", "http://a..b"], ids=repr
)
async def test_an_upstream_that_cannot_be_reached_is_a_failure(
    api: ReportsApi, make_source: Callable[..., Source], base_url: str
) -> None:
    """Nobody listens, or the URL is none: told in words that hold no credentials."""
    assert str(await failure(api, make_source(base_url=base_url))) == UNREACHABLE


async def test_a_row_that_broke_off_is_no_empty_page(api: ReportsApi, source: Source, upstream: Upstream) -> None:
    """Half a row is all that came: that says nothing of what there is."""
    upstream.answer = response(ROWS[0][:9])
    assert "broke off" in str(await failure(api, source))


async def test_nothing_of_a_request_is_logged_but_its_url(
    api: ReportsApi, source: Source, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """At the lowest level of every library in between."""
    upstream.answer = response(b'{"rowId":"1","srcPhoneNumber":"02035555610"}\n')
    with caplog.at_level(logging.DEBUG):
        await api.fetch(source, "calls", after=0, limit=10)
    assert KEY not in caplog.text
    assert "02035555610" not in caplog.text


async def test_a_cancelled_fetch_lets_go_of_its_connection(
    transport: httpx.AsyncHTTPTransport, source: Source, upstream: Upstream
) -> None:
    """A worker that drains does not wait for the upstream."""
    upstream.answer = [HANG]
    fetch = asyncio.create_task(ReportsApi(transport).fetch(source, "calls", after=0, limit=10))
    while not upstream.requests:
        await asyncio.sleep(0)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    upstream.answer = response()
    assert (await ReportsApi(transport).fetch(source, "calls", after=0, limit=10)).lines == ROWS
