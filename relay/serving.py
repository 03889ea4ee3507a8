"""Serving HTTP for every command that listens: it reports a taken port at once, and slow clients delay nobody."""

import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from relay.bounded_clients import BoundedProtocol, ClientLimits, Unambiguous
from relay.errors import CannotListen
from relay.leaving import Farewell, Leaving, cut_off_after

PORTS = range(65_536)
DRAIN_S = 10
"""How long requests that are being answered may hold up the end."""
LAST_WORDS_S = 3.0
"""For closing connections to servers, after the last request."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A process that does more than to serve handles signals itself."""
        yield


def open_port(host: str, port: int, *, setting: str) -> socket.socket:
    """Take a port; 0: any free one. Raises CannotListen, which names the setting."""
    if port not in PORTS:  # The resolver of names would take it modulo 65536.
        raise CannotListen(f"port {port} can't be used: set {setting} to a port from 0 to {PORTS[-1]}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio answers at once, without waiting for acknowledgements, where a socket says that it is TCP.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CannotListen(f"port {port} of {host} can't be used: {reason}. Set {setting} to a free one") from None
    return listener


class _LeavingServer(uvicorn.Server):
    """Serves on for a while after the first signal. A second one ends it at once."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving) -> None:
        super().__init__(config)
        self._leaving = leaving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """It was told to end."""
        if self.started and not self._leaving.is_told():
            self._leaving.tell()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        self.should_exit = self.should_exit or self._leaving.is_over()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, and end what is under way."""
        cut_off_after(DRAIN_S + LAST_WORDS_S, 0)
        await super().shutdown(sockets)


def server(app: Any, *, lifespan: bool, limits: ClientLimits) -> uvicorn.Server:
    """A server for an ASGI application in a process that does more. It serves on sockets that are handed to it."""
    return _Server(_config(app, lifespan=lifespan, limits=limits))


def _config(app: Any, *, lifespan: bool, limits: ClientLimits) -> uvicorn.Config:
    return uvicorn.Config(
        Unambiguous(app),
        http=type("Protocol", (BoundedProtocol,), {"limits": limits}),
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_keep_alive=limits.idle_s,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        # The API reads X-Forwarded-For itself, and believes only RELAY_TRUSTED_PROXIES.
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
        lifespan="on" if lifespan else "off",
    )


async def listen(app: Any, listener: socket.socket, *, leaving: Leaving | None = None, lifespan: bool = True) -> int:
    """Serve `app` until SIGINT or SIGTERM and return 0; 1 if it cannot start, after the reason was logged.

    `leaving` learns that a signal came, and says how long to serve on.
    """
    # uvicorn puts these back when it is done: without them, a signal that comes then would kill the process.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    leaving = leaving or Leaving()
    serves = _LeavingServer(_config(Farewell(app, leaving), lifespan=lifespan, limits=ClientLimits()), leaving)
    with contextlib.suppress(SystemExit):
        await serves.serve([listener])
    return 0 if serves.started else 1


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
