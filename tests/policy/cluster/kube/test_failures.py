"""Why a request had no answer, in words that a person reads."""

import socket
import ssl

import pytest
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from policy.cluster.kube.failures import why_unanswered

CONNECTION = HTTPConnection("h")
POOL = urllib3.HTTPConnectionPool("h")
REFUSED = NewConnectionError(
    CONNECTION, "Failed to establish a new connection: [Errno 111] Connection refused"
)


def _untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MaxRetryError(POOL, "/", REFUSED), "connection refused"),
        (REFUSED, "connection refused"),
        (
            NameResolutionError("h", CONNECTION, socket.gaierror(-2, "Name not known")),
            "its name cannot be resolved",
        ),
        (ConnectTimeoutError(), "no connection could be made in time"),
        (ReadTimeoutError(POOL, "/", "read timed out"), "it did not answer in time"),
        (SSLError(_untrusted()), "its certificate is not trusted: self-signed certificate"),
        (ProxyError("no", REFUSED), "the proxy does not let it through: connection refused"),
        (
            ProtocolError("Connection aborted.", ConnectionResetError(104, "Reset")),
            "('Connection aborted.', ",
        ),
        (OSError(113, "No route to host"), "no route to host"),
    ],
)
def test_the_reason_is_said_without_the_client_around_it(error: Exception, why: str) -> None:
    """The client's own text names its classes, pools and retries."""
    assert why_unanswered(error).startswith(why)
