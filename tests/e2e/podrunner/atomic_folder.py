"""A folder whose files change all at once, laid out as the kubelet lays out volumes.

The files lie in a folder of their own, `..data` is a link to it, and each visible name is a link through
`..data`. A change writes a new folder and swaps that one link.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Final

import msgspec

_DATA: Final = "..data"
_NEXT: Final = "..data_tmp"
_FOLDER_MODE: Final = 0o755


class File(msgspec.Struct, frozen=True):
    """One file to be; owner and group by number."""

    content: bytes
    mode: int
    owner: int = 0
    group: int = 0


class AtomicFolder:
    """Keeps one folder; files are given by their path in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: Mapping[str, File] | None = None

    def write(self, files: Mapping[str, File], *, switch: bool) -> bool:
        """Make these the files, and tell whether anything changed; without `switch` all belong to root."""
        if files == self._written:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(_FOLDER_MODE)
        before = self._folder / _DATA
        former = before.readlink() if before.is_symlink() else None
        fresh = self._folder / f"..{token_hex(8)}"
        for path, file in files.items():
            _write(fresh / path, file, switch=switch)
        fresh.mkdir(exist_ok=True)
        (self._folder / _NEXT).symlink_to(fresh.name)
        (self._folder / _NEXT).replace(before)
        self._link({path.split("/")[0] for path in files})
        if former is not None:
            shutil.rmtree(self._folder / former)
        self._written = dict(files)
        return True

    def _link(self, names: set[str]) -> None:
        """Show exactly these names."""
        shown = {path.name for path in self._folder.iterdir() if not path.name.startswith("..")}
        for name in names - shown:
            (self._folder / name).symlink_to(f"{_DATA}/{name}")
        for name in shown - names:
            (self._folder / name).unlink()


def _write(path: Path, file: File, *, switch: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    if switch:
        os.chown(path, file.owner, file.group)
    path.chmod(file.mode)
