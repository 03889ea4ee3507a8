"""Connects to one of several vetted addresses (RFC 8305): a dead one costs a quarter of a second, not the attempt."""

import asyncio
import errno
import socket
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from relay.domain.addresses import Address
from relay.domain.outcomes import Failure
from relay.outbound.failures import NO_CONNECTION, NO_SOCKETS, SHORTAGES, EgressError

STAGGER_S = 0.25
"""How long an address has before the next one is dialled as well."""
ADDRESSES_TRIED = 4
"""How many of a name's addresses one attempt dials at most."""


async def connect(
    addresses: Sequence[Address], port: int, *, stagger_s: float = STAGGER_S
) -> tuple[socket.socket, Address]:
    """A socket that is connected to the first address that takes it. Raises EgressError."""
    if len(addresses) == 1:
        try:
            return await _dial(addresses[0], port), addresses[0]
        except OSError as error:
            raise judge([(addresses[0], error)]) from None
    return await _race(_alternating(addresses)[:ADDRESSES_TRIED], port, stagger_s)


def judge(errors: Iterable[tuple[Address | None, OSError]]) -> EgressError:
    """Whose fault it is that no address took the connection."""
    errors = list(errors)
    # A machine without IPv6 says that it has no address to send from: that is no shortage while there is IPv4.
    telling = [error for address, error in errors if not _has_no_ipv6(address, error)]
    telling = telling or [error for _, error in errors]
    if any(error.errno in SHORTAGES for error in telling):
        return EgressError(Failure.LOCAL, NO_SOCKETS)
    return EgressError(Failure.CONNECT, NO_CONNECTION)


async def _race(addresses: Sequence[Address], port: int, stagger_s: float) -> tuple[socket.socket, Address]:
    waiting = list(reversed(addresses))
    running: dict[asyncio.Task[socket.socket], Address] = {}
    errors: list[tuple[Address, OSError]] = []
    try:
        while waiting or running:
            if waiting:
                address = waiting.pop()
                running[asyncio.create_task(_dial(address, port))] = address
            pause = stagger_s if waiting else None
            done, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                address = running.pop(task)
                error = task.exception()
                if error is None:
                    return task.result(), address
                if not isinstance(error, OSError):
                    raise error
                errors.append((address, error))
        raise judge(errors)
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close)


async def _dial(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    dialled = socket.socket(family, socket.SOCK_STREAM)
    try:
        dialled.setblocking(False)
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(dialled, (str(address), port))
    except BaseException:
        dialled.close()
        raise
    return dialled


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of a dial that won too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _alternating(addresses: Sequence[Address]) -> list[Address]:
    """One family after the other, beginning with that of the first address."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]


def _has_no_ipv6(address: Address | None, error: OSError) -> bool:
    return address is not None and address.version == 6 and error.errno == errno.EADDRNOTAVAIL
