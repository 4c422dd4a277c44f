"""The files of a run as they come: which objects of a folder are new, when it is looked at again.

A file that is new or was changed is read once it has stopped changing, so that one which is being copied is
not read half. An object of it that was there before as it is now is not new: to write one of two documents
of a file anew creates the other no second time. A file that left and comes back is new.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import msgspec

from lockkeeper.findings.finding import Level
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import read_inputs
from policy.sources.directory import SourceError
from policy.sources.file_tree import FileEntry, entries

_Stamp: TypeAlias = tuple[int, int, int]
_Digest: TypeAlias = tuple[bytes, int]
Wanted: TypeAlias = Callable[[Manifest], bool]


class Arrivals(msgspec.Struct, frozen=True):
    """What came since the last look: objects, those that others may refer to first, and what is wrong."""

    manifests: tuple[Manifest, ...] = ()
    faults: tuple[str, ...] = ()


class _SeenFile(msgspec.Struct):
    """A file: its stamp at the last look, the one it was read at, and its objects then."""

    stamp: _Stamp
    read: _Stamp | None = None
    digests: frozenset[_Digest] = frozenset()


class WorkflowFolder:
    """Looks at a file or folder again and again; of its objects it gives those that are `wanted`.

    What is wrong with files is told where `tells` is true.
    """

    def __init__(self, folder: Path, *, wanted: Wanted, tells: bool = True) -> None:
        self._folder = folder
        self._wanted = wanted
        self._tells = tells
        self._files: dict[str, _SeenFile] = {}

    def arrived(self, *, at_once: bool = False) -> Arrivals:
        """Return what is new; with `at_once` also of files that may still change."""
        manifests: list[Manifest] = []
        faults: list[str] = []
        present = {entry.name: entry for entry in entries(self._folder)}
        for name in self._files.keys() - present.keys():
            del self._files[name]
        for name in sorted(present):
            if self._is_due(name, present[name], at_once=at_once):
                self._read(name, manifests, faults)
        return Arrivals(tuple(sorted(manifests, key=_order)), tuple(faults) if self._tells else ())

    def _is_due(self, name: str, entry: FileEntry, *, at_once: bool) -> bool:
        """Tell whether a file is to be read: it is new or changed, and the same at two looks."""
        stamp = _stamp(entry)
        seen = self._files.get(name)
        if seen is None:
            self._files[name] = _SeenFile(stamp)
            return at_once
        settled = seen.stamp == stamp
        seen.stamp = stamp
        return seen.read != stamp and (settled or at_once)

    def _read(self, name: str, manifests: list[Manifest], faults: list[str]) -> None:
        seen = self._files[name]
        inputs = read_inputs([str(self._folder / name if name else self._folder)])
        found = dict(_digests(each for each in inputs.manifests if each.carrier is None))
        manifests += (each for key, each in found.items() if key not in seen.digests and self._wanted(each))
        wrong = (each for each in inputs.findings if each.level is Level.ERROR)
        faults += (str(SourceError(each.file, each.line, 0, each.field, each.message)) for each in wrong)
        seen.read, seen.digests = seen.stamp, frozenset(found)


def _stamp(entry: FileEntry) -> _Stamp:
    """Return what differs where a file differs; one that cannot be read has one, too."""
    status: os.stat_result | None = entry.status
    return (0, 0, 0) if status is None else (status.st_mtime_ns, status.st_size, status.st_ino)


def _digests(manifests: Iterable[Manifest]) -> Iterator[tuple[_Digest, Manifest]]:
    """Yield each object with what tells it from all others of its file, its equals too."""
    equals: Counter[bytes] = Counter()
    for each in manifests:
        digest = sha256(msgspec.json.encode(each.value, order="deterministic")).digest()
        equals[digest] += 1
        yield (digest, equals[digest]), each


def _order(manifest: Manifest) -> int:
    """Namespaces are first, then what Workflows refer to and are governed by, then Workflows."""
    kinds = {"Namespace": 0, "Workflow": 3, "CronWorkflow": 2}
    return kinds.get(manifest.kind, 1)
