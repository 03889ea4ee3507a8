"""One connection: how answers end, when it is used again, and when a request is sent once more."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from functools import partialmethod

import httpx
import pytest

from relay.domain.outcomes import Failure, Outcome
from relay.outbound.egress import READ_CAP_BYTES, Egress
from relay.outbound.failures import EgressError
from relay.outbound.http.answer import MAX_INFORMATIONAL
from relay.outbound.http.connection import SLICE_BYTES, Connection
from relay.outbound.http.pool import LOOK_AFTER_S
from tests.fault.scripted import Peer, happens, scripted
from tests.patience import FOREVER_S, PATIENCE_S

Send = Callable[..., Awaitable[Outcome]]

EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


Post = Callable[..., Awaitable[httpx.Response]]


async def body_of(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([piece async for piece in response.stream])
    finally:
        await response.stream.aclose()


@pytest.mark.parametrize(
    ("pieces", "body", "kept"),
    [
        ((OK + b"content-length: 5\r\n\r\nhe", b"llo"), b"hello", True),
        (
            (OK + b"transfer-encoding: chunked\r\n\r\n2\r\n", b"he\r\n3\r", b"\nllo\r\n0\r\nt: 1\r\n", b"\r\n"),
            b"hello",
            True,
        ),
        ((OK + b"\r\nhe", b"llo"), b"hello", False),
        ((b"HTTP/1.0 200 OK\r\n\r\nhe", b"llo"), b"hello", False),
        ((b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",), b"hello", False),
        ((b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",), b"hello", True),
        ((OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",), b"hello", False),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\n\r\n" + EMPTY), b"", True),
        ((EMPTY + b"garbage",), b"", False),
        ((EMPTY, b"garbage"), b"", False),
        ((EMPTY + EMPTY,), b"", False),
        ((OK + b"content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",), b"", False),
    ],
    ids=repr,
)
async def test_how_an_answer_ends_and_whether_its_connection_is_used_again(
    pieces: tuple[bytes, ...], body: bytes, kept: bool, post: Post
) -> None:
    """Every framing, in pieces; what was not kept has left the wire."""

    async def script(peer: Peer) -> None:
        await peer.answer(*pieces)
        if b"\r\n\r\nhe" in pieces[0] and not kept and b"length" not in pieces[0]:
            return  # The end of the connection is the end of the body.
        while kept:
            await peer.answer(*pieces)
        await peer.until_closed()

    async with scripted(script) as receiver:
        for turn in range(2):
            assert await body_of(await post(receiver.port)) == body
            if pieces[-1] == b"garbage":
                await happens(lambda turn=turn: receiver.closed > turn)  # type: ignore[misc]
        assert receiver.connections == (1 if kept else 2)
        assert len(receiver.requests) == 2


async def test_a_flood_of_informational_answers_is_not_read(send: Send) -> None:
    """It ends at the deadline, and most of it stays where it is."""
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        while True:
            peer.writer.write(b"HTTP/1.1 103 Hints\r\n\r\n" * (MAX_INFORMATIONAL + 1) * 1000)
            sent += 1
            await peer.writer.drain()

    async with scripted(script) as receiver:
        outcome = await send(f"http://127.0.0.1:{receiver.port}/", deadline_s=0.4)
        assert outcome.error is Failure.TIMEOUT
        assert sent < 100


async def test_an_answer_that_comes_before_the_request_is_written_counts(post: Post) -> None:
    """A receiver may refuse a large body at once; its connection is not used again."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(FOREVER_S)

    async with scripted(script) as receiver, asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            response = await post(receiver.port, body=b"x" * 30_000_000, deadline_s=FOREVER_S)
            assert (response.status_code, await body_of(response)) == (413, b"no")
        assert receiver.connections == 2


async def test_a_large_body_is_written_as_fast_as_it_is_read(post: Post) -> None:
    """All of it arrives, in order, however slowly."""
    body = bytes(range(256)) * (SLICE_BYTES // 256) * 100 + b"end"

    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        got = bytearray()
        while len(got) < len(body):
            got += await peer.reader.read(100_000)
            await asyncio.sleep(0.001)
        peer.seen.requests.append(bytes(got))
        assert b"content-length: %d" % len(body) in head
        peer.writer.write(EMPTY)
        await peer.until_closed()

    async with scripted(script) as receiver:
        assert (await post(receiver.port, body=body)).status_code == 200
        assert receiver.requests == [body]


def _lose_for_good(connection: Connection, lose: Callable[..., None], *, is_stale: bool, is_clean: bool) -> None:
    """Lose a connection as if nothing told that it was stale."""
    lose(connection, is_stale=False, is_clean=is_clean)


def _reset(peer: Peer) -> None:
    """Close with a reset, as a machine does whose process is gone."""
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


@pytest.mark.parametrize("how", ["reset", "part of an answer", "unread"])
async def test_a_stale_connection_is_tried_once_more_only_if_nothing_of_an_answer_came(how: str, post: Post) -> None:
    """A reset without an answer is the sign of a receiver that had closed; half an answer is not."""

    async def script(peer: Peer) -> None:
        await peer.answer(EMPTY)
        if peer.number:
            await peer.answer(EMPTY)
            await peer.until_closed()
        await peer.reader.readexactly(1)
        if how == "part of an answer":
            peer.writer.write(b"HTTP/1.1 2")
            await peer.writer.drain()
            await asyncio.sleep(0.02)
        if how != "unread":
            await peer.request()
        _reset(peer)

    async with scripted(script) as receiver:
        assert (await post(receiver.port)).status_code == 200
        if how == "part of an answer":
            with pytest.raises(EgressError) as caught:
                await post(receiver.port)
            assert (caught.value.failure, receiver.connections) == (Failure.PROTOCOL, 1)
        else:
            assert (await post(receiver.port)).status_code == 200
            assert receiver.connections == 2


async def test_a_request_is_sent_once_more_and_not_twice(post: Post) -> None:
    """If the new connection ends like the kept one, the attempt fails."""

    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.answer(EMPTY)
        await peer.request()
        _reset(peer)

    async with scripted(script) as receiver:
        assert (await post(receiver.port)).status_code == 200
        with pytest.raises(EgressError) as caught:
            await post(receiver.port)
        assert (caught.value.failure, receiver.connections, len(receiver.requests)) == (Failure.PROTOCOL, 2, 3)


async def test_a_new_connection_that_is_reset_is_not_tried_again(post: Post) -> None:
    """Only a kept one can be stale."""

    async def script(peer: Peer) -> None:
        await peer.request()
        _reset(peer)

    async with scripted(script) as receiver:
        with pytest.raises(EgressError) as caught:
            await post(receiver.port)
        assert (caught.value.failure, receiver.connections) == (Failure.PROTOCOL, 1)


async def test_a_connection_that_was_closed_while_the_loop_was_busy_is_not_used(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at after it was idle for a while, so the request is not written into the void."""
    monkeypatch.setattr(Connection, "_lose", partialmethod(_lose_for_good, Connection._lose))
    released = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(EMPTY)
        if peer.number == 0:
            await released.wait()
            return
        await peer.answer(EMPTY)

    async with scripted(script) as receiver:
        await post(receiver.port)
        await asyncio.sleep(LOOK_AFTER_S + 0.05)
        # In one turn of the loop: the receiver's end is there, and nobody has read it yet.
        released.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await post(receiver.port)).status_code == 200
        assert (len(receiver.requests), receiver.connections) == (2, 2)


async def test_what_comes_unasked_ends_a_kept_connection(post: Post) -> None:
    """Bytes between two requests are no answer to the next one."""

    async def script(peer: Peer) -> None:
        await peer.answer(EMPTY)
        peer.writer.write(b"HTTP/1.1 500 Unasked\r\ncontent-length: 0\r\n\r\n")
        await peer.until_closed()

    async with scripted(script) as receiver:
        assert (await post(receiver.port)).status_code == 200
        await happens(lambda: receiver.closed == 1)
        assert (await post(receiver.port)).status_code == 200


@pytest.mark.parametrize("when", ["before the head", "within the body"])
async def test_a_cancelled_attempt_is_off_the_wire_at_once(when: str, post: Post) -> None:
    """Long before its deadline, whatever it waits for."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if when == "within the body":
            peer.writer.write(OK + b"content-length: 9\r\n\r\nsome")
        await peer.until_closed()

    has_head = asyncio.Event()

    async def attempt(port: int) -> None:
        response = await post(port, deadline_s=FOREVER_S)
        has_head.set()
        await body_of(response)

    async with scripted(script) as receiver:
        task = asyncio.create_task(attempt(receiver.port))
        await happens(lambda: len(receiver.requests) == 1 and has_head.is_set() == (when == "within the body"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await happens(lambda: receiver.closed == 1)


@pytest.mark.parametrize("when", ["before the head", "within the body"])
async def test_an_overdue_attempt_is_off_the_wire_at_once(when: str, send: Send) -> None:
    """Its connection ends with the deadline."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if when == "within the body":
            peer.writer.write(OK + b"content-length: 9\r\n\r\nsome")
        await peer.until_closed()

    async with scripted(script) as receiver:
        outcome = await send(f"http://127.0.0.1:{receiver.port}/", deadline_s=1.0)
        assert (outcome.error or outcome.status) == (Failure.TIMEOUT if when == "before the head" else 200)
        await happens(lambda: receiver.closed == 1)


async def test_deadlines_of_a_kept_connection_are_those_of_each_attempt(send: Send) -> None:
    """A long deadline does not outlive its attempt, and a short one after it holds."""

    async def script(peer: Peer) -> None:
        await peer.answer(EMPTY)
        await peer.request()
        await peer.until_closed()

    async with scripted(script) as receiver, asyncio.timeout(PATIENCE_S):
        url = f"http://127.0.0.1:{receiver.port}/"
        assert (await send(url, deadline_s=FOREVER_S)).status == 200
        started = time.monotonic()
        assert (await send(url, deadline_s=0.2)).error is Failure.TIMEOUT
        assert time.monotonic() - started > 0.15
        assert receiver.connections == 1


async def test_a_body_beyond_its_cap_closes_the_connection(post: Post) -> None:
    """What was read is given, at once and without the rest."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(OK + b"content-length: 1000000\r\n\r\n" + b"x" * 500_000)
        await peer.until_closed()

    async with scripted(script) as receiver:
        assert await body_of(await post(receiver.port)) == b"x" * READ_CAP_BYTES
        await happens(lambda: receiver.closed == 1)


async def test_times_of_an_attempt_are_recorded(post: Post) -> None:
    """Connecting and waiting for the head, and no time twice; a kept connection has nothing to connect."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.05)
            peer.writer.write(EMPTY)

    async with scripted(script) as receiver:
        for is_kept in (False, True):
            began = time.perf_counter()
            timings = (await post(receiver.port)).extensions["timings"]
            assert timings.connect + timings.head <= time.perf_counter() - began
            assert timings.head > 0.04
            assert (timings.connect == 0, timings.tls) == (is_kept, 0.0)


async def test_what_comes_before_a_request_is_written_is_no_answer_to_it(egress: Egress, post: Post) -> None:
    """A kept connection on which something came in the meantime is replaced, and nothing was sent on it."""

    async def script(peer: Peer) -> None:
        await peer.answer(EMPTY)
        if peer.number:
            await peer.until_closed()
        peer.writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await peer.until_closed()

    async with scripted(script) as receiver:
        await post(receiver.port)
        [connection] = egress._pool._idle
        task = asyncio.create_task(post(receiver.port))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        assert (await task).status_code == 200
        assert (receiver.connections, len(receiver.requests)) == (2, 2)
