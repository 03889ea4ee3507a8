"""Nothing that a receiver does keeps an attempt longer than its deadline, costs memory, or raises."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relay.domain.outcomes import Failure, Outcome
from relay.outbound.callback_answers import KEPT_BODY_BYTES, KEPT_HEADERS
from relay.outbound.http.messages import UNREADABLE
from tests.fault.hostile_sink import BEHAVIOURS, HostileSink, canary, silent_listener
from tests.patience import FOREVER_S, PATIENCE_S

Send = Callable[..., Awaitable[Outcome]]

DEADLINE_S = 0.6
SLOW = {"body-drip": 2.0}
"""Whose head comes in time, and whose body does not: the deadlines of their attempts."""

EXPECTED: dict[str, int | Failure] = {
    "alt-svc": 200,
    "bad-chunk": 200,
    "body-drip": 200,
    "closes-unsaid": 204,
    "close-before-answer": Failure.PROTOCOL,
    "continue-forever": Failure.TIMEOUT,
    "control-bytes": 200,
    "cookie": 200,
    "deflate-bomb": 200,
    "double-encoding": 200,
    "endless-chunks": 200,
    "fine": 204,
    "fine-with-body": 200,
    "garbage": Failure.PROTOCOL,
    "gigabyte": 200,
    "gzip-bomb": 200,
    "header-drip": Failure.TIMEOUT,
    "http09": Failure.PROTOCOL,
    "informational-flood": Failure.TIMEOUT,
    "latin-header": 503,
    "length-and-chunks": 200,
    "megabyte-header": Failure.OVERSIZED,
    "negative-length": Failure.PROTOCOL,
    "never-answers": Failure.TIMEOUT,
    "reset-after-headers": 200,
    "reset-before-answer": Failure.PROTOCOL,
    "says-br": 200,
    "says-zstd": 200,
    "short-body": 200,
    "ten-thousand-headers": Failure.OVERSIZED,
    "two-lengths": Failure.PROTOCOL,
    "upgrade": 101,
}


def test_every_behaviour_has_an_expectation() -> None:
    """The table covers the whole catalogue; `status` is tested by itself."""
    assert set(EXPECTED) == set(BEHAVIOURS) - {"status"}


def deadline_s(path: str) -> float:
    """Short for what lasts until then. Any other habit ends by itself, however slow the machine is."""
    return DEADLINE_S if EXPECTED[path] is Failure.TIMEOUT else SLOW.get(path, PATIENCE_S)


@pytest.mark.parametrize("path", EXPECTED)
async def test_an_attempt_ends_in_time_and_says_what_happened(path: str, send: Send, sink: HostileSink) -> None:
    """Each bad habit ends with the deadline, or before, as the outcome that it is (goal G20)."""
    async with asyncio.timeout(PATIENCE_S):
        outcome = await send(f"http://127.0.0.1:{sink.port}/{path}", deadline_s=deadline_s(path))
    assert (outcome.error or outcome.status) == EXPECTED[path]
    assert len(outcome.body) <= KEPT_BODY_BYTES
    assert len(outcome.headers) <= KEPT_HEADERS
    assert len(sink.received) == 1
    if outcome.error:
        assert outcome.detail


@pytest.mark.parametrize("path", ["short-body", "bad-chunk", "body-drip", "reset-after-headers", "endless-chunks"])
async def test_a_success_stays_one_when_its_body_breaks_off(path: str, send: Send, sink: HostileSink) -> None:
    """A 2xx with a whole head was received; to send it again would be a duplicate."""
    assert (await send(f"http://127.0.0.1:{sink.port}/{path}", deadline_s=deadline_s(path))).succeeded


async def test_the_start_of_a_body_is_kept_raw(send: Send, sink: HostileSink) -> None:
    """Control bytes and markup come out as they were, for whoever shows them to escape; bombs are not unpacked."""
    outcome = await send(f"http://127.0.0.1:{sink.port}/control-bytes")
    assert outcome.body == b"\x00\x1b[31m<script>x</script>"
    for path in ("says-br", "says-zstd"):
        assert (await send(f"http://127.0.0.1:{sink.port}/{path}")).body == b"plain"
    for path in ("gzip-bomb", "deflate-bomb"):
        outcome = await send(f"http://127.0.0.1:{sink.port}/{path}")
        assert len(outcome.body) <= 1024


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_receiver_that_says_nothing_ends_in_time(send: Send, scheme: str) -> None:
    """A port that accepts and says nothing is a time-out."""
    async with silent_listener() as port, asyncio.timeout(PATIENCE_S):
        outcome = await send(f"{scheme}://127.0.0.1:{port}/", deadline_s=DEADLINE_S)
        assert outcome.error is Failure.TIMEOUT


@pytest.mark.parametrize("connect_timeout_s", [DEADLINE_S])
async def test_a_stalled_handshake_ends_before_the_deadline(send: Send) -> None:
    """Connecting has a time of its own."""
    async with silent_listener() as port, asyncio.timeout(PATIENCE_S):
        outcome = await send(f"https://127.0.0.1:{port}/", deadline_s=FOREVER_S)
        assert outcome.error is Failure.TIMEOUT


async def test_a_receiver_that_does_not_read_ends_in_time(send: Send) -> None:
    """A body larger than every buffer in between does not hold the attempt."""
    async with silent_listener(reads=False) as port, asyncio.timeout(PATIENCE_S):
        outcome = await send(f"http://127.0.0.1:{port}/", body=b"x" * 20_000_000, deadline_s=DEADLINE_S)
        assert outcome.error is Failure.TIMEOUT


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_never_followed(status: int, send: Send, sink: HostileSink) -> None:
    """The callback goes nowhere but to its URL, whatever the receiver points at (goal G26)."""
    async with canary("127.0.0.2") as bird:
        targets = (
            f"http://127.0.0.2:{bird.port}/",
            f"//127.0.0.2:{bird.port}/",
            f"http://[::ffff:127.0.0.2]:{bird.port}/",
            f"gopher://127.0.0.2:{bird.port}/",
            f"/status/{status}",
            "file:///etc/passwd",
        )
        for location in targets:
            outcome = await send(f"http://127.0.0.1:{sink.port}/status/{status}?location={location}")
            assert outcome.status == status
            assert ("location", location) in outcome.headers
        assert bird.touched == 0
    assert len(sink.received) == len(targets)


@pytest.mark.parametrize("value", ["120", "-1", "NaN", "315360000", "Fri, 31 Dec 1999 23:59:59 GMT", "9" * 400, "soon"])
async def test_retry_after_comes_out_as_it_came(value: str, send: Send, sink: HostileSink) -> None:
    """Whatever stands there is handed on, for whoever plans the next try to bound."""
    outcome = await send(f"http://127.0.0.1:{sink.port}/status/429?retry-after={value.replace(' ', '%20')}")
    assert (outcome.status, outcome.retry_after) == (429, value.replace(" ", "%20"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 421, 425, 429, 500, 502, 503, 504, 599, 999])
async def test_every_status_comes_out_as_it_is(status: int, send: Send, sink: HostileSink) -> None:
    """The sender judges nothing: a refusal is an outcome like any other."""
    outcome = await send(f"http://127.0.0.1:{sink.port}/status/{status}")
    assert (outcome.status, outcome.error, outcome.succeeded) == (status, "", False)


async def test_a_header_in_another_alphabet_does_no_harm(send: Send, sink: HostileSink) -> None:
    """Bytes above ASCII in a header come out as some text."""
    outcome = await send(f"http://127.0.0.1:{sink.port}/latin-header")
    assert outcome.headers == (("x-note", UNREADABLE), ("content-length", "0"), ("connection", "close"))


async def test_a_hundred_bombs_at_once_leave_memory_flat(send: Send, sink: HostileSink) -> None:
    """Endless, gigantic and packed bodies cost at most 30 MB together, and their connections are dropped (goal G21)."""
    paths = ("gigabyte", "endless-chunks", "gzip-bomb", "deflate-bomb")
    urls = [f"http://127.0.0.1:{sink.port}/{path}" for path in paths]
    await asyncio.gather(*(send(url) for url in urls * 5))
    before = _resident_bytes()
    outcomes = await asyncio.gather(*(send(url) for url in urls * 25))
    assert [outcome for outcome in outcomes if outcome.status != 200] == []
    assert _resident_bytes() - before < 30_000_000


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
