"""The files of a CA and its serving certificate: names, and how a directory of them is read and written.

`ensure` creates and renews those of a single process. The names are those of a Kubernetes Secret of type
`kubernetes.io/tls` where it has one, so a mounted Secret reads alike. Each file is written atomically.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

from certs.authority import Authority, ServingPair, create_authority, issue_serving_pair
from certs.renewal import Reasons, reasons_against_authority, reasons_against_pair
from certs.subject_names import normalised_names

_KEY_MODE: Final = 0o600
_CERT_MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o700
_LOCK_NAME: Final = ".lock"
_KEY_SUFFIX: Final = ".key"

Part: TypeAlias = Literal["CA", "serving certificate"]
_Pair = TypeVar("_Pair")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The parts as they are, unchecked; one that is missing is empty.

    `bundle` holds all CAs that are trusted, the one that signs first; `authority_key` is that one's key.
    `next_*` is the CA that will sign, through a change of CA. `cert` and `key` are what is served.
    """

    bundle: bytes = b""
    authority_key: bytes = field(default=b"", repr=False)
    next_cert: bytes = b""
    next_key: bytes = field(default=b"", repr=False)
    cert: bytes = b""
    key: bytes = field(default=b"", repr=False)

    @property
    def pair(self) -> ServingPair | None:
        """What is served; None where both parts are missing."""
        return ServingPair(self.cert, self.key) if self.cert or self.key else None


FILE_NAMES: Final = {
    "bundle": "ca.crt",
    "authority_key": "ca.key",
    "next_cert": "next-ca.crt",
    "next_key": "next-ca.key",
    "cert": "tls.crt",
    "key": "tls.key",
}
"""The name of each part."""
NOTHING: Final = CertificateFiles()


def as_files(files: CertificateFiles) -> dict[str, bytes]:
    """Return the parts by file name; those that are missing are empty."""
    return {FILE_NAMES[each.name]: getattr(files, each.name) for each in fields(files)}


def from_files(content: Mapping[str, bytes]) -> CertificateFiles:
    """Return what files hold; other names than ours are left out."""
    return CertificateFiles(**{part: content.get(name, b"") for part, name in FILE_NAMES.items()})


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the four files of a directory are."""

    authority_cert: Path
    authority_key: Path
    cert: Path
    key: Path

    @classmethod
    def within(cls, directory: Path) -> "Paths":
        """Return the paths of the four files in `directory`."""
        return cls(directory / "ca.crt", directory / "ca.key", directory / "tls.crt", directory / "tls.key")


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate was created, and every reason why."""

    part: Part
    reasons: Reasons

    def __str__(self) -> str:
        return f"made a new {self.part}: {', '.join(self.reasons)}"


@dataclass(frozen=True, slots=True)
class Ensured:
    """What is in the directory now, and what was created for that; no changes mean that all was good."""

    paths: Paths
    authority: Authority
    pair: ServingPair
    changes: tuple[IssuedCertificate, ...]


def ensure(directory: Path, *, names: Iterable[str], now: datetime) -> Ensured:
    """Create or renew what is missing, due, corrupt or for other names in the directory, and the directory.

    Several processes may do this in one directory at once: one runs after the other, and later ones find it
    done. Files that cannot be parsed are replaced, and the changes list them; a file that may not be read is
    an error, because replacing a key that is protected from us would destroy it.

    Raises:
        UnusableNameError: a name cannot be in a certificate, or there is none.
        UnusableCertificateError: the CA is good, but its key is of a kind that cannot sign here.
        OSError: the directory cannot be read or written.
    """
    wanted = normalised_names(names)
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    paths = Paths.within(directory)
    with exclusive_access(directory):
        changes: list[IssuedCertificate] = []
        authority = read_authority(directory)
        reasons = reasons_against_authority(authority, now=now)
        if authority is None or reasons:
            authority = create_authority(now=now)
            write_authority(directory, authority)
            changes.append(IssuedCertificate("CA", reasons))
        pair = read_pair(directory)
        reasons = reasons_against_pair(pair, authority=authority, names=wanted, now=now)
        if pair is None or reasons:
            pair = issue_serving_pair(authority, names=wanted, now=now)
            write_pair(directory, pair)
            changes.append(IssuedCertificate("serving certificate", reasons))
        _close_to_others(paths.authority_key, paths.key)
    return Ensured(paths, authority, pair, tuple(changes))


def read_authority(directory: Path) -> Authority | None:
    """Return the CA in the directory as it is, unchecked; None where a file is missing."""
    paths = Paths.within(directory)
    return _read(paths.authority_cert, paths.authority_key, make=Authority)


def read_pair(directory: Path) -> ServingPair | None:
    """Return the serving pair in the directory as it is, unchecked; None where a file is missing."""
    paths = Paths.within(directory)
    return _read(paths.cert, paths.key, make=ServingPair)


def write_authority(directory: Path, authority: Authority) -> None:
    """Write the CA into the directory; each file is replaced whole, the key is for its owner only."""
    write_files(directory, {"ca.key": authority.key_pem, "ca.crt": authority.cert_pem})


def write_pair(directory: Path, pair: ServingPair) -> None:
    """Write the serving pair into the directory; each file is replaced whole, the key is for its owner only.

    Between the two files a reader may see the new key beside the old certificate: `ReloadingContext` keeps
    the context that it has until then, and `ensure` repairs what a crash right then leaves behind.
    """
    write_files(directory, {"tls.key": pair.key_pem, "tls.crt": pair.cert_pem})


def read_files(directory: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return the content of the files in the directory; one that is not there is empty."""
    content: dict[str, bytes] = {}
    for name in names:
        try:
            content[name] = (directory / name).read_bytes()
        except FileNotFoundError:
            content[name] = b""
    return content


def write_files(directory: Path, content: Mapping[str, bytes]) -> None:
    """Make the files hold this, keys first; each is replaced whole, one without content is removed.

    Those that hold it already are left alone, so that no reader has to read them again.
    """
    present = read_files(directory, content)
    for name in sorted(content, key=lambda each: not each.endswith(_KEY_SUFFIX)):
        if not content[name]:
            (directory / name).unlink(missing_ok=True)
        elif content[name] != present[name]:
            mode = _KEY_MODE if name.endswith(_KEY_SUFFIX) else _CERT_MODE
            _replace(directory / name, content[name], mode=mode)


def _read(cert: Path, key: Path, *, make: Callable[[bytes, bytes], _Pair]) -> _Pair | None:
    try:
        return make(cert.read_bytes(), key.read_bytes())
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    # The temporary file is created for its owner only, so that others can never read a key.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            # Without this a power cut could leave the new name on an empty file.
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def exclusive_access(directory: Path) -> Iterator[None]:
    """Wait until no other process changes the directory, and let others wait meanwhile."""
    # Two processes that start together would otherwise leave the CA of one beside the leaf of the other.
    # The kernel releases the lock when its holder dies, so the file may stay.
    descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _KEY_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _close_to_others(*keys: Path) -> None:
    for key in keys:
        status = key.stat()
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~_KEY_MODE:
            key.chmod(_KEY_MODE)
