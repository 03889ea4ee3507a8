"""Whether the clocks of this machine, of Redis and of the upstream agree."""

from email.utils import parsedate_to_datetime

import httpx

from relay.cli.diagnosing import Finding, Well, Wrong
from relay.domain.server_time import OFF_AFTER_MS
from relay.pipeline.clock import OFF_DO

DATE_OFF_MS = 30_000
"""A Date header has whole seconds, and a proxy may keep an answer for a while: only more than this is reported."""


def redis_clock(server_ms: int, before_ms: int, after_ms: int) -> Finding:
    """Compare the clock of the Redis server with that of this machine, read before and after the request."""
    middle = (before_ms + after_ms) // 2
    off_ms = middle - server_ms
    if abs(off_ms) - (after_ms - before_ms) / 2 <= OFF_AFTER_MS:
        return Well(area="clock", text=f"this machine and Redis differ by {abs(off_ms)} ms")
    ahead = "ahead of" if off_ms > 0 else "behind"
    text = f"the clock of this machine is {abs(off_ms) / 1000:g} s {ahead} that of Redis"
    return Wrong(area="clock", state="failed", text=text, do=OFF_DO)


def upstream_clock(host: str, date: str, now_ms: int) -> Finding | None:
    """Compare a Date header with the clock of this machine; None: they agree, or the header cannot be read."""
    try:
        off_ms = now_ms - round(parsedate_to_datetime(date).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    if abs(off_ms) <= DATE_OFF_MS:
        return None
    ahead = "ahead of" if off_ms > 0 else "behind"
    text = f"the clock of this machine is {abs(off_ms) / 1000:.0f} s {ahead} that of {host}, by its Date header"
    do = (
        "synchronise the clock of this machine (chrony, systemd-timesyncd): receivers refuse callbacks with a wrong "
        f"time. If it is right, the clock of {host}, or of a proxy before it, is wrong, and so may be the lag of its "
        "routes"
    )
    return Wrong(area="clock", state="warning", text=text, do=do)


class Dated(httpx.AsyncBaseTransport):
    """Sends requests through another transport, and keeps the Date header of each host."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.dates: dict[str, str] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send once."""
        response = await self._inner.handle_async_request(request)
        if date := response.headers.get("date"):
            self.dates[request.url.host] = date
        return response

    async def aclose(self) -> None:
        """Close the other transport."""
        await self._inner.aclose()
