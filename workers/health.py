"""The worker's health over HTTP: `/health/live` and `/health/ready`, for Kubernetes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from relay.bounded_clients import ClientLimits
from relay.serving import open_port, server

LIMITS = ClientLimits(head_s=5.0, body_s=5.0, read_s=5.0, connections=100, head_bytes=16_384)
"""Probes and scrapers ask in one packet."""
App = Callable[..., Awaitable[None]]
"""An ASGI application."""
Ready = Callable[[], Awaitable[str | None]]
"""Why the worker can't work now; None: it can."""
Notes = Callable[[], list[str]]
"""What an operator should know although the worker works."""
Send = Callable[[dict[str, Any]], Awaitable[None]]
HEADERS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
"""Of every answer, as the API's have them."""


class Health:
    """Live: the event loop turns and every task that must run does. Ready: the worker can work with Redis too.

    A Redis that is away never makes a worker count as dead: it would be killed for what it must outlive. A worker that
    was told to end is alive until it has ended, and not ready.
    """

    def __init__(
        self, *, alive: Callable[[], bool], ready: Ready, notes: Notes = list, ends: Callable[[], bool] = bool
    ) -> None:
        """`notes` are added to the answer that the worker is ready, a line each. `ends`: it was told to end."""
        self._alive = alive
        self._ready = ready
        self._notes = notes
        self._ends = ends

    async def __call__(self, scope: dict[str, Any], _receive: object, send: Send) -> None:
        """Answer one request (ASGI)."""
        path = scope.get("path")
        if path == "/health/live":
            await _answer(send, ok=self._ends() or self._alive())
        elif path == "/health/ready":
            reason = await self._reason()
            await _answer(send, ok=reason is None, text=reason or "\n".join(["ok", *self._notes()]))
        else:
            await _answer(send, ok=False, status=404, text="not found: /health/live and /health/ready are here")

    async def _reason(self) -> str | None:
        """Why the worker can't take on work now; None: it can."""
        if self._ends():
            return "the worker is ending"
        return await self._ready() if self._alive() else "a task of the worker has ended"


def health_port(host: str, port: int) -> socket.socket:
    """Take the port of the health server. Raises CannotListen."""
    return open_port(host, port, setting="RELAY_WORKER_PORT")


async def serve_health(app: App, listener: socket.socket) -> None:
    """Serve until cancelled."""
    serves = server(app, lifespan=False, limits=LIMITS)
    try:
        await serves.serve([listener])
    except asyncio.CancelledError:
        serves.should_exit = True
        raise


async def _answer(send: Send, *, ok: bool, status: int | None = None, text: str | None = None) -> None:
    body = (text or ("ok" if ok else "unavailable")).encode()
    headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status or (200 if ok else 503), "headers": headers})
    await send({"type": "http.response.body", "body": body})
