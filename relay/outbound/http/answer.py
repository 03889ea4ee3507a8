"""Reads HTTP answers from bytes, within limits. This module does no I/O."""

from typing import Any

import httptools

from relay.domain.outcomes import Failure

HEAD_BYTES = 64 << 10
HEAD_FIELDS = 100
"""There may be as many trailers."""
MAX_INFORMATIONAL = 16
"""Answers with a status of 1xx that may precede the final one."""
BODY_CAP_BYTES = 16_384
"""How much of a body is kept, unless its request says otherwise. An answer with a longer one is cut, and its connection
is closed."""
RAW_FACTOR = 8
"""Everything of one answer may be its head and so many times the body that is kept. It bounds what never reaches the
body: chunk extensions and sizes of tiny chunks."""

FIRST = ord("H")
VERSIONS = ("1.1", "1.0")
SWITCHING_PROTOCOLS = 101
BODILESS = (204, 304)

RawHeaders = list[tuple[bytes, bytes]]


class AnswerFault(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """The bytes are not an answer within the limits; the message is safe to show."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class AnswerReader:
    """Reads one answer at a time. Call `expect` before each one, then `feed` until it is `complete` or `is_cut`.

    What a reader found does not depend on how the bytes were split.
    """

    __slots__ = (
        "_fault",
        "_has_chunks",
        "_informational",
        "_kept_bytes",
        "_parser",
        "_parts",
        "_reason",
        "_trailers",
        "complete",
        "headers",
        "is_cut",
        "is_flooded",
        "raw_bytes",
        "reusable",
        "size",
        "status",
    )

    def __init__(self) -> None:
        # httptools leaves typing.Any.
        self._parser: Any = httptools.HttpResponseParser(self)
        # RFC 9112 6.3 and 2.2: chunked outranks a length, and a bare LF may end a line. Both are safe here: a
        # connection carries one answer at a time, and an answer with both framings is its last one.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True, lenient_optional_cr_before_lf=True)
        self.expect()

    def expect(self, kept_bytes: int = BODY_CAP_BYTES) -> None:
        """Begin with the next answer, of whose body so much is kept."""
        self._kept_bytes = kept_bytes
        self.status = 0
        """0: the final head is not complete."""
        self.headers: RawHeaders = []
        self.raw_bytes = 0
        self.size = 0
        self.complete = self.is_cut = self.is_flooded = False
        self.reusable = self._has_chunks = False
        """The answer is complete, and the connection can carry another one."""
        self._parts: list[bytes] = []
        self._trailers: RawHeaders = []
        self._informational = self._reason = 0
        self._fault: AnswerFault | None = None

    def feed(self, data: bytes) -> None:
        """Read some bytes. Raises AnswerFault; if `status` is set, then only the body or a trailer is at fault."""
        if not self.raw_bytes and data and data[0] != FIRST:
            # llhttp also reads RTSP and ICE.
            raise AnswerFault(Failure.PROTOCOL, NOT_HTTP)
        self.raw_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self.complete:
                # Bytes behind the answer: garbage, or the protocol that a 101 begins.
                self.reusable = False
            elif not (self.is_cut or self.is_flooded):
                raise self._fault or AnswerFault(Failure.PROTOCOL, NOT_HTTP) from None
            return
        if not self.complete and self.raw_bytes > HEAD_BYTES:
            if not self.status:
                raise AnswerFault(Failure.OVERSIZED, OVERSIZED)
            self.is_cut = self.is_cut or self.raw_bytes > HEAD_BYTES + RAW_FACTOR * self._kept_bytes

    def body(self) -> bytes:
        """The part of the body that has arrived, at most as much as is kept."""
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def ends_with_connection(self) -> bool:
        """Whether the body has no other end than that of its connection."""
        framing = (b"content-length", b"transfer-encoding")
        return self.status not in BODILESS and not any(name.lower() in framing for name, _ in self.headers)

    # Called by httptools. An exception ends the parser, and so does everything that follows it in the same bytes.

    def on_message_begin(self) -> None:
        """Note another message: the first, one behind an informational one, or garbage behind the final one."""
        if self.complete:
            raise AnswerFault(Failure.PROTOCOL, "bytes follow the answer")

    def on_status(self, text: bytes) -> None:
        """Count the reason phrase."""
        self._reason += len(text)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; count a trailer."""
        headers = self._trailers if self.status else self.headers
        headers.append((name, value))
        if len(headers) > HEAD_FIELDS:
            self._refuse()

    def on_headers_complete(self) -> None:
        """Judge a head: final, informational, or not HTTP/1."""
        status = self._parser.get_status_code()
        if status < 100 or self._parser.get_http_version() not in VERSIONS:
            raise AnswerFault(Failure.PROTOCOL, NOT_HTTP)
        if self.raw_bytes > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._refuse()
        if status >= 200 or status == SWITCHING_PROTOCOLS:
            self.status = status
            return
        self._informational += 1
        self.headers = []
        self._reason = 0
        if self._informational > MAX_INFORMATIONAL:
            self.is_flooded = True
            raise AnswerFault(Failure.PROTOCOL, "too many informational answers")

    def on_chunk_header(self) -> None:
        """Note that the body is chunked."""
        self._has_chunks = True

    def on_body(self, data: bytes) -> None:
        """Keep what has room."""
        room = self._kept_bytes - self.size
        self.size += len(data)
        if self.size > self._kept_bytes:
            self._parts.append(data[:room])
            self.is_cut = True
            raise AnswerFault(Failure.PROTOCOL, "the body is too long")
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """End the answer, unless it was an informational one."""
        if not self.status:
            return
        self.complete = True
        self.reusable = self.status != SWITCHING_PROTOCOLS and self._parser.should_keep_alive()
        if self._has_chunks and any(name.lower() == b"content-length" for name, _ in self.headers):
            self.reusable = False

    def _head_bytes(self) -> int:
        return self._reason + sum([len(name) + len(value) + 4 for name, value in self.headers])

    def _refuse(self) -> None:
        self._fault = AnswerFault(Failure.OVERSIZED, OVERSIZED)
        raise self._fault


NOT_HTTP = "the answer is not valid HTTP"
OVERSIZED = "the answer has too many headers, or too large ones"
