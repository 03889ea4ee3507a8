"""The transport of requests to the upstream: the `baseUrl` of a source is hostile text, so its addresses are judged."""

import socket
import ssl
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from relay.domain.addresses import Address, Denied, EgressPolicy
from relay.errors import Invalid
from relay.outbound.resolver import LookupFailed, Resolver
from relay.outbound.targets import Target, vet_url

UNREACHABLE = (
    "the upstream can't be reached at the source's baseUrl. It must be https at a public address, or lead into a "
    "network of RELAY_UPSTREAM_ALLOW"
)
"""One text for every refusal and every failure to connect, so that it tells nothing of what is there."""
ADDRESSES_TRIED = 2
RECEIVE_BYTES = 128 << 10
"""Of a connection, in the kernel. It allows 2 MB/s at 60 ms to the upstream and back."""
MOST_REMEMBERED = 10_000


class UpstreamTransport(httpx.AsyncHTTPTransport):
    """Dials what the policy allows and nothing else. Raises httpx.ConnectError with UNREACHABLE for the rest."""

    def __init__(self, *, policy: EgressPolicy, resolver: Resolver) -> None:
        # The event loop takes in at once what is there, which can be 8 MB, and frees what nobody wanted much later.
        super().__init__(
            verify=_trust(), trust_env=False, socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)]
        )
        self._policy = policy
        self._targets: dict[tuple[bytes, bytes, bytes], Target | None] = {}
        self._guard = _Guard(self._pool._network_backend, policy, resolver)
        # httpx hands no network backend on to the pool that it makes.
        self._pool._network_backend = self._guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send once."""
        target = self._vetted(request.url)
        if target is None:
            raise httpx.ConnectError(UNREACHABLE)
        self._guard.expect(target.host, target.port, listed_only=target.listed_only)
        return await super().handle_async_request(request)

    def _vetted(self, url: httpx.URL) -> Target | None:
        """What a URL leads to; None: nothing may be sent there. Each origin is judged once."""
        origin = url.raw_scheme, url.userinfo, url.netloc
        if origin not in self._targets:
            if len(self._targets) >= MOST_REMEMBERED:
                del self._targets[next(iter(self._targets))]
            try:
                self._targets[origin] = vet_url(str(url.copy_with(path="/", query=None)), self._policy)
            except Invalid:
                self._targets[origin] = None
        return self._targets[origin]


@cache
def _trust() -> ssl.SSLContext:
    """The certificates of the public authorities. Reading them takes 40 ms, and a process has several transports."""
    return httpx.create_ssl_context(trust_env=False)


class _Guard(httpcore.AsyncNetworkBackend):
    """Looks names up, judges every address, and connects to one of those that it has judged."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, policy: EgressPolicy, resolver: Resolver) -> None:
        self._backend = backend
        self._policy = policy
        self._resolver = resolver
        self._listed_only: dict[tuple[str, int], None] = {}

    def expect(self, host: str, port: int, *, listed_only: bool) -> None:
        """Note that a host may be dialled in the operator's own networks only, as plain http may."""
        if listed_only:
            self._listed_only[host, port] = None
            if len(self._listed_only) > MOST_REMEMBERED:
                del self._listed_only[next(iter(self._listed_only))]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the host's addresses. Raises httpcore.ConnectError."""
        for address in (await self._judged(host.strip("[]"), port))[:ADDRESSES_TRIED]:
            try:
                return await self._backend.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise httpcore.ConnectError(UNREACHABLE)

    async def _judged(self, host: str, port: int) -> tuple[Address, ...]:
        try:
            addresses: tuple[Address, ...] = (ip_address(host),)
        except ValueError:
            try:
                addresses = (await self._resolver.resolve(host)).addresses
            except LookupFailed:
                raise httpcore.ConnectError(UNREACHABLE) from None
        listed_only = (host, port) in self._listed_only
        for address in addresses:
            verdict = self._policy.judge(address)
            if isinstance(verdict, Denied) or (listed_only and not verdict.listed):
                raise httpcore.ConnectError(UNREACHABLE)
        return addresses

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Never: an upstream is no file."""
        raise httpcore.ConnectError(UNREACHABLE)

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries."""
        await self._backend.sleep(seconds)
