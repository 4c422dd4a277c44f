"""A history that was read: its runs in order, with a length for those whose end it does not tell."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import msgspec

from lockkeeper.histories.remarks import Remarks
from lockkeeper.histories.sorting import TOLD_TWICE, SortedRuns
from policy.core.values.durations import written
from policy.service.simulation.past_run import UNKNOWN, PastRun, Stretch

_MOST_SERIES: Final = 5_000
_MOST_LENGTHS: Final = 201
_ALL: Final = ""
_GAP: Final = 86_400.0
_TIMES: Final = 50
_MOST_GAPS: Final = 5


class HistoryFacts(msgspec.Struct, frozen=True, rename="camel"):
    """What a history is, for reports: `remarks` are what was left out or taken for something else.

    Where it is `live`, it is a cluster as it is now, in which so many Workflows were `running`.
    """

    source: str
    workflows: int
    begin: datetime | None
    end: datetime | None
    namespaces: int
    remarks: tuple[str, ...]
    running: int = 0
    live: bool = False


class RunHistory:
    """Runs are added while it is read; then it is iterated over once for each set of policies."""

    def __init__(self, source: str, *, remarks: Remarks) -> None:
        self.source = source
        self.remarks = remarks
        self.namespaces: set[str] = set()
        self.count = 0
        self.begin = self.end = UNKNOWN
        self._runs = SortedRuns(remarks=remarks)
        self._lengths: dict[str, list[float]] = {_ALL: []}
        self._iterated = False

    def add(self, run: PastRun) -> None:
        """Take one run."""
        self.count += 1
        self.namespaces.add(run.namespace)
        self.begin = run.created if self.begin == UNKNOWN else min(self.begin, run.created)
        self.end = max(self.end, run.created, run.started, run.ended)
        if run.stretches:
            self.note_length(run)
        self._runs.add(run)

    def runs(self) -> Iterator[PastRun]:
        """Yield the runs in the order of their creation, each with a length."""
        last, gaps = UNKNOWN, list[tuple[float, float]]()
        span = self.end - self.begin
        for run in self._runs:
            away = run.created - last
            usual = (span - away) / max(1, self.count - 1)
            if last != UNKNOWN and away > max(_GAP, _TIMES * usual):
                gaps.append((last, run.created))
            last = run.created
            yield run if run.stretches else self._with_length(run)
        if not self._iterated:
            self._iterated = True
            self._tell_gaps(gaps)

    def facts(self) -> HistoryFacts:
        """Return what reports say of it."""
        known = self.count > 0
        return HistoryFacts(
            source=self.source,
            workflows=self.count - self.remarks.count(TOLD_TWICE),
            begin=_time(self.begin) if known else None,
            end=_time(self.end) if known else None,
            namespaces=len(self.namespaces),
            remarks=tuple(self.remarks.lines()),
        )

    def close(self) -> None:
        """Remove what was stored for a while."""
        self._runs.close()

    def note_length(self, run: PastRun) -> None:
        """Remember how long a run took, for those whose length is not known."""
        self._note_length(f"{run.namespace}/{run.template}", run.seconds)
        self._note_length(_ALL, run.seconds)

    def lengths_of(self, run: PastRun) -> list[float]:
        """Return how long runs of its template took, or all runs where none is known."""
        return self._lengths.get(f"{run.namespace}/{run.template}") or self._lengths[_ALL]

    def _note_length(self, series: str, seconds: float) -> None:
        lengths = self._lengths.get(series)
        if lengths is None:
            if len(self._lengths) >= _MOST_SERIES:
                return
            lengths = self._lengths[series] = []
        if len(lengths) < _MOST_LENGTHS:
            lengths.append(seconds)

    def _with_length(self, run: PastRun) -> PastRun:
        """Return a run whose end the history does not tell with the length that it is taken to have."""
        if run.started != UNKNOWN and run.ended == UNKNOWN:
            self._tell("it still ran when the history ends: taken to end then", run)
            seconds = self.end - run.started
        elif run.ended != UNKNOWN:
            self._tell("it was over without having started: taken as a run of 0s", run)
            seconds = 0.0
        else:
            self._tell(
                "it had not started when the history ends: taken to be as long as half of its template's "
                "runs",
                run,
            )
            lengths = self.lengths_of(run)
            seconds = median(lengths) if lengths else 0.0
        return msgspec.structs.replace(run, stretches=(Stretch(max(0.0, seconds)),))

    def _tell(self, text: str, run: PastRun) -> None:
        if not self._iterated:
            self.remarks.add(text, f"{run.namespace}/{run.name}")

    def _tell_gaps(self, gaps: list[tuple[float, float]]) -> None:
        for begun, ended in gaps[:_MOST_GAPS]:
            length = written(timedelta(seconds=round(ended - begun)))
            self.remarks.note(
                f"nothing was created for {length} from {_time(begun):%Y-%m-%d %H:%M}Z on: "
                "the history may have a gap"
            )
        if len(gaps) > _MOST_GAPS:
            self.remarks.note(f"there are {len(gaps) - _MOST_GAPS} more such gaps")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
