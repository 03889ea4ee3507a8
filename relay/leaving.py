"""How a process that was told to end leaves: it says so, serves on for a while, and is cut off at the end."""

import os
import threading
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

log = structlog.get_logger()


class Leaving:
    """Whether a process was told to end. From then on it is not ready, and serves on for a while."""

    def __init__(self, wait_s: float = 0.0) -> None:
        """`wait_s`: seconds that it serves on, so that proxies can notice that it is not ready."""
        self.wait_s = wait_s
        self._ends_at: float | None = None

    def tell(self) -> None:
        """Tell it to end. To be told again changes nothing."""
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self.wait_s
            if self.wait_s:
                log.info("api_leaving", serves_on_s=self.wait_s)

    def is_told(self) -> bool:
        """Whether it was told to end."""
        return self._ends_at is not None

    def is_over(self) -> bool:
        """Whether it has served on for long enough."""
        return self._ends_at is not None and time.monotonic() >= self._ends_at


class Farewell:
    """Says in every answer of a process that leaves that its connection ends, so that its client opens another one.

    Otherwise a client may send its next request just when the process closes the connection, and gets no answer.
    """

    def __init__(self, app: Any, leaving: Leaving) -> None:
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""

        async def sends(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and self._leaving.is_told():
                headers = [each for each in message.get("headers", ()) if each[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, sends if scope["type"] == "http" else send)


def cut_off_after(seconds: float, code: int) -> None:
    """End this process with `code` after some seconds if it is still there, whatever it waits for.

    What it still waits for at its end can be left at any point, as in a crash: a server that does not answer, or a
    thread that looks up a name.
    """
    timer = threading.Timer(seconds, _cut_off, (seconds, code))
    timer.daemon = True
    timer.start()


def _cut_off(seconds: float, code: int) -> None:
    log.warning("end_cut_off", after_s=seconds)
    os._exit(code)
