"""A proxy between processes and their server: it leads to another server, holds back, or loses answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

Address = Path | int
"""A socket in the file system, or a port of 127.0.0.1."""


class Proxy:
    """Passes bytes on, both ways, for any number of connections."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._pairs: set[_Near] = set()
        self._held = False
        self.port = 0
        self.delay_s = 0.0
        """What comes from the server is passed on so much later."""
        self.lost = 0
        """Answers that were lost so far."""
        self.loses: Callable[[bytes], bool] = lambda _: False
        """Asked with what each client sends; True: it is passed on, and its answer gets lost with the connection."""

    def lead_to(self, target: Address) -> None:
        """Lead to another server from now on; what is connected is cut off."""
        self._target, self._held = target, False
        self.cut()

    def hold(self) -> None:
        """Pass on nothing more that comes from the server, until `lead_to`."""
        self._held = True
        for pair in self._pairs:
            pair.hold()

    def cut(self) -> None:
        """Cut off all connections."""
        for pair in tuple(self._pairs):
            pair.abort()

    @property
    def is_held(self) -> bool:
        """Whether nothing more is passed on from the server."""
        return self._held

    def __call__(self) -> asyncio.Protocol:
        """Take a new connection."""
        return _Near(self)

    async def dial(self, far: "_Far") -> None:
        """Connect to where it leads now. Raises OSError."""
        loop = asyncio.get_running_loop()
        if isinstance(self._target, Path):
            await loop.create_unix_connection(lambda: far, str(self._target))
        else:
            await loop.create_connection(lambda: far, "127.0.0.1", self._target)

    def joined(self, pair: "_Near") -> None:
        """Note a connection."""
        self._pairs.add(pair)

    def left(self, pair: "_Near") -> None:
        """Forget a connection."""
        self._pairs.discard(pair)


class _Near(asyncio.Protocol):
    """The client's side of a connection."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.loses = False
        """Whether the next answer is not passed on."""
        self._far = _Far(self)
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.proxy.joined(self)
        self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        try:
            await self.proxy.dial(self._far)
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():
            self._far.abort()

    def data_received(self, data: bytes) -> None:
        self.loses = self.loses or self.proxy.loses(data)
        self._far.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self.proxy.left(self)
        self._far.abort()

    def hold(self) -> None:
        self._far.hold()

    def abort(self) -> None:
        self.transport.abort()
        self._far.abort()


class _Far(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self, near: _Near) -> None:
        self._near = near
        self._transport: asyncio.Transport | None = None
        self._early = b""
        """What came before there was a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._early)
        if self._near.proxy.is_held:
            self.hold()

    def data_received(self, data: bytes) -> None:
        if self._near.loses:
            self._near.proxy.lost += 1
            self._near.abort()
        elif not self._near.proxy.is_held:
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        if delay_s := self._near.proxy.delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._near.transport.write, data)
        else:
            self._near.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._near.transport.close()

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early += data
        else:
            self._transport.write(data)

    def hold(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def proxy(target: Address, at: Path | None = None) -> AsyncIterator[Proxy]:
    """Run one for as long as the block lasts: at a socket, or at a free port of 127.0.0.1."""
    running = Proxy(target)
    loop = asyncio.get_running_loop()
    if at is not None:
        server = await loop.create_unix_server(running, str(at))
    else:
        server = await loop.create_server(running, "127.0.0.1", 0)
        running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        running.cut()
        await asyncio.sleep(0)
