"""Errors of the client below, told apart."""

import pytest
from pyreqwest.exceptions import (
    BodyDecodeError,
    BuilderError,
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    DetailedPyreqwestError,
    ReadTimeoutError,
    WriteError,
)

from relay.domain.outcomes import Failure
from relay.outbound.failures import translate

SENDING = "error sending request for url (https://crm.example.com/secret?token=1)"
CONNECTING = (SENDING, "client error (Connect)")
SENT = (SENDING, "client error (SendRequest)")


@pytest.mark.parametrize(
    ("kind", "causes", "failure", "unsent"),
    [
        (ConnectTimeoutError, (*CONNECTING, "operation timed out"), Failure.TIMEOUT, True),
        (ConnectTimeoutError, (SENDING, "operation timed out"), Failure.TIMEOUT, False),
        (ReadTimeoutError, ("request or response body error", "operation timed out"), Failure.TIMEOUT, False),
        (ConnectError, (*CONNECTING, "tcp connect error", "Connection refused (os error 111)"), Failure.CONNECT, True),
        (ConnectError, (*CONNECTING, "tcp connect error", "No route to host (os error 113)"), Failure.CONNECT, True),
        (ConnectError, (*CONNECTING, "tcp open error", "Too many open files (os error 24)"), Failure.LOCAL, False),
        (
            ConnectError,
            (*CONNECTING, "tcp connect error", "Cannot assign requested address (os error 99)"),
            Failure.LOCAL,
            False,
        ),
        (ConnectError, (*CONNECTING, "tls handshake eof"), Failure.TLS, False),
        (ConnectError, (*CONNECTING, "invalid peer certificate: Expired"), Failure.TLS, False),
        (ConnectError, (*CONNECTING, "tunnel error: unsuccessful"), Failure.CONNECT, False),
        (ConnectError, (*CONNECTING, "tunnel error: proxy authorization required"), Failure.PROXY, False),
        (
            ConnectError,
            (*CONNECTING, "tunnel error: failed to create underlying connection", "tcp connect error"),
            Failure.PROXY,
            False,
        ),
        (ConnectError, (*SENT, "connection closed before message completed"), Failure.PROTOCOL, False),
        (WriteError, (*SENT, "Broken pipe (os error 32)"), Failure.PROTOCOL, False),
        (DecodeError, (*SENT, "invalid HTTP version parsed"), Failure.PROTOCOL, False),
        (DecodeError, (*SENT, "message head is too large"), Failure.OVERSIZED, False),
        (BodyDecodeError, ("error reading a body from connection",), Failure.PROTOCOL, False),
        (BuilderError, ("builder error",), Failure.UNFIT, False),
        (ConnectError, (*CONNECTING, "invalid peer certificate for x (os error 24)"), Failure.TLS, False),
        (ConnectError, (*CONNECTING, "not valid for tunnel error: proxy"), Failure.TLS, False),
    ],
)
def test_each_error_has_its_failure(
    kind: type[DetailedPyreqwestError], causes: tuple[str, ...], failure: Failure, unsent: bool
) -> None:
    """Phase and cause decide; what could not have been sent is marked, and the message holds nothing of the URL."""
    error = translate(kind("said", {"causes": [{"message": cause} for cause in causes]}))
    assert (error.failure, error.unsent) == (failure, unsent)
    assert "token" not in str(error)
    assert "example.com" not in str(error)


def test_a_request_that_cannot_be_made_is_nothing_that_a_receiver_did() -> None:
    """A header that cannot be encoded, for one; its value is not repeated."""
    assert translate(ValueError("Invalid header value: secret")).failure is Failure.UNFIT
    assert "secret" not in str(translate(ValueError("Invalid header value: secret")))
