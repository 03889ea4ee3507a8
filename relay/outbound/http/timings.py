"""How long the phases of an attempt took."""

import msgspec


class Timings(msgspec.Struct, frozen=True, gc=False):
    """Seconds. `connect` and `tls` are 0 on a connection that was kept."""

    connect: float = 0.0
    """From the first dial to a TCP connection, or to a tunnel through the forward proxy."""
    tls: float = 0.0
    head: float = 0.0
    """From the request's first byte to the complete head of the answer; 0: no head came."""


NO_TIMINGS = Timings()
