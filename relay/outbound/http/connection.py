"""One connection to a receiver: it carries one exchange after another, each with a deadline."""

import asyncio
import select
import socket
import ssl
import sys
from collections.abc import Hashable
from time import perf_counter
from typing import Any, Protocol

from relay.domain.addresses import Address
from relay.domain.outcomes import Failure
from relay.outbound.failures import CLOSED, LATE, NO_TLS, EgressError
from relay.outbound.http.answer import AnswerFault, AnswerReader
from relay.outbound.http.messages import Answer
from relay.outbound.http.timings import Timings
from relay.outbound.http.tls import ResumingContext

SLICE_BYTES = 128 << 10
"""A body is written in pieces of this size, as fast as the receiver takes them."""
SLACK_S = 0.002
"""The clock of a loop stands still within a turn."""
TCP_CLOSE = 7
_UNACKNOWLEDGED = slice(24, 28)
"""Where `struct tcp_info` of Linux has its number of segments that the other side has not acknowledged."""

BROKEN_OFF = "the answer's body broke off"


class StaleConnection(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """A kept connection was closed before the request reached the receiver: it may be sent again."""


class Keeper(Protocol):
    """Where a connection goes that can carry another exchange."""

    def put(self, connection: "Connection") -> None:
        """Keep it, or abort it."""

    def forget(self, connection: "Connection") -> None:
        """It is closed."""

    def write_soon(self, connection: "Connection") -> None:
        """Call its `write` in the next turn of the loop, with those of all others."""


class Connection(asyncio.Protocol):
    """An exchange begins with `begin`, and its future has the answer as soon as the head came.

    One timer ends exchanges that are overdue and closes a connection that was idle for too long. It is moved when it
    fires, not with each exchange.
    """

    def __init__(self, keeper: Keeper, origin: Hashable) -> None:
        self.origin = origin
        self.address: Address | None = None
        """Where it leads; None: through the forward proxy."""
        self.is_kept = False
        """It has carried an exchange."""
        self.is_closed = False
        self.connect_s = self.tls_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._keeper = keeper
        # uvloop's transports are no subclasses of asyncio's.
        self._transport: Any = None
        self._reader = AnswerReader()
        self._waiter: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        """An answer whose body has not ended."""
        self._unwritten = b""
        """A request that is to be written in the next turn of the loop."""
        self._unsent: memoryview | None = None
        self._is_writing_paused = False
        self._tls: tuple[ResumingContext, str] | None = None
        self._tls_from = self._began_at = 0.0
        self._idle_since = self._due_at = self._timer_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._first: tuple[bytes, bytes] | None = None

    def begin(self, head: bytes, body: bytes, due_at: float, kept_bytes: int) -> asyncio.Future[Answer]:
        """Send a request, at once or as soon as the connection is made. So much of the answer's body is kept."""
        self._reader.expect(kept_bytes)
        waiter = self._waiter = self._loop.create_future()
        self._set_due(due_at)
        if self._transport is None:
            self._first = head, body
        elif len(body) <= SLICE_BYTES:
            self._began_at = perf_counter()
            self._unwritten = head + body
            self._keeper.write_soon(self)
        else:
            self._send(head, body)
        return waiter

    def write(self) -> None:
        """Write the request that waits to be written."""
        request, self._unwritten = self._unwritten, b""
        if request and not self.is_closed:
            self._transport.write(request)

    def expect_tls(self, context: ResumingContext, name: str) -> None:
        """Note that a handshake with a name begins now, before the connection is made."""
        self._tls_from = perf_counter()
        self._tls = context, name

    def give_up(self, waiter: asyncio.Future[Answer]) -> None:
        """End an exchange that nobody waits for any more."""
        if self._waiter is waiter:
            self.abort()
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            waiter.result().drop()

    def abort(self) -> None:
        """Close at once, without sending what is left."""
        self.is_closed = True
        self._waiter = self._answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def is_readable(self) -> bool:
        """Whether something came, or its end, that the loop has not read yet."""
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def rest(self, idle_s: float) -> None:
        """Begin to be idle, for so long at most."""
        self._idle_since = self._loop.time()
        self._set_due(self._idle_since + idle_s)

    def idle_for_s(self) -> float:
        """How long it has been idle."""
        return self._loop.time() - self._idle_since

    def _set_due(self, at: float) -> None:
        self._due_at = at
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._on_timer)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request, before anything is read."""
        self._transport = transport
        if self._tls_from:
            self.tls_s = perf_counter() - self._tls_from
        if self.is_closed:
            self._transport.abort()
        elif self._first is not None:
            head, body = self._first
            self._first = None
            self._send(head, body)

    def data_received(self, data: bytes) -> None:
        """Read some of an answer; nothing else may come."""
        reader = self._reader
        if self.is_closed or self._unwritten or (self._waiter is None and self._answer is None):
            self._lose(is_stale=True, is_clean=False)
            return
        try:
            reader.feed(data)
        except AnswerFault as fault:
            self._fail(EgressError(fault.failure, str(fault)))
            return
        if self._waiter is not None:
            if not reader.status:
                if reader.is_flooded:
                    # Nothing more is read, so a flood costs nothing until the deadline.
                    self._transport.pause_reading()
                return
            self._give_head(self._waiter)
        if reader.complete and self._answer is not None:
            answer, self._answer = self._answer, None
            answer.end(reader.body())
            self._free(reader)
        elif reader.is_cut and self._answer is not None:
            self._answer.end(reader.body())
            self.abort()

    def eof_received(self) -> None:
        """End a body that has no other end; anything else breaks off."""
        if not self.is_closed:
            self._lose(is_stale=bool(self._unwritten) or self._is_unread(), is_clean=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """End whatever waits."""
        self._transport = None
        if not self.is_closed:
            if isinstance(exc, ssl.SSLError):
                self._fail(EgressError(Failure.TLS, NO_TLS))
            else:
                self._lose(is_stale=isinstance(exc, ConnectionError), is_clean=exc is None)
        self._keeper.forget(self)

    def pause_writing(self) -> None:
        """Wait for the receiver to read."""
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        """Write on."""
        self._is_writing_paused = False
        self._write_more()

    def _send(self, head: bytes, body: bytes) -> None:
        self._began_at = perf_counter()
        if len(body) <= SLICE_BYTES:
            self._transport.write(head + body)
            return
        self._transport.write(head)
        self._unsent = memoryview(body)
        self._write_more()

    def _write_more(self) -> None:
        while self._unsent is not None and not self._is_writing_paused and not self.is_closed:
            piece, rest = self._unsent[:SLICE_BYTES], self._unsent[SLICE_BYTES:]
            self._unsent = rest if len(rest) else None
            self._transport.write(piece)

    def _give_head(self, waiter: asyncio.Future[Answer]) -> None:
        reader = self._reader
        self._waiter = None
        timings = Timings(self.connect_s, self.tls_s, perf_counter() - self._began_at)
        answer = Answer(reader.status, reader.headers, timings, self)
        if waiter.done():
            self.abort()
            return
        self._answer = answer
        waiter.set_result(answer)

    def _free(self, reader: AnswerReader) -> None:
        """Keep the connection for the next exchange, or close it."""
        # An answer may come before the request was written.
        if not reader.reusable or self._unsent is not None or self._transport.get_write_buffer_size():
            self.abort()
            return
        if not self.is_kept:
            self.is_kept = True
            self.connect_s = self.tls_s = 0.0
            if self._tls is not None:
                # By now the server has sent its tickets.
                context, name = self._tls
                context.remember(name, self._transport.get_extra_info("ssl_object").session)
        self._keeper.put(self)

    def _lose(self, *, is_stale: bool, is_clean: bool) -> None:
        """End the exchange because the connection ends."""
        reader, waiter = self._reader, self._waiter
        if self._answer is not None and is_clean and reader.ends_with_connection():
            self._answer.end(reader.body())
        elif waiter is not None and not waiter.done() and is_stale and self.is_kept and reader.raw_bytes == 0:
            waiter.set_exception(StaleConnection())
        else:
            self._fail(EgressError(Failure.PROTOCOL, CLOSED))
        self.abort()

    def _fail(self, error: EgressError) -> None:
        """End the exchange with an error: without an answer, or within its body."""
        waiter, answer = self._waiter, self._answer
        if waiter is not None and not waiter.done():
            if self._reader.status:
                self._give_head(waiter)
                answer = self._answer
            else:
                error.timings = Timings(self.connect_s, self.tls_s)
                waiter.set_exception(error)
        if answer is not None:
            answer.end(self._reader.body(), EgressError(error.failure, BROKEN_OFF))
        self.abort()

    def _on_timer(self) -> None:
        self._timer = None
        if self._loop.time() + SLACK_S < self._due_at:
            self._set_due(self._due_at)
        elif self._waiter is not None or self._answer is not None:
            self._fail(EgressError(Failure.TIMEOUT, LATE))
        else:
            self.abort()

    def _is_unread(self) -> bool:
        """Whether the receiver's machine closed the connection before the request reached it.

        It answers with a reset then, or its FIN does not acknowledge the request. A receiver that took the request and
        closed is not asked again.
        """
        if not sys.platform.startswith("linux"):
            return False
        info = self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return info[0] == TCP_CLOSE or any(info[_UNACKNOWLEDGED])
