"""Sorts the runs of a history by their creation in bounded memory: the rest is in a temporary file.

A run that is told twice, such as one that is in the cluster and in the archive, is there once: as it is told
with its end.
"""

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Final, TypeAlias

import msgspec

from lockkeeper.histories.remarks import Remarks
from policy.core.values.prepared import prepare
from policy.service.simulation.past_run import PastRun

TOLD_TWICE: Final = "left out: it is told twice"
_MOST_RUNS: Final = 100_000
_MOST_BYTES: Final = 128 << 20
"""Runs, and bytes of their manifests, that are in memory at one time."""
_AT_ONCE: Final = 2_000
"""Runs that are read at once of each sorted part of the file."""
_LENGTH: Final = 4
_Key: TypeAlias = tuple[float, str, str, str]
prepare(PastRun)
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(PastRun)


def _key(run: PastRun) -> _Key:
    return run.created, run.namespace, run.name, run.uid


class SortedRuns:
    """Takes runs in any order; yields them in the order of their creation, as often as asked."""

    def __init__(self, *, remarks: Remarks, most_runs: int = _MOST_RUNS) -> None:
        self._remarks = remarks
        self._most_runs = most_runs
        self._here: list[PastRun] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._parts: list[tuple[int, int]] = []
        self._told = False

    def add(self, run: PastRun) -> None:
        """Take one run."""
        self._here.append(run)
        self._bytes += len(run.manifest)
        if len(self._here) >= self._most_runs or self._bytes >= _MOST_BYTES:
            self._store()

    def __iter__(self) -> Iterator[PastRun]:
        self._here.sort(key=_key)
        sources = [self._stored(*part) for part in self._parts]
        last: PastRun | None = None
        for run in merge(*sources, iter(self._here), key=_key):
            if last is not None and last.uid == run.uid:
                if not self._told:
                    self._remarks.add(TOLD_TWICE, f"{run.namespace}/{run.name}")
                last = max(last, run, key=lambda each: each.ended)
                continue
            if last is not None:
                yield last
            last = run
        if last is not None:
            yield last
        self._told = True

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()

    def _store(self) -> None:
        if self._file is None:
            self._file = TemporaryFile(prefix="lockkeeper-history-")  # noqa: SIM115 - it lasts as long as we do
        self._here.sort(key=_key)
        begin = self._file.seek(0, 2)
        for run in self._here:
            encoded = _ENCODER.encode(run)
            self._file.write(len(encoded).to_bytes(_LENGTH, "big") + encoded)
        self._parts.append((begin, self._file.tell()))
        self._here, self._bytes = [], 0

    def _stored(self, at: int, end: int) -> Iterator[PastRun]:
        """Yield the runs of one part of the file, some at a time, since others read it, too."""
        file = self._file
        while file is not None and at < end:
            file.seek(at)
            found = list(islice(self._records(file, end), _AT_ONCE))
            at = file.tell()
            yield from found

    @staticmethod
    def _records(file: IO[bytes], end: int) -> Iterator[PastRun]:
        while file.tell() < end:
            length = int.from_bytes(file.read(_LENGTH), "big")
            yield _DECODER.decode(file.read(length))
