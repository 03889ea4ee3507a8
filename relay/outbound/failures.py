"""What pyreqwest's errors mean, in the words of relay.domain.outcomes."""

import httpx
from pyreqwest.exceptions import DecodeError, PyreqwestError, RequestTimeoutError

from relay.domain.outcomes import Failure


class EgressError(httpx.TransportError):
    """There is no response: `failure` says why, the message is a sentence that is safe to show.

    `unsent`: no connection was made, so another address may be tried at once.
    """

    def __init__(self, failure: Failure, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.failure = failure
        self.unsent = unsent


_OWN_FAULTS = ("(os error 23)", "(os error 24)", "(os error 99)", "(os error 105)", "(os error 12)")
"""ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM: this machine has run out of something."""


def translate(error: PyreqwestError | ValueError) -> EgressError:
    """Tell what went wrong and in which phase, from the chain of causes that the error carries."""
    details = getattr(error, "details", None) or {}
    causes = " / ".join(cause["message"] for cause in details.get("causes") or ())
    if any(fault in causes for fault in _OWN_FAULTS):
        return EgressError(Failure.LOCAL, "this relay has run out of sockets")
    if isinstance(error, RequestTimeoutError):
        if "client error (Connect)" in causes:
            return EgressError(Failure.TIMEOUT, "no connection came about in time", unsent=True)
        return EgressError(Failure.TIMEOUT, "no answer came in time")
    if "client error (Connect)" in causes:
        return _connecting(causes)
    if "message head is too large" in causes:
        return EgressError(Failure.OVERSIZED, "the answer has too many headers, or too large ones")
    if isinstance(error, DecodeError):
        return EgressError(Failure.PROTOCOL, "the answer is not valid HTTP")
    if "error sending request" in causes:
        return EgressError(Failure.PROTOCOL, "the connection was closed before an answer came")
    return EgressError(Failure.LOCAL, "the request could not be made")


def _connecting(causes: str) -> EgressError:
    if "tunnel error" in causes:
        if "unsuccessful" in causes:
            return EgressError(Failure.CONNECT, "the forward proxy could not reach the endpoint, or refused to")
        return EgressError(Failure.PROXY, "the forward proxy did not take the request")
    if "tcp connect error" in causes:
        return EgressError(Failure.CONNECT, "the connection was refused or failed", unsent=True)
    return EgressError(Failure.TLS, "no TLS connection came about: check the certificate, its chain and its name")
