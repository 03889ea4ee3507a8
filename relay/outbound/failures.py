"""Why there is no response, in the words of relay.domain.outcomes."""

import errno

import httpx

from relay.domain.outcomes import Failure
from relay.outbound.http.timings import NO_TIMINGS, Timings


class EgressError(httpx.TransportError):
    """There is no response: `failure` says why, the message is a sentence that is safe to show.

    `timings` has what was measured before the failure.
    """

    def __init__(self, failure: Failure, message: str, *, timings: Timings = NO_TIMINGS) -> None:
        super().__init__(message)
        self.failure = failure
        self.timings = timings


SHORTAGES = frozenset({errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""Errors of a system call by which this machine says that it has run out of something."""

CLOSED = "the connection was closed before an answer came"
LATE = "no answer came in time"
LATE_TO_CONNECT = "no connection came about in time"
NO_CONNECTION = "the connection was refused or failed"
NO_SOCKETS = "this relay has run out of sockets"
NO_TLS = "no TLS connection came about: check the certificate, its chain and its name"
