"""An answer of the upstream while it arrives: bounded in bytes and in lines, also where it is compressed.

An answer that is larger than a part is cut there. Its whole lines are good, and the rest is asked for again: so no
upstream, whatever it sends, takes more memory than a worker has.
"""

import asyncio
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from relay.domain.parsing import MAX_LINE_BYTES

MAX_RETRY_AFTER_S = 3600.0
MAX_DATE_CHARS = 64
"""A date in a header has 29."""
MAX_PART_BYTES = 4 << 20
"""1,800 documented rows of 2.2 kB."""
MAX_LINES = 50_000
"""The upstream's cap is 10,000 rows; the rest are empty lines and messages."""
MAX_ERROR_BYTES = 64 << 10
ALL_PARTS_BYTES = 16 << 20
SMALLEST_PART_BYTES = 128 << 10
"""What each answer may have, however many others there are."""
LONG_AT_ONCE = 4
"""Answers that may have a longer line, while all together take too much: the others wait until it is their turn."""
INFLATED_AT_ONCE = 256 << 10
GZIP_BEGINS = b"\x1f\x8b"
MAX_MEMBERS = 10_000
"""Of a compressed answer: a row each, at most."""


class Memory:
    """The bytes of all answers that are not taken in yet."""

    def __init__(self, most: int = ALL_PARTS_BYTES) -> None:
        self.most = most
        self.used = 0
        self.turns = asyncio.Semaphore(LONG_AT_ONCE)


class Answer:
    """One response, from its headers to its last byte, or to where it was cut."""

    def __init__(self, memory: Memory, *, most_bytes: int = MAX_PART_BYTES) -> None:
        self.status = 0
        self.headers: httpx.Headers = httpx.Headers()
        self.problem: str | None = None
        """Why the rest did not come, if that is the upstream's fault."""
        self.is_late = False
        """The problem is that it took too long."""
        self.is_part = False
        """It was cut because a part has no room for more."""
        self.size = 0
        self._has_turn = False
        self._memory = memory
        self._most = most_bytes
        self._lines = 0
        self._body = bytearray()
        self._inflater: zlib._Decompress | None = None
        self._members = 1
        self._behind = b""
        """What follows the end of a compressed member, until it shows whether another one begins there."""

    def begin(self, response: httpx.Response) -> bool:
        """Note what the headers say; False when nothing of the body is wanted."""
        self.status, self.headers = response.status_code, response.headers
        if self.status != 200:
            self._most = min(self._most, MAX_ERROR_BYTES)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif encoding not in ("identity", ""):
            self.problem = "the upstream compresses in a way that was not asked for"
            return False
        return True

    def take(self, chunk: bytes) -> bool:
        """Keep some bytes; False when no more are wanted. Raises zlib.error."""
        if self._inflater is None:
            return self._keep(chunk)
        while chunk:
            if self._inflater.eof:
                chunk = self._behind + chunk
                if len(chunk) < len(GZIP_BEGINS):
                    self._behind = chunk
                    return True
                if not self._begin_member(chunk):
                    return False
            # A small step at a time, however far the chunk would inflate.
            if not self._keep(self._inflater.decompress(chunk, INFLATED_AT_ONCE)):
                return False
            chunk = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        return True

    def _begin_member(self, chunk: bytes) -> bool:
        """Begin with the next compressed member (RFC 1952 2.2). False: what follows is no part of the answer."""
        self._members += 1
        if self._members > MAX_MEMBERS:
            self.problem = f"the upstream's answer has more than {MAX_MEMBERS} compressed members"
        if self.problem or not chunk.startswith(GZIP_BEGINS):
            return False
        self._inflater, self._behind = zlib.decompressobj(16 + zlib.MAX_WBITS), b""
        return True

    def _keep(self, chunk: bytes) -> bool:
        room, lines = self._most - self.size, chunk.count(b"\n")
        if self._lines + lines > MAX_LINES:
            self.problem = f"the upstream's answer has more than {MAX_LINES} lines"
            chunk = chunk[: -len(chunk.split(b"\n", MAX_LINES - self._lines)[-1])]
        self._lines += lines
        kept = chunk[:room]
        self._body += kept
        self.size += len(kept)
        self._memory.used += len(kept)
        self.is_part = self.problem is None and (len(chunk) > room or self._is_short_of_memory())
        return not self.is_part and self.problem is None

    def _is_short_of_memory(self) -> bool:
        # Each answer may have a line whole, so that each makes progress.
        enough = self.size >= SMALLEST_PART_BYTES and (self._lines > 0 or self.size > MAX_LINE_BYTES)
        return enough and self._memory.used > self._memory.most

    def must_wait(self) -> bool:
        """Whether it begins with a long line, for which there is no room unless it waits for its turn."""
        is_long = not self._lines and self.size >= SMALLEST_PART_BYTES
        return is_long and not self._has_turn and self._memory.used > self._memory.most

    async def wait(self) -> None:
        """Wait until no more than a few other answers have long lines in memory."""
        await self._memory.turns.acquire()
        self._has_turn = True

    def give_back(self) -> None:
        """What it took up is not needed any more."""
        self._memory.used -= self.size
        if self._has_turn:
            self._memory.turns.release()

    def body(self) -> bytes:
        """What arrived; notes if a compressed body has no end."""
        if self._inflater is not None and not self._inflater.eof and not self.is_part:
            self.problem = self.problem or "the upstream's answer broke off (compressed)"
        body, self._body = bytes(self._body), bytearray()
        return body


def retry_after_s(headers: httpx.Headers) -> float | None:
    """What Retry-After asks for, in either of its forms (RFC 9110 10.2.3), bounded; None if it says nothing."""
    text = headers.get("retry-after", "").strip()[:MAX_DATE_CHARS]
    if text.isdecimal() and text.isascii():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
        # The upstream's own clock, if it shows it, for theirs and ours may differ.
        now = parsedate_to_datetime(headers["date"][:MAX_DATE_CHARS]) if "date" in headers else datetime.now(UTC)
        return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
    except (ValueError, TypeError, OverflowError):
        return None
