"""The runs of a history in a file without a name, that any number of processes read at one time.

The history is read and sorted once. Only runs that can matter are kept: those of the same roots, and those
with locks, which any namespace may share. Each process maps the file, so that it is in memory once.

A history drawn anew has the same arrivals; each run takes the length of another run of the same template. A
described load is drawn with another seed. So what comes out says how much of it was chance.
"""

import mmap
from array import array
from collections.abc import Callable, Iterable, Iterator
from random import Random
from tempfile import TemporaryFile
from typing import IO, Final

import msgspec

from lockkeeper.histories.load_description import Load
from lockkeeper.histories.load_drawing import drawn_runs
from policy.core.values.prepared import prepare
from policy.service.simulation.past_run import PastRun, Stretch

prepare(PastRun)
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(PastRun)


class RunFile:
    """Runs in the order of their creation, in a file."""

    def __init__(self, runs: Iterable[PastRun]) -> None:
        self.file: IO[bytes] = TemporaryFile(prefix="lockkeeper-history-")  # noqa: SIM115 - it is closed by `close`
        self.ends = array("Q")
        self.namespaces: set[str] = set()
        at = 0
        for run in runs:
            at += self.file.write(_ENCODER.encode(run))
            self.ends.append(at)
            self.namespaces.add(run.namespace)
        self.file.flush()

    def close(self) -> None:
        """Remove it."""
        self.file.close()


class SharedRuns:
    """The runs of such a file in one process."""

    def __init__(
        self, descriptor: int, *, ends: "array[int]", namespaces: frozenset[str], load: Load | None = None
    ) -> None:
        self._map = mmap.mmap(descriptor, ends[-1], access=mmap.ACCESS_READ)
        self._ends = ends
        self._namespaces = namespaces
        self._load = load
        self._lengths: dict[tuple[str, str], list[tuple[Stretch, ...]]] = {}

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces in it."""
        return self._namespaces

    def drawn(self, drawing: int) -> Iterable[PastRun]:
        """Return the runs in the order of their creation; with a number above 0 as they are drawn then."""
        if not drawing:
            return self._runs()
        if self._load is not None:
            return self._of_load(self._load, drawing)
        return self._with_lengths(drawing)

    def close(self) -> None:
        """Leave the file."""
        self._map.close()

    def _runs(self) -> Iterator[PastRun]:
        begin, view = 0, memoryview(self._map)
        try:
            for end in self._ends:
                yield _DECODER.decode(view[begin:end])
                begin = end
        finally:
            view.release()

    def _of_load(self, load: Load, drawing: int) -> Iterator[PastRun]:
        """Return the load with another seed."""
        other = msgspec.structs.replace(load, seed=load.seed + drawing)
        runs = (run for run in drawn_runs(other) if run.namespace in self._namespaces)
        return iter(sorted(runs, key=lambda run: (run.created, run.namespace, run.name, run.uid)))

    def _with_lengths(self, drawing: int) -> Iterator[PastRun]:
        """Yield the runs, each as long as another one of its template."""
        if not self._lengths:
            for run in self._runs():
                self._lengths.setdefault((run.namespace, run.template), []).append(run.stretches)
        random = Random(f"drawing {drawing}")  # noqa: S311 - the same drawing each time
        for run in self._runs():
            lengths = self._lengths[run.namespace, run.template]
            yield msgspec.structs.replace(run, stretches=random.choice(lengths))


def kept_runs(runs: Iterable[PastRun], matters: Callable[[str], bool]) -> Iterator[PastRun]:
    """Yield the runs that can matter: of namespaces that do, and those with locks."""
    return (run for run in runs if matters(run.namespace) or b'"synchronization"' in run.manifest)
