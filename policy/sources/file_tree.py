"""The YAML and JSON files below a folder, with whatever of them cannot be read, and their contents."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILE_BYTES: Final = 10 * 1024 * 1024
"""Larger than any object that a cluster would store; a larger file is there by mistake."""


class FileEntry(msgspec.Struct, frozen=True):
    """A file by its name below the folder, "" for the path itself, or why it, or a folder, cannot be read."""

    name: str
    status: os.stat_result | None = None
    reason: str = ""


def entries(root: Path) -> Iterator[FileEntry]:
    """Yield a file itself, or the files below a folder, besides hidden ones.

    Links to folders are followed, as ConfigMap mounts have them. A link that leads nowhere is an entry with
    a reason, unless its name is that of another kind of file.
    """
    visited: set[tuple[int, int]] = set()
    pending = [_look(root, "")]
    while pending:
        here = pending.pop()
        if here.status is None or not stat.S_ISDIR(here.status.st_mode):
            yield here
            continue
        # A link may lead to a folder around it.
        if (here.status.st_dev, here.status.st_ino) in visited:
            continue
        visited.add((here.status.st_dev, here.status.st_ino))
        try:
            inside = sorted((root / here.name).iterdir(), reverse=True)
        except OSError as error:
            yield FileEntry(here.name, None, _unreadable(error))
            continue
        for path in inside:
            if path.name.startswith("."):
                continue
            found = _look(path, f"{here.name}/{path.name}" if here.name else path.name)
            is_folder = found.status is not None and stat.S_ISDIR(found.status.st_mode)
            lost_folder = found.status is None and not path.suffix
            if is_folder or lost_folder or path.name.endswith(SUFFIXES):
                pending.append(found)


def content_of(path: Path, entry: FileEntry, *, any_file: bool = False) -> bytes | str:
    """Return the bytes of a file, or why there are none; `any_file` may be a pipe as well."""
    if entry.status is None:
        return entry.reason
    if not (stat.S_ISREG(entry.status.st_mode) or any_file):
        return "is not a regular file"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return _unreadable(error)
    return content if len(content) <= MAX_FILE_BYTES else f"is larger than {MAX_FILE_BYTES >> 20} MiB"


def _look(path: Path, name: str) -> FileEntry:
    try:
        return FileEntry(name, path.stat())
    except FileNotFoundError as error:
        if path.is_symlink():
            return FileEntry(name, None, f"is a link that leads nowhere, to {path.readlink()}")
        return FileEntry(name, None, "there is no such file or folder" if not name else _unreadable(error))
    except (OSError, ValueError) as error:
        return FileEntry(name, None, _unreadable(error))


def _unreadable(error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot be read: {reason}"
