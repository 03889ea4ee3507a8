"""Ports for processes that are about to listen."""

import random
import socket
from collections.abc import Iterator
from contextlib import suppress

from relay.errors import RelayError

PORTS = range(10_000, 32_000)
# Each process begins at another one: two that look at the same time do not find the same port.
_begin: int = random.SystemRandom().randrange(len(PORTS))
_untried: Iterator[int] = iter([*PORTS[_begin:], *PORTS[:_begin]])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

    The system gives out higher ones to connections, also to those of others, and one of them could have it before
    whoever is to listen on it.
    """
    for port in _untried:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RelayError("no port of 127.0.0.1 is free")
