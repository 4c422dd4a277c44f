"""Which files `--exclude` leaves out: patterns as shells have them, for names, folders and whole paths."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath


def is_excluded(shown: str, below: str, patterns: Sequence[str]) -> bool:
    """Return whether a file is left out.

    `shown` is its path as the user knows it, `below` the part under the folder that was given. A pattern
    fits a file or folder by its name, or by its path from either start; what is in such a folder is out too.
    """
    ways = [PurePosixPath(below).parts]
    if not shown.startswith("/"):
        ways.append(PurePosixPath(shown).parts)
    names = {part for way in ways for part in way}
    paths = {"/".join(way[:length]) for way in ways for length in range(1, len(way) + 1)}
    whole = {shown, *(str(each) for each in PurePosixPath(shown).parents)}
    return any(
        fnmatchcase(each, pattern)
        for pattern in (text.removeprefix("./").rstrip("/") for text in patterns)
        for each in names | paths | whole
    )
