"""Calls an endpoint that serves webhooks as the API server would: over TLS that trusts the caBundle alone."""

import base64
import ssl
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from socket import create_connection, socket
from typing import Final

from lockkeeper.checking.facts import ProbeResult, ProbeTrouble, Target

CONNECTIONS: Final = 4
"""A Service hands each connection to one of its Pods, so one alone would leave the others unseen."""
_SECONDS: Final = 5.0
_LONGEST_ANSWER: Final = 4096


def probe(target: Target) -> ProbeResult:
    """Return what the target answers, on several connections: the first trouble, else the worst answer."""
    if not target.ca_bundle:
        return ProbeResult(target=target, trouble=ProbeTrouble.NO_BUNDLE)
    try:
        context = trusting(target.ca_bundle)
    except ValueError as error:
        return ProbeResult(target=target, trouble=ProbeTrouble.BAD_BUNDLE, error=str(error))
    answers = []
    for _ in range(CONNECTIONS):
        answer = _probe_once(target, context)
        if answer.trouble is not None:
            return answer
        answers.append(answer)
    return min(answers, key=lambda each: (not each.refused, each.ready, each.expires))


def trusting(ca_bundle: str) -> ssl.SSLContext:
    """Return a context that checks certificates as the API server does, by a bundle in base64.

    Raises:
        ValueError: there is no certificate in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Go takes whatever is in the bundle for a root, and never reads the common name.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False
    try:
        pem = base64.b64decode(ca_bundle, validate=True)
        # Comments between certificates may be in any language; the certificates are ASCII.
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ValueError, ssl.SSLError) as error:
        raise ValueError(f"there is no certificate in it: {error}") from error
    return context


def _probe_once(target: Target, context: ssl.SSLContext) -> ProbeResult:
    try:
        with (
            create_connection((target.host, target.port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=target.server_name) as secure,
        ):
            expires = _end_of(secure)
            status, text = _ready(target, secure)
        refused = tuple(path for path in target.paths if not _takes(target, context, path))
    except ssl.SSLCertVerificationError as error:
        return ProbeResult(target=target, trouble=ProbeTrouble.UNTRUSTED, error=error.verify_message)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ProbeResult(target=target, trouble=ProbeTrouble.UNREACHABLE, error=str(reason).lower())
    ready = status == HTTPStatus.OK
    return ProbeResult(target=target, expires=expires, ready=ready, text=text, refused=refused)


def _ready(target: Target, secure: ssl.SSLSocket) -> tuple[int, str]:
    """Return status and text of the readiness, on its own port or on that of admission."""
    if not target.health_port:
        return _get(secure, target, target.ready_path)
    with create_connection((target.host, target.health_port), _SECONDS) as plain:
        return _get(plain, target, target.ready_path)


def _takes(target: Target, context: ssl.SSLContext, path: str) -> bool:
    """Return whether a path is answered: by 405 then, because only POST is allowed."""
    with (
        create_connection((target.host, target.port), _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=target.server_name) as secure,
    ):
        return _get(secure, target, path)[0] == HTTPStatus.METHOD_NOT_ALLOWED


def _end_of(secure: ssl.SSLSocket) -> datetime:
    """Return until when the verified certificate is valid."""
    certificate = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _get(connected: socket, target: Target, path: str) -> tuple[int, str]:
    """Return status and text of the answer at a path."""
    connection = HTTPConnection(target.server_name, target.port, timeout=_SECONDS)
    connection.sock = connected
    connection.request("GET", path, headers={"Connection": "close"})
    answer = connection.getresponse()
    return answer.status, answer.read(_LONGEST_ANSWER).decode(errors="replace").strip()
