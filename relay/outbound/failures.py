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


_CONNECTING = "client error (Connect)"
_DIALLING = "tcp "
_TUNNEL = "tunnel error"

_OWN_FAULTS = ("(os error 12)", "(os error 23)", "(os error 24)", "(os error 99)", "(os error 105)")
"""ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS: this machine has run out of something."""


def translate(error: PyreqwestError | ValueError) -> EgressError:
    """Tell what went wrong and in which phase, from the chain of causes that the error carries.

    A cause is compared from its start or its end: between them may stand what a receiver wrote into a certificate.
    """
    details = getattr(error, "details", None) or {}
    causes = [cause["message"] for cause in details.get("causes") or ()]
    if isinstance(error, RequestTimeoutError):
        if _CONNECTING in causes:
            return EgressError(Failure.TIMEOUT, "no connection came about in time", unsent=True)
        return EgressError(Failure.TIMEOUT, "no answer came in time")
    if _CONNECTING in causes:
        return _not_connected(causes)
    if isinstance(error, ValueError):
        return EgressError(Failure.UNFIT, "the request could not be made: check the endpoint's headers")
    if "message head is too large" in causes:
        return EgressError(Failure.OVERSIZED, "the answer has too many headers, or too large ones")
    if isinstance(error, DecodeError):
        return EgressError(Failure.PROTOCOL, "the answer is not valid HTTP")
    return EgressError(Failure.PROTOCOL, "the connection was closed before an answer came")


def _not_connected(causes: list[str]) -> EgressError:
    if tunnel := next((cause for cause in causes if cause.startswith(_TUNNEL)), None):
        if tunnel.endswith("unsuccessful"):
            return EgressError(Failure.CONNECT, "the forward proxy could not reach the endpoint, or refused to")
        return EgressError(Failure.PROXY, "the forward proxy did not take the request")
    if not any(cause.startswith(_DIALLING) for cause in causes):
        return EgressError(Failure.TLS, "no TLS connection came about: check the certificate, its chain and its name")
    if causes[-1].endswith(_OWN_FAULTS):
        return EgressError(Failure.LOCAL, "this relay has run out of sockets")
    return EgressError(Failure.CONNECT, "the connection was refused or failed", unsent=True)
