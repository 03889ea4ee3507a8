"""The HTTP clients that dial: how one is built, and how pinned hosts are spread over few of them.

A client of pyreqwest's cannot learn a new address; it has to be built again, which costs milliseconds and every idle
connection of its hosts. So newcomers gather in one young client, which is rebuilt with each batch of them, until it is
full and settles; settled clients stay as they are, with their connections, and the smallest are merged when there are
many. Whoever moves to another address becomes a newcomer. The requests in flight keep the client they began with.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.proxy import ProxyBuilder

from relay.domain.addresses import Address
from relay.domain.model import ClientCertificate
from relay.outbound.resolver import Answer

IDLE_CONNECTION_S = 30.0
"""Shorter than most servers keep one (nginx 75 s), so that most close on our side."""

IDLE_CONNECTIONS_PER_HOST = 64


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What all clients have in common. `roots` are certificates (PEM) to trust besides the public ones."""

    connect_timeout_s: float = 5.0
    roots: tuple[bytes, ...] = ()


def build_client(
    options: ClientOptions,
    *,
    pins: Mapping[str, Address] | None = None,
    identity: ClientCertificate | None = None,
    proxy: str | None = None,
) -> Client:
    """Build a client that goes nowhere by itself: no redirects, no environment's proxy, nothing inflated, no cookies.

    `pins` are the only addresses that its names have; a name that is not among them must not be sent through it.
    """
    builder = (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .http1_lower_case_headers()
        .connect_timeout(timedelta(seconds=options.connect_timeout_s))
        .pool_idle_timeout(timedelta(seconds=IDLE_CONNECTION_S))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
    )
    for root in options.roots:
        builder = builder.add_root_certificate_pem(root)
    for host, address in (pins or {}).items():
        # Port 0: the URL's own.
        builder = builder.resolve(host, str(address), 0)
    if identity is not None:
        builder = builder.identity_pem(f"{identity.private_key}\n{identity.certificate}".encode())
    if proxy is not None:
        builder = builder.proxy(ProxyBuilder.https(proxy))
    return builder.build()


@dataclass(slots=True, eq=False)
class Pin:
    """A name, the vetted address that it is dialled at, and the client that knows it."""

    host: str
    address: Address
    answer: Answer
    listed: bool
    """Whether every address of the answer is in the policy's `allow`."""
    client: Client | None = None


@dataclass(slots=True, eq=False)
class _Group:
    pins: dict[str, Pin] = field(default_factory=dict)


class Fleet:
    """Spreads pins over at most `most` settled clients and a young one.

    The young client takes up newcomers at most every `pause_s` seconds and settles with `full` hosts.
    """

    def __init__(
        self,
        build: Callable[[Mapping[str, Address]], Client],
        *,
        most: int = 16,
        full: int = 256,
        pause_s: float = 0.1,
        idle_s: float = 600.0,
    ) -> None:
        self._build = build
        self._most = most
        self._full = full
        self._pause_s = pause_s
        self._idle_s = idle_s
        self._newcomers: dict[str, Pin] = {}
        self._young = _Group()
        self._settled: list[_Group] = []
        self._homes: dict[str, _Group] = {}
        self._settling: asyncio.Task[None] | None = None
        self._next_build_at = 0.0

    async def client(self, pin: Pin) -> Client:
        """The client that dials a pin; a pin that has none waits for the next batch of newcomers."""
        while pin.client is None:
            self._newcomers[pin.host] = pin
            if self._settling is None:
                self._settling = asyncio.create_task(self._settle())
            await asyncio.shield(self._settling)
        return pin.client

    async def close(self) -> None:
        """Let go of every client: idle connections close now, the others when their requests have ended."""
        if self._settling is not None:
            self._settling.cancel()
        for group in (self._young, *self._settled):
            _drop(group.pins.values())
        self._young, self._settled, self._homes = _Group(), [], {}

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(max(0.0, self._next_build_at - loop.time()))
        finally:
            self._settling = None
        newcomers, self._newcomers = self._newcomers, {}
        self._rehouse(self._young, newcomers.values())
        self._dial(self._young)
        if len(self._young.pins) >= self._full:
            self._settled.append(self._young)
            self._young = _Group()
        if len(self._settled) > self._most:
            self._merge(loop.time())
        self._next_build_at = loop.time() + self._pause_s

    def _merge(self, now: float) -> None:
        """Make one client of the two smallest, without the names that nobody asked for lately."""
        self._settled.sort(key=lambda group: len(group.pins), reverse=True)
        small, smaller = self._settled.pop(), self._settled.pop()
        pins = (*small.pins.values(), *smaller.pins.values())
        idle = [pin for pin in pins if pin.answer.fresh_until + self._idle_s < now]
        _drop(idle)
        for pin in idle:
            del self._homes[pin.host]
        merged = _Group()
        self._rehouse(merged, [pin for pin in pins if pin.client is not None])
        if merged.pins:
            self._dial(merged)
            self._settled.append(merged)

    def _rehouse(self, group: _Group, pins: Iterable[Pin]) -> None:
        for pin in pins:
            if home := self._homes.get(pin.host):
                home.pins.pop(pin.host, None)
            group.pins[pin.host] = pin
            self._homes[pin.host] = group
        self._settled = [group for group in self._settled if group.pins]

    def _dial(self, group: _Group) -> None:
        client = self._build({host: pin.address for host, pin in group.pins.items()})
        for pin in group.pins.values():
            pin.client = client


def _drop(pins: Iterable[Pin]) -> None:
    for pin in pins:
        pin.client = None
