"""The TLS context of a server, built again when its files change, without losing a connection.

gunicorn requests a context at every connection
(https://docs.gunicorn.org/en/stable/settings.html#ssl-context). Its default reads and parses the files each
time; two `stat` calls show whether the cached one is still current. A context is never loaded a second time:
a pair that does not fit leaves a context in use unable to shake hands.
"""

import os
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

_Stamp: TypeAlias = tuple[int, int, int, int] | None
"""What distinguishes two states of a file: inode, size, and when its content and its mode changed."""


class NoCertificateError(Exception):
    """No certificate could be loaded since the start; the cause is the error of the last attempt."""

    def __init__(self, *, cert_path: Path, key_path: Path) -> None:
        super().__init__(cert_path, key_path)
        self.cert_path = cert_path
        self.key_path = key_path

    def __str__(self) -> str:
        where = f"{self.cert_path} and {self.key_path}"
        return f"no serving certificate could be loaded yet from {where}: {self.__cause__}"


class Build(Protocol):
    """Makes a new context from a pair of files, and raises `OSError` or `ValueError` where it cannot."""

    def __call__(self, *, cert_path: Path, key_path: Path) -> ssl.SSLContext:
        """Return a context that no other caller has."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt to load: the files as they were, the context that serves, and the error if it failed."""

    stamps: tuple[_Stamp, _Stamp]
    context: ssl.SSLContext | None
    error: Exception | None


def build_context(*, cert_path: Path, key_path: Path) -> ssl.SSLContext:
    """Return a new server context for the pair: TLS 1.2 or later, HTTP/1.1, no authorities of the system.

    Raises:
        OSError: a file cannot be read; as `ssl.SSLError`, what is in them does not make a pair.
        ValueError: the key needs a password.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert_path, key_path, password=_refuse_password)
    return context


def _refuse_password() -> str:
    # Without this OpenSSL would prompt at the terminal, and the server would hang at its first connection.
    raise ValueError("the private key needs a password; give one without")


class ReloadingContext:
    """Returns the `ssl.SSLContext` of the current certificate, or the last good one when a new one is bad.

    It may be called from any thread. Nothing is read before the first call.
    """

    def __init__(
        self,
        *,
        cert_path: Path,
        key_path: Path,
        on_error: Callable[[Exception], None] = lambda _error: None,
        build: Build = build_context,
    ) -> None:
        """Remember where the files are.

        Args:
            cert_path: the certificate, with its intermediates if there are any; may be a symbolic link.
            key_path: its private key, without a password; may be a symbolic link.
            on_error: called with each new failure once, for logs and metrics.
            build: creates a context from the pair; another one may also require certificates of clients.
        """
        self._cert_path = cert_path
        self._key_path = key_path
        self._on_error = on_error
        self._build = build
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None

    def current(self) -> ssl.SSLContext:
        """Return the context for new connections; open connections stay with the one they began with.

        Raises:
            NoCertificateError: nothing could be loaded since the start.
        """
        with self._lock:
            before, attempt = self._attempt, self._advance()
            self._attempt = attempt
        # The lock is free again, so the callback may be slow and may even call this.
        if attempt.error is not None and attempt is not before and _is_news(attempt, before):
            self._on_error(attempt.error)
        if attempt.context is None:
            raise NoCertificateError(cert_path=self._cert_path, key_path=self._key_path) from attempt.error
        return attempt.context

    def _advance(self) -> _Attempt:
        # The stamps are taken before the files are read: after a change in between the next call reads again.
        before = self._attempt
        stamps = (_stamp(self._cert_path), _stamp(self._key_path))
        if before is not None and before.stamps == stamps and not _may_pass(before.error):
            return before
        try:
            return _Attempt(stamps, self._build(cert_path=self._cert_path, key_path=self._key_path), None)
        except (OSError, ValueError) as error:
            return _Attempt(stamps, before.context if before else None, error)


def _stamp(path: Path) -> _Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - on the path of every connection; follows links, as kubelet swaps one
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _may_pass(error: Exception | None) -> bool:
    # "Too many open files" means nothing about these files, and they may not change again before the old
    # certificate expires. What OpenSSL or Python found wrong inside them stays wrong until they change.
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError)


def _is_news(attempt: _Attempt, before: _Attempt | None) -> bool:
    return before is None or before.stamps != attempt.stamps or repr(before.error) != repr(attempt.error)
