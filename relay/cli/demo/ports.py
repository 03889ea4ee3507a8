"""Ports for processes that are about to listen."""

import random
import socket
from collections.abc import Iterator
from contextlib import suppress

from relay.errors import RelayError

PORTS = range(10_000, 32_000)
# Processes that look at the same time begin at different ports.
_begin: int = random.SystemRandom().randrange(len(PORTS))
_untried: Iterator[int] = iter([*PORTS[_begin:], *PORTS[:_begin]])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

    The system gives connections higher ones. A connection could take such a port before a process listens on it.
    """
    for port in _untried:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RelayError("no port of 127.0.0.1 is free")
