"""Certificates for this machine alone, in a folder, created where they are missing."""

from collections.abc import Callable, Iterable
from pathlib import Path
from ssl import SSLContext
from typing import Final

from certs.files import Ensured, Paths, ensure
from certs.reload import ReloadingContext
from lockkeeper.process.console import UsageError, reason_of, utc_now

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")


def ensure_folder(folder: Path, names: Iterable[str]) -> Ensured:
    """Create certificates for these names in a folder where they are missing.

    Raises:
        UsageError: the folder cannot be used.
    """
    try:
        return ensure(folder, names=tuple(names), now=utc_now())
    except OSError as error:
        raise UsageError(f"the folder of certificates {folder} cannot be used: {reason_of(error)}") from error


def loopback_certificate(folder: Path, host: str) -> tuple[Paths, Callable[[], SSLContext]]:
    """Create the certificate of this machine where it is missing; return its files and the TLS hook.

    Raises:
        UsageError: the folder cannot be used.
    """
    paths = ensure_folder(folder, (*LOOPBACK_NAMES, host)).paths
    return paths, ReloadingContext(cert_path=paths.cert, key_path=paths.key).current
