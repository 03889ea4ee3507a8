"""The upstream: asks the reports API for pages of rows, and tells what went wrong in words that are safe to log.

Whatever comes back is hostile until checked: its size, its encoding, its time and its shape have bounds. Nothing that
is raised here holds credentials, a row, or the exception of the HTTP client, whose request carries both.
"""

import asyncio
import re
import time
import weakref
import zlib
from typing import NoReturn

import httpx
import msgspec

from relay.domain.echoes import Echoes
from relay.domain.framing import has_bom, other_encoding, split_in_steps
from relay.domain.masking import cut
from relay.domain.model import ApiKeyAuth, Source, SourceAuth
from relay.domain.parsing import Message, Rejected, Row, parse_line
from relay.errors import Absent, Declined, Late, LimitRefused, Refused, Retriable
from relay.outbound.answers import MAX_ERROR_BYTES, MAX_PART_BYTES, Answer, Memory, retry_after_s
from relay.outbound.report_requests import first_url, headers_of, newest_url, rows_url, trace_url
from relay.outbound.upstream_transport import UNREACHABLE

DEADLINE_S = 60.0
"""For one request, from its first byte to the last one that is read."""
STALL_S = 20.0
"""For connecting, and for each pause of a body that has begun."""
AT_ONCE = 100
"""Requests in flight, over all sources: as many as httpx's transport has connections. Others wait before they begin."""
_MAX_MESSAGE = 160

_OBJECT, _TEXT = ord("{"), ord('"')
_LIMIT = re.compile(r"\blimit|\bmax(?:imum)?\b.*\brows?\b", re.IGNORECASE)
_RATE = re.compile(r"\brate|quota|too many requests|throttl|\bper (?:second|minute|hour|day)", re.IGNORECASE)
_PRIVATE = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w.-]++|\+?\d(?:[ ()-]{0,3}\d){5,30}")
"""Addresses and numbers of six digits or more: what a message could quote of a row."""


class Page(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """What one request brought."""

    lines: list[bytes]
    """The whole lines that are not messages, as they came, for parsing.parse_line."""
    truncated: bool = False
    """The page was cut: its lines are good, but say nothing of what would have followed (hazard H4)."""
    problem: str | None = None
    """Why it was cut, or what the upstream said besides its rows; safe to log. None: all is well, or it is a part."""
    had_bom: bool = False
    """A byte order mark was dropped before its first line."""
    asked_ms: int = 0
    """When it was asked for, in ms since 1970."""
    took_ms: int = 0
    """From the request to the last byte."""


class ReportsApi:
    """Infinity's reports API (infinity-api.md 1 to 4), for any source. One request at a time and source (H29)."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        user_agent: str = "infinity-event-relay",
        deadline_s: float = DEADLINE_S,
        stall_s: float = STALL_S,
        max_part_bytes: int = MAX_PART_BYTES,
        memory: Memory | None = None,
    ) -> None:
        """`transport` is called without httpx's client, which adds a tenth to what an empty page costs.

        `deadline_s` bounds a request, `stall_s` each pause after the first byte, `memory` all answers together.
        """
        self._transport = transport
        self._user_agent = user_agent.encode()
        self._deadline_s = deadline_s
        self._stall_s = stall_s
        self._max_part_bytes = max_part_bytes
        self._memory = memory or Memory()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def fetch(
        self,
        source: Source,
        route: str,
        *,
        after: int,
        limit: int,
        until: int | None = None,
        row_ids_only: bool = False,
        until_day: str | None = None,
    ) -> Page:
        """Ask for a route's rows with ids above `after`, and up to `until` if that is given, in ascending order.

        `until_day` is the last day of which rows are wanted; an upstream that ignores it shows those of later days too.

        With `row_ids_only` the upstream is asked to show no other column; it may show all of them nevertheless. Raises
        Refused (401, 403), LimitRefused (H7), Declined for other messages without rows (H2), and Retriable for
        everything else that brought no row: time-outs, 429, 5xx, bodies that are no NDJSON (H5). An empty page is only
        what was answered as one.
        """
        url = rows_url(
            source, route, after=after, limit=limit, until=until, row_ids_only=row_ids_only, until_day=until_day
        )
        return await self._page(source, url)

    async def newest(self, source: Source, route: str, *, until: int | None = None) -> int:
        """The highest rowId of a route (up to `until`), or 0 if it has no rows. Raises like `fetch`."""
        return await self._row_id(source, newest_url(source, route, until=until)) or 0

    async def first_since(self, source: Source, route: str, day: str) -> int | None:
        """The lowest rowId of a route's rows of a day (such as `2026-01-31`, in UTC) and later; None: there are none.

        An upstream that ignores the day shows its oldest row. Raises like `fetch`.
        """
        return await self._row_id(source, first_url(source, route, day=day))

    async def trace(self, source: Source, visitor: str, *, until: int, limit: int) -> Page:
        """The newest rows of a visitor up to a rowId, without those that were written while a call went on.

        `visitor` has only letters, digits, `-` and `_`. Raises like `fetch`: Absent when the upstream knows no such
        visitor, Late when it is too slow.
        """
        return await self._page(source, trace_url(source, visitor, until=until, limit=limit))

    async def _row_id(self, source: Source, url: str) -> int | None:
        page = await self._page(source, url)
        if not page.lines:
            return None
        line = parse_line(page.lines[0])
        if isinstance(line, Row | Rejected) and line.row_id is not None:
            return line.row_id
        raise Retriable("the only row of the answer could not be read")

    async def _page(self, source: Source, url: str) -> Page:
        answer, loop = Answer(self._memory, most_bytes=self._max_part_bytes), asyncio.get_running_loop()
        try:
            async with self._places:
                began, asked_ms = loop.time(), time.time_ns() // 1_000_000
                await self._receive(answer, url, source.auth)
                took_ms = round((loop.time() - began) * 1000)
            page = msgspec.structs.replace(await _judge(answer, source.auth), asked_ms=asked_ms, took_ms=took_ms)
        except BaseException:
            answer.give_back()
            raise
        # Its lines take up memory until it is taken in.
        weakref.finalize(page, answer.give_back).atexit = False
        return page

    async def _receive(self, answer: Answer, url: str, auth: SourceAuth) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._deadline_s
        extensions = {"timeout": {"connect": self._stall_s}}
        try:
            async with asyncio.timeout_at(ends) as limit:
                headers = {**headers_of(auth), b"user-agent": self._user_agent}
                request = httpx.Request("GET", url, headers=headers, extensions=extensions)
                response = await self._transport.handle_async_request(request)
                try:
                    if answer.begin(response):
                        await self._read(answer, response, limit, ends)
                finally:
                    await response.aclose()
        except TimeoutError:
            answer.is_late, late = True, loop.time() >= ends
            answer.problem = (
                f"the upstream's answer took more than {self._deadline_s:g} s"
                if late
                else f"the upstream sent nothing for {self._stall_s:g} s"
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol):
            answer.problem = UNREACHABLE
        except httpx.TimeoutException:
            answer.is_late = True
            answer.problem = f"the upstream sent nothing for {self._stall_s:g} s"
        except (httpx.HTTPError, httpx.StreamError, zlib.error) as error:
            # Only its name: the text of such an error can quote a header.
            answer.problem = f"the upstream's answer broke off ({type(error).__name__})"

    async def _read(self, answer: Answer, response: httpx.Response, limit: asyncio.Timeout, ends: float) -> None:
        """Read the body. A report may take long to make; once it has begun, each pause is bounded by `limit`."""
        loop = asyncio.get_running_loop()
        async for chunk in response.aiter_raw():
            limit.reschedule(min(ends, loop.time() + self._stall_s))
            if not answer.take(chunk):
                break
            if answer.must_wait():
                limit.reschedule(ends)
                await answer.wait()
                limit.reschedule(min(ends, loop.time() + self._stall_s))


async def _judge(answer: Answer, auth: SourceAuth) -> Page:
    """Tell a page from a refusal; raises as ReportsApi.fetch says. Other tasks get their turn in between."""
    body = answer.body()
    if answer.status == 200 and (encoding := other_encoding(body)) is not None:
        # Asking again does not correct that, but shows when somebody has corrected it.
        raise Retriable(
            f"the upstream's answer is in {encoding}, and the relay reads UTF-8 only, as JSON must be: check the "
            "source's baseUrl, and each proxy on the way"
        )
    lines, truncated = await _split(body)
    rows, messages = _sort_out(lines)
    said = _safe("; ".join(messages), auth) or None
    if answer.status != 200:
        _refuse(answer, said)
    if rows and (rows[0][:1] in (b"<", b"[") or all(line[0] != _OBJECT for line in rows)):
        raise Retriable("the upstream's answer is not in the format that was asked for: one JSON object a line")
    if truncated and answer.problem is None and not answer.is_part:
        answer.problem = "the upstream's answer broke off"
    problem = answer.problem or said
    if (problem or answer.is_part) and not rows:
        answer.problem = problem or "the upstream's answer has no whole line in its first part"
        _refuse(answer, said)
    truncated = problem is not None or answer.is_part
    return Page(lines=rows, truncated=truncated, problem=problem, had_bom=has_bom(body))


async def _split(body: bytes) -> tuple[list[bytes], bool]:
    steps = split_in_steps(body)
    while True:
        await asyncio.sleep(0)
        try:
            next(steps)
        except StopIteration as ended:
            found: tuple[list[bytes], bool] = ended.value
            return found


def _sort_out(lines: list[bytes]) -> tuple[list[bytes], list[str]]:
    """The rows, good or broken, and the texts of the messages."""
    if all(line[0] == _OBJECT for line in lines):
        return lines, []
    rows: list[bytes] = []
    messages: list[str] = []
    for line in lines:
        parsed = parse_line(line) if line[0] == _TEXT else None
        if isinstance(parsed, Message):
            messages.append(parsed.text)
        else:
            rows.append(line)
    return rows, messages


def _refuse(answer: Answer, said: str | None) -> NoReturn:
    """Raise what an answer without rows deserves."""
    status = answer.status
    if status in (401, 403):
        raise Refused(f"the upstream refuses the credentials ({status})" + (f": {said}" if said else ""))
    if said and status in (200, 400, 413, 422) and _LIMIT.search(said) and not _RATE.search(said):
        raise LimitRefused(f"the upstream refuses the limit ({status}): {said}")
    if 300 <= status < 400:
        raise Retriable(f"the upstream redirects ({status}), which is not followed: check the source's base URL")
    if status in (404, 410):
        raise Absent(_words(answer, said), retry_after_s=retry_after_s(answer.headers))
    if answer.is_late and said is None:
        raise Late(_words(answer, said))
    declined = said is not None and status in (200, 400, 422) and not _RATE.search(said)
    raise (Declined if declined else Retriable)(_words(answer, said), retry_after_s=retry_after_s(answer.headers))


def _words(answer: Answer, said: str | None) -> str:
    if answer.status == 0:
        return answer.problem or "the upstream did not answer"
    told = said or answer.problem
    return f"the upstream answered {answer.status}" + (f": {told}" if told else "")


def _secrets(auth: SourceAuth) -> list[str]:
    if isinstance(auth, ApiKeyAuth):
        return [auth.key]
    return [auth.password, f"{auth.username}:{auth.password}"]


def _safe(text: str, auth: SourceAuth) -> str:
    """A message of the upstream without what it must not tell: credentials, addresses, long numbers, its own length."""
    text = text[:MAX_ERROR_BYTES]
    for secret in (auth.key,) if isinstance(auth, ApiKeyAuth) else (auth.password, auth.username):
        text = text.replace(secret, "…") if secret else text
    text = Echoes(_secrets(auth)).hide(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    text = cut(text)
    printable = "".join(letter if letter.isprintable() else " " for letter in _PRIVATE.sub("…", text))
    words = " ".join(printable.split())
    return words if len(words) <= _MAX_MESSAGE else words[:_MAX_MESSAGE] + "…"
