"""The transport of every callback and every token request: it dials vetted addresses and nothing else."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from relay.domain.addresses import Address, EgressPolicy
from relay.domain.model import ClientCertificate
from relay.domain.outcomes import Failure
from relay.errors import Invalid
from relay.outbound.clients import ClientOptions, Fleet, Pin, build_client
from relay.outbound.failures import EgressError, translate
from relay.outbound.pinning import AddressRefused, Pins
from relay.outbound.resolver import LookupFailed, Resolver
from relay.outbound.targets import Target, vet_url
from relay.outbound.wire import WireRequest, WireResponse

READ_CAP_BYTES = 16_384
"""How much of a body is read. The rest is not drained: the connection is dropped."""

DEADLINE_S = 20.0

MAX_IDENTITIES = 256
"""Clients of endpoints with a certificate of their own; with more, the least recently used go first."""

ADDRESSES_TRIED = 2
"""How many of a name's addresses one attempt dials at most, while no connection comes about."""

REFUSED = "this address is not allowed"
"""One text for every forbidden address, so that it tells nothing of what is there."""

LEAVING_S = 0.01
"""Time for the client's own thread to leave the interpreter: found inside when that ends, it aborts the process."""

_WRITTEN_BY_CLIENT = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that come from the URL and the body."""

_BODILESS = frozenset({204, 304})


class Egress(httpx.AsyncBaseTransport):
    """Request in, response out; the response's stream ends at READ_CAP_BYTES.

    A WireRequest brings its vetted target and its deadline; any other request is vetted here, and may carry
    `deadline_s` in its extensions. Raises EgressError, and nothing else but cancellation, which returns at once and
    leaves what is on the wire to end by its deadline: pyreqwest does not abort it.

    `proxy` is the URL of a forward proxy for https. It then looks names up and has to guard them; what only the
    policy's `allow` permits is dialled directly.
    """

    def __init__(
        self,
        *,
        policy: EgressPolicy,
        resolver: Resolver,
        options: ClientOptions | None = None,
        proxy: str | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._options = options or ClientOptions()
        self._proxy = proxy
        self._pins = Pins(resolver, policy)
        self._fleet = Fleet(lambda pins: build_client(self._options, pins=pins))
        self._literals: Client | None = None
        self._proxied: Client | None = None
        self._identities: OrderedDict[tuple[ClientCertificate, str], tuple[Address | None, Client]] = OrderedDict()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send once. See the class for errors."""
        wire = request if isinstance(request, WireRequest) else await self._vet(request)
        clock = asyncio.get_running_loop().time
        ends_at = clock() + wire.deadline_s
        pin = self._pins.peek(wire.target.host, clock()) or await self._pin(wire.target, ends_at)
        if pin is not None and wire.target.listed_only and not pin.listed:
            raise EgressError(Failure.REFUSED_ADDRESS, REFUSED)
        for tries_left in reversed(range(ADDRESSES_TRIED)):
            client = pin.client if pin is not None and wire.identity is None else None
            try:
                return await _exchange(client or await self._client(wire, pin, ends_at), wire, ends_at - clock())
            except EgressError as error:
                # Where nothing was sent, the name's next address is as good.
                pin = self._pins.move_on(pin) if pin and error.unsent else None
                if pin is None or not tries_left or clock() >= ends_at:
                    raise
        raise AssertionError("the last try returns or raises")

    async def aclose(self) -> None:
        """Let go of every client. What is in flight may end; the resolver is the caller's to close."""
        await self._fleet.close()
        self._literals = self._proxied = None
        self._identities.clear()
        await asyncio.sleep(LEAVING_S)

    async def _vet(self, request: httpx.Request) -> WireRequest:
        try:
            target = vet_url(str(request.url), self._policy)
        except Invalid as error:
            raise EgressError(Failure.REFUSED_ADDRESS, error.faults[0].message) from None
        return WireRequest(
            request.method,
            target,
            headers=[(k, v) for k, v in request.headers.multi_items() if k not in _WRITTEN_BY_CLIENT],
            body=await request.aread(),
            deadline_s=request.extensions.get("deadline_s", DEADLINE_S),
        )

    async def _pin(self, target: Target, ends_at: float) -> Pin | None:
        """The vetted pin of a name; None for addresses, judged before, and for what the proxy looks up."""
        if target.address is not None or self._goes_by_proxy(target):
            return None
        try:
            async with asyncio.timeout_at(ends_at):
                return await self._pins.pin(target.host)
        except LookupFailed as error:
            raise EgressError(Failure.RESOLVER if error.ours else Failure.DNS, str(error)) from None
        except AddressRefused:
            raise EgressError(Failure.REFUSED_ADDRESS, REFUSED) from None
        except TimeoutError:
            kind = Failure.RESOLVER if self._resolver.are_down() else Failure.TIMEOUT
            raise EgressError(kind, "its name could not be looked up in time") from None

    async def _client(self, wire: WireRequest, pin: Pin | None, ends_at: float) -> Client:
        try:
            if wire.identity is not None:
                return self._identified(wire.target, pin, wire.identity)
            if pin is None:
                return self._unpinned(wire.target)
            async with asyncio.timeout_at(ends_at):
                return await self._fleet.client(pin)
        except (PyreqwestError, ValueError):
            if wire.identity is not None:
                raise EgressError(Failure.UNFIT, "the endpoint's client certificate cannot be used") from None
            raise EgressError(Failure.LOCAL, "no client could be made") from None
        except TimeoutError:
            raise EgressError(Failure.TIMEOUT, "no connection came about in time") from None

    def _goes_by_proxy(self, target: Target) -> bool:
        return self._proxy is not None and not target.listed_only

    def _unpinned(self, target: Target) -> Client:
        """For addresses, which pins do not touch, and for the proxy, which looks names up itself."""
        if self._goes_by_proxy(target):
            if self._proxied is None:
                self._proxied = build_client(self._options, proxy=self._proxy)
            return self._proxied
        if self._literals is None:
            self._literals = build_client(self._options)
        return self._literals

    def _identified(self, target: Target, pin: Pin | None, identity: ClientCertificate) -> Client:
        key = (identity, target.host)
        address = pin.address if pin else None
        known = self._identities.get(key)
        if known is None or known[0] != address:
            pins = {pin.host: pin.address} if pin else {}
            proxy = self._proxy if self._goes_by_proxy(target) else None
            known = (address, build_client(self._options, pins=pins, identity=identity, proxy=proxy))
            self._identities[key] = known
        self._identities.move_to_end(key)
        if len(self._identities) > MAX_IDENTITIES:
            self._identities.popitem(last=False)
        return known[1]


async def _exchange(client: Client, wire: WireRequest, deadline_s: float) -> WireResponse:
    """One request on the wire, up to the response's head."""
    try:
        sending = (
            client.request(wire.method, wire.target.url)
            .headers(wire.wire_headers)
            .body_bytes(wire.body)
            .timeout(timedelta(seconds=max(deadline_s, 0.001)))
            # Nothing is read ahead: the head is here as soon as it came, whatever becomes of the body.
            .streamed_read_buffer_limit(0)
            .build_streamed()
        )
        response = await sending.__aenter__()
    except (PyreqwestError, ValueError) as error:
        raise translate(error) from None
    return WireResponse(response, _BodyStart(sending, response))


class _BodyStart(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The start of a body, raw. Closing it drops the connection if there is more, and frees it for reuse if not."""

    def __init__(self, sending: StreamRequest, response: Response) -> None:
        self._sending = sending
        self._response = response
        self._left = _expected_bytes(response)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left <= 0:
            raise StopAsyncIteration
        try:
            chunk = await self._response.body_reader.read_chunk()
        except PyreqwestError as error:
            raise translate(error) from None
        if chunk is None:
            raise StopAsyncIteration
        start = bytes(chunk[: self._left])
        self._left -= len(chunk)
        return start

    async def aclose(self) -> None:
        await self._sending.__aexit__(None, None, None)


def _expected_bytes(response: Response) -> int:
    """How much of the body is to be read, as far as the head tells how long it will be."""
    if response.status in _BODILESS:
        return 0
    try:
        return min(int(response.get_header("content-length") or READ_CAP_BYTES), READ_CAP_BYTES)
    except ValueError:
        return READ_CAP_BYTES
