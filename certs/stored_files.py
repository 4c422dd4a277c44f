"""What is kept of a CA and its serving certificate, as the files of a folder or the data of a Secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from certs.authority import ServingPair


@dataclass(frozen=True, slots=True)
class Kept:
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
"""The name of each part, which is that of a Secret of type `kubernetes.io/tls` where it has one."""
NOTHING: Final = Kept()


def as_files(kept: Kept) -> dict[str, bytes]:
    """Return the parts by file name; those that are missing are empty."""
    return {FILE_NAMES[each.name]: getattr(kept, each.name) for each in fields(kept)}


def from_files(content: Mapping[str, bytes]) -> Kept:
    """Return what files hold; other names than ours are left out."""
    return Kept(**{part: content.get(name, b"") for part, name in FILE_NAMES.items()})
