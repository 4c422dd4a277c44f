"""Where the certificates that replicas share are stored, and how to change them while others do the same.

A write names the version that it was decided on. Of several replicas that start on an empty store at once one
writes, and the others get an error that they were too late, read again, and find all done.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from certs.files import (
    DIRECTORY_MODE,
    FILE_NAMES,
    NOTHING,
    CertificateFiles,
    as_files,
    exclusive_access,
    from_files,
    read_files,
    write_files,
)
from certs.rotation import CertificateStep

ATTEMPTS: Final = 16
"""How often a change is decided again because others were faster; each of them has changed something."""


class StoreError(Exception):
    """The store cannot be read or written; the text is one line and states where and why."""


class WriteConflictError(StoreError):
    """The stored certificates have changed since they were read: read it again."""


@dataclass(frozen=True, slots=True)
class StoredCertificates:
    """What is stored, and at which version; "" means that the store does not exist yet."""

    files: CertificateFiles
    version: str


class Store(Protocol):
    """Stores the certificates; safe for any number of threads and processes."""

    def read(self) -> StoredCertificates:
        """Return what is stored.

        Raises:
            StoreError: it cannot be read.
        """
        ...

    def write(self, files: CertificateFiles, *, version: str) -> None:
        """Store this instead of what was read at `version`.

        Raises:
            WriteConflictError: another process has changed it since.
            StoreError: it cannot be written, or it is unknown whether it was.
        """
        ...


class FolderStore:
    """Stores the certificates as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> StoredCertificates:
        """Return what the files hold. Raises StoreError."""
        try:
            files = from_files(read_files(self._folder, FILE_NAMES.values()))
        except OSError as error:
            raise _unusable(self._folder, error) from error
        if files == NOTHING:
            return StoredCertificates(files, "")
        digest = hashlib.sha256()
        for content in as_files(files).values():
            digest.update(b"%d:%b" % (len(content), content))
        return StoredCertificates(files, digest.hexdigest())

    def write(self, files: CertificateFiles, *, version: str) -> None:
        """Replace the files that differ. Raises WriteConflictError, StoreError."""
        try:
            self._folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            with exclusive_access(self._folder):
                if self.read().version != version:
                    raise WriteConflictError(f"the files in {self._folder} have changed")
                write_files(self._folder, as_files(files))
        except OSError as error:
            raise _unusable(self._folder, error) from error


def settle(store: Store, decide: Callable[[CertificateFiles], CertificateStep]) -> CertificateStep:
    """Read, decide and write until no other was faster; nothing is written where nothing changes.

    Raises:
        WriteConflictError: others were faster every time.
        StoreError: the store cannot be read or written.
    """
    conflict: WriteConflictError | None = None
    for _ in range(ATTEMPTS):
        stored = store.read()
        step = decide(stored.files)
        if not step.changes:
            return CertificateStep(stored.files)
        try:
            store.write(step.files, version=stored.version)
        except WriteConflictError as error:
            conflict = error
        else:
            return step
    raise WriteConflictError(f"others were faster {ATTEMPTS} times: {conflict}") from conflict


def _unusable(folder: Path, error: OSError) -> StoreError:
    reason = (error.strerror or str(error)).lower()
    return StoreError(f"the folder of certificates {folder} cannot be used: {reason}")
