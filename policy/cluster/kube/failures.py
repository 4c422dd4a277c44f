"""Why a request had no answer, in a few words for one line."""

import re
import ssl
from typing import Final

import urllib3

_SYSTEM_REASON: Final = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_LONGEST: Final = 200


def why_unanswered(error: Exception) -> str:
    """Return the reason behind an error of urllib3 or of the system."""
    match error:
        case urllib3.exceptions.MaxRetryError(reason=Exception() as reason):
            return why_unanswered(reason)
        case urllib3.exceptions.ProxyError():
            found = f"the proxy does not let it through: {_system_reason(error)}"
        case urllib3.exceptions.NameResolutionError():
            found = "its name cannot be resolved"
        case urllib3.exceptions.NewConnectionError():
            found = _system_reason(error)
        case urllib3.exceptions.ConnectTimeoutError():
            found = "no connection could be made in time"
        case urllib3.exceptions.ReadTimeoutError():
            found = "it did not answer in time"
        case urllib3.exceptions.SSLError(args=(inner, *_)):
            found = _tls_reason(inner)
        case _:
            found = _system_reason(error)
    return found


def _tls_reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {str(error.reason or error).replace('_', ' ').lower()}"
    return f"no TLS connection: {error}"


def _system_reason(error: Exception) -> str:
    text = str(error)
    found = _SYSTEM_REASON.search(text)
    return found[1].lower() if found else " ".join(text.split())[:_LONGEST]
