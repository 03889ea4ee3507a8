"""The transport of every callback and every token request: it dials vetted addresses and nothing else."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from relay.domain.addresses import Address, EgressPolicy
from relay.domain.counts import ConnectionCounts
from relay.domain.outcomes import Failure
from relay.errors import Invalid
from relay.outbound.failures import NO_SOCKETS, EgressError
from relay.outbound.http.answer import BODY_CAP_BYTES
from relay.outbound.http.connection import Connection, StaleConnection
from relay.outbound.http.dialling import STAGGER_S
from relay.outbound.http.messages import WireRequest, WireResponse
from relay.outbound.http.opening import Opener
from relay.outbound.http.pool import IDLE_S, MOST_IDLE, Pool
from relay.outbound.http.proxy import ForwardProxy
from relay.outbound.http.request import WRITTEN_HERE, Preamble, encode_head
from relay.outbound.http.tls import Contexts
from relay.outbound.resolver import LookupFailed, Resolver
from relay.outbound.targets import vet_url
from relay.outbound.vetting import AddressRefused, Vetted, Vetting

READ_CAP_BYTES = BODY_CAP_BYTES
"""How much of a body is read. The rest is not drained: the connection is closed."""

DEADLINE_S = 20.0

REFUSED = "this address is not allowed"
"""One text for every forbidden address, so that it tells nothing of what is there."""

BY_PROXY = (None,)
"""Where a connection through the forward proxy leads: nobody here knows."""


@dataclass(frozen=True, kw_only=True)
class EgressOptions:
    """How connections are made and kept. `roots` are certificates (PEM) to trust besides the public ones."""

    connect_timeout_s: float = 5.0
    stagger_s: float = STAGGER_S
    idle_s: float = IDLE_S
    most_idle: int = MOST_IDLE
    most_open: int | None = None
    """None: what the limit of open files leaves."""
    roots: tuple[bytes, ...] = ()


class Egress(httpx.AsyncBaseTransport):
    """Request in, response out; the response's stream ends at READ_CAP_BYTES, or where the request says.

    A WireRequest brings its vetted target and its deadline; any other request is vetted here, and may carry
    `deadline_s` in its extensions. Raises EgressError, and nothing else but cancellation. An attempt that is cancelled
    or overdue is off the wire at once.

    `proxy` is the URL of a forward proxy for https. It then looks names up and has to guard them; what only the
    policy's `allow` permits is dialled directly.
    """

    def __init__(
        self,
        *,
        policy: EgressPolicy,
        resolver: Resolver,
        options: EgressOptions | None = None,
        proxy: str | None = None,
    ) -> None:
        options = options or EgressOptions()
        self.connections = ConnectionCounts()
        self._policy = policy
        self._resolver = resolver
        self._has_proxy = proxy is not None
        self._vetting = Vetting(resolver, policy)
        self._contexts = Contexts(options.roots)
        self._pool = Pool(most_open=options.most_open, most_idle=options.most_idle, idle_s=options.idle_s)
        self._opener = Opener(
            self._contexts,
            resolver,
            timeout_s=options.connect_timeout_s,
            stagger_s=options.stagger_s,
            proxy=ForwardProxy(proxy) if proxy else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send once. See the class for errors."""
        wire = request if isinstance(request, WireRequest) else await self._vet(request)
        target, now = wire.target, asyncio.get_running_loop().time()
        ends_at = now + wire.deadline_s
        vetted: Vetted | None = None
        if self._has_proxy and not target.listed_only:
            addresses: Sequence[Address] | None = None
        elif target.address is not None:
            addresses = (target.address,)
        else:
            vetted = self._vetting.peek(target.host, now) or await self._look_up(target.host, ends_at)
            if target.listed_only and not vetted.listed:
                raise EgressError(Failure.REFUSED_ADDRESS, REFUSED)
            addresses = vetted.addresses
        head, body = _head(wire), wire.body
        origin = (target.key, wire.identity)
        kept = self._pool.take(origin, BY_PROXY if addresses is None else addresses)
        if kept is not None:
            self.connections.reused += 1
            waiter = kept.begin(head, body, ends_at, wire.kept_bytes)
            try:
                return WireResponse(await waiter)
            except StaleConnection:
                pass  # Nothing of an answer came, and the receiver's machine did not take the request.
            except BaseException:
                kept.give_up(waiter)
                raise
        connection = Connection(self._pool, origin)
        waiter = connection.begin(head, body, ends_at, wire.kept_bytes)
        try:
            await self._open(connection, wire, addresses, ends_at)
            self.connections.opened += 1
            if vetted is not None and connection.address is not None:
                self._vetting.prefer(target.host, vetted, connection.address)
            return WireResponse(await waiter)
        except BaseException:
            connection.give_up(waiter)
            raise

    async def aclose(self) -> None:
        """Close idle connections. What is in flight may end; the resolver is the caller's to close."""
        self._pool.close()
        # Transports close their sockets in the loop's next turn.
        await asyncio.sleep(0)

    async def _vet(self, request: httpx.Request) -> WireRequest:
        try:
            target = vet_url(str(request.url), self._policy)
        except Invalid as error:
            raise EgressError(Failure.REFUSED_ADDRESS, error.faults[0].message) from None
        return WireRequest(
            request.method,
            target,
            headers=[(k, v) for k, v in request.headers.multi_items() if k not in WRITTEN_HERE],
            body=await request.aread(),
            deadline_s=request.extensions.get("deadline_s", DEADLINE_S),
        )

    async def _look_up(self, host: str, ends_at: float) -> Vetted:
        try:
            async with asyncio.timeout_at(ends_at):
                return await self._vetting.vet(host)
        except LookupFailed as error:
            raise EgressError(Failure.RESOLVER if error.ours else Failure.DNS, str(error)) from None
        except AddressRefused:
            raise EgressError(Failure.REFUSED_ADDRESS, REFUSED) from None
        except TimeoutError:
            kind = Failure.RESOLVER if self._resolver.are_down() else Failure.TIMEOUT
            raise EgressError(kind, "its name could not be looked up in time") from None

    async def _open(
        self, connection: Connection, wire: WireRequest, addresses: Sequence[Address] | None, ends_at: float
    ) -> None:
        """Open a connection; where this machine is short of sockets, idle ones make room for it."""
        try:
            if not self._pool.make_room(connection):
                raise EgressError(Failure.LOCAL, NO_SOCKETS)
            try:
                await self._opener.open(connection, wire.target, addresses, wire.identity, ends_at)
            except EgressError as error:
                if error.failure is not Failure.LOCAL or not self._pool.close_idle(SPARED):
                    raise
                await asyncio.sleep(0)
                await self._opener.open(connection, wire.target, addresses, wire.identity, ends_at)
        except BaseException:
            connection.abort()
            self._pool.forget(connection)
            raise


SPARED = 16
"""How many idle connections are closed when the system has no socket left."""


def _head(wire: WireRequest) -> bytes:
    try:
        if wire.preamble is not None:
            return encode_head(wire.preamble, wire.own_headers, len(wire.body))
        preamble = Preamble(wire.method, wire.target.path, wire.target.authority, wire.own_headers)
        return encode_head(preamble, (), len(wire.body))
    except ValueError:
        raise EgressError(Failure.UNFIT, "the request could not be made: check the endpoint's headers") from None
