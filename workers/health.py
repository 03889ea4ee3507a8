"""The worker's health over HTTP: `/health/live` and `/health/ready`, for Kubernetes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

Ready = Callable[[], Awaitable[str | None]]
"""Why the worker can't work now; None: it can."""
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

    A Redis that is away never makes a worker count as dead: it would be killed for what it must outlive.
    """

    def __init__(self, *, alive: Callable[[], bool], ready: Ready) -> None:
        self._alive = alive
        self._ready = ready

    async def __call__(self, scope: dict[str, Any], _receive: object, send: Send) -> None:
        """Answer one request (ASGI)."""
        path = scope.get("path")
        if path == "/health/live":
            await _answer(send, ok=self._alive())
        elif path == "/health/ready":
            reason = await self._ready() if self._alive() else "a task of the worker has ended"
            await _answer(send, ok=reason is None, text=reason)
        else:
            await _answer(send, ok=False, status=404, text="not found: /health/live and /health/ready are here")


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The worker handles signals itself: what is in flight comes first."""
        yield


async def serve_health(app: Health, *, host: str, port: int) -> None:
    """Serve until cancelled. Raises OSError when the port is taken."""
    server = _Server(uvicorn.Config(app, host=host, port=port, log_config=None, lifespan="off", ws="none"))
    try:
        await server.serve()
    except SystemExit:
        raise OSError(f"RELAY_WORKER_PORT {port} is taken") from None
    except asyncio.CancelledError:
        server.should_exit = True
        raise


async def _answer(send: Send, *, ok: bool, status: int | None = None, text: str | None = None) -> None:
    body = (text or ("ok" if ok else "unavailable")).encode()
    headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status or (200 if ok else 503), "headers": headers})
    await send({"type": "http.response.body", "body": body})
