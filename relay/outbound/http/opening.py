"""Opens connections: TCP or a tunnel, TLS, and what it means when one of them fails."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from time import perf_counter

from relay.domain.addresses import Address
from relay.domain.model import ClientCertificate
from relay.domain.outcomes import Failure
from relay.outbound.failures import LATE_TO_CONNECT, NO_CONNECTION, NO_SOCKETS, NO_TLS, SHORTAGES, EgressError
from relay.outbound.http.connection import Connection
from relay.outbound.http.dialling import STAGGER_S, connect
from relay.outbound.http.proxy import NO_PROXY, ForwardProxy, open_tunnel
from relay.outbound.http.timings import Timings
from relay.outbound.http.tls import Contexts, ResumingContext
from relay.outbound.resolver import LookupFailed, Resolver
from relay.outbound.targets import Target

UNFIT_IDENTITY = "the endpoint's client certificate cannot be used"


class Opener:
    """Opens a connection to a vetted address, or through the forward proxy where `addresses` is None.

    Nobody judges the proxy's own addresses: the operator chose it.
    """

    def __init__(
        self,
        contexts: Contexts,
        resolver: Resolver,
        *,
        timeout_s: float,
        stagger_s: float = STAGGER_S,
        proxy: ForwardProxy | None = None,
    ) -> None:
        self._contexts = contexts
        self._timeout_s = timeout_s
        self._stagger_s = stagger_s
        self._proxy = proxy
        self._resolver = resolver

    async def open(
        self,
        connection: Connection,
        target: Target,
        addresses: Sequence[Address] | None,
        identity: ClientCertificate | None,
        ends_at: float,
    ) -> None:
        """Open a connection, which sends its first request at once. Raises EgressError."""
        context = await self._context(identity, ends_at) if target.is_tls else None
        began, late = perf_counter(), Failure.TIMEOUT
        until = min(ends_at, asyncio.get_running_loop().time() + self._timeout_s)
        try:
            async with asyncio.timeout_at(until):
                if addresses is None:
                    late = Failure.PROXY
                    connected = await self._reach_proxy()
                    late = Failure.TIMEOUT
                    await self._go_through(connection, target, context, connected, began)
                else:
                    connected, connection.address = await connect(addresses, target.port, stagger_s=self._stagger_s)
                    connection.connect_s = perf_counter() - began
                    await _go_ahead(connection, target, context, connected)
        except TimeoutError:
            raise EgressError(late, LATE_TO_CONNECT, timings=Timings(perf_counter() - began)) from None

    async def _context(self, identity: ClientCertificate | None, ends_at: float) -> ResumingContext:
        try:
            async with asyncio.timeout_at(ends_at):
                return await self._contexts.context(identity)
        except TimeoutError:
            raise EgressError(Failure.TIMEOUT, LATE_TO_CONNECT) from None
        except (ValueError, OSError) as error:
            if identity is None or (isinstance(error, OSError) and error.errno in SHORTAGES):
                raise EgressError(Failure.LOCAL, "no TLS context could be made") from None
            raise EgressError(Failure.UNFIT, UNFIT_IDENTITY) from None

    async def _reach_proxy(self) -> socket.socket:
        assert self._proxy is not None  # noqa: S101 - only then are there no addresses
        try:
            addresses = await self._proxy_addresses(self._proxy.host)
            connected, _ = await connect(addresses, self._proxy.port, stagger_s=self._stagger_s)
        except LookupFailed:
            raise EgressError(Failure.PROXY, NO_PROXY) from None
        except EgressError as error:
            if error.failure is Failure.LOCAL:
                raise
            raise EgressError(Failure.PROXY, NO_PROXY) from None
        return connected

    async def _proxy_addresses(self, host: str) -> Sequence[Address]:
        try:
            return (ip_address(host),)
        except ValueError:
            return (await self._resolver.resolve(host)).addresses

    async def _go_through(
        self,
        connection: Connection,
        target: Target,
        context: ResumingContext | None,
        connected: socket.socket,
        began: float,
    ) -> None:
        assert self._proxy is not None and context is not None  # noqa: S101, PT018 - only https goes through it
        outer = await self._contexts.context() if self._proxy.is_tls else None
        tunnel = await open_tunnel(self._proxy, connected, outer, target.host, target.port)
        connection.connect_s = perf_counter() - began
        connection.expect_tls(context, target.host)
        try:
            transport = await asyncio.get_running_loop().start_tls(
                tunnel, connection, context, server_hostname=target.host
            )
            if transport is None:
                raise OSError
        except BaseException as error:
            tunnel.abort()
            if isinstance(error, (OSError, ValueError)) and not isinstance(error, TimeoutError):
                raise EgressError(Failure.TLS, NO_TLS) from None
            raise
        connection.connection_made(transport)


async def _go_ahead(
    connection: Connection, target: Target, context: ResumingContext | None, connected: socket.socket
) -> None:
    """Make a connection of a socket, with TLS if there is a context."""
    name = target.host if context else None
    if context is not None:
        connection.expect_tls(context, target.host)
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: connection, sock=connected, ssl=context, server_hostname=name
        )
    except (OSError, ValueError) as error:
        connected.close()
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            raise EgressError(Failure.LOCAL, NO_SOCKETS) from None
        if context is None:
            raise EgressError(Failure.CONNECT, NO_CONNECTION) from None
        raise EgressError(Failure.TLS, NO_TLS, timings=Timings(connection.connect_s)) from None
