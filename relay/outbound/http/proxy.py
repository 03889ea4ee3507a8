"""Tunnels through a forward proxy (CONNECT), and whose fault it is when there is none."""

import asyncio
import base64
import socket
import ssl
from typing import cast
from urllib.parse import unquote, urlsplit

from relay.domain.outcomes import Failure
from relay.outbound.failures import EgressError
from relay.outbound.http.answer import AnswerFault, AnswerReader

UNREACHED = frozenset({502, 503, 504})
"""By these a proxy says that it took the request and could not reach the receiver."""

CHUNK_BYTES = 4096
NO_PROXY = "the forward proxy did not take the request"
NO_RECEIVER = "the forward proxy could not reach the endpoint"


class ForwardProxy:
    """The operator's proxy, from its URL: `http://user:password@proxy:3128`, or https for TLS to the proxy itself."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.is_tls = parts.scheme == "https"
        self.port = parts.port or (443 if self.is_tls else 80)
        self._authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._authorization = f"proxy-authorization: Basic {base64.b64encode(pair).decode()}\r\n"

    def request(self, host: str, port: int) -> bytes:
        """What asks for a tunnel."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{self._authorization}\r\n".encode("ascii")


async def open_tunnel(
    proxy: ForwardProxy, connected: socket.socket, context: ssl.SSLContext | None, host: str, port: int
) -> asyncio.Transport:
    """Ask for a tunnel on a socket that is connected to the proxy. Raises EgressError."""
    tunnel = _Tunnel(proxy.request(host, port))
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: tunnel, sock=connected, ssl=context, server_hostname=proxy.host if context else None
        )
    except OSError:
        connected.close()
        raise EgressError(Failure.PROXY, NO_PROXY) from None
    try:
        status = await tunnel.status
        if status in UNREACHED:
            raise EgressError(Failure.CONNECT, NO_RECEIVER)
        if not 200 <= status < 300:
            raise EgressError(Failure.PROXY, NO_PROXY)
    except BaseException:
        transport.abort()
        raise
    return transport


class _Tunnel(asyncio.Protocol):
    """Sends a CONNECT; `status` is the proxy's answer."""

    def __init__(self, request: bytes) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request = request
        self._reader = AnswerReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except AnswerFault:
            self._fail()
            return
        status = self._reader.status
        # What follows a 2xx would be the receiver's, and in TLS it does not speak first.
        if 200 <= status < 300 and self._reader.size:
            self._fail()
        elif status and not self.status.done():
            self.status.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()

    def _fail(self) -> None:
        if not self.status.done():
            self.status.set_exception(EgressError(Failure.PROXY, NO_PROXY))
            # It is of no interest to somebody who has given up.
            self.status.exception()
