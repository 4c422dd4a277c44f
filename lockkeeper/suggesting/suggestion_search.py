"""Owns one search: the file of the history, whoever plays, and what is told of the outcome."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.load_description import Load
from lockkeeper.simulation.playing import play
from lockkeeper.suggesting.rounds import PlayedWhatIfs
from lockkeeper.suggesting.searching import MOST_DRAWN, Asked, Searching
from lockkeeper.suggesting.shared_history import RunFile, SharedRuns, kept_runs
from lockkeeper.suggesting.strategies.settings import Setting, with_settings
from lockkeeper.suggesting.strategies.wanted_waits import waits_of
from lockkeeper.suggesting.suggestion import Suggestion
from lockkeeper.suggesting.uncertainty import uncertainties
from lockkeeper.suggesting.why_not import why_not
from lockkeeper.suggesting.worker_processes import Answerers, OwnProcess, WorkerJob, WorkerProcesses
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import WindowSpec
from policy.service.simulation.result import PolicyResult


class Suggested(msgspec.Struct, frozen=True):
    """A suggestion, and how policies are changed by it."""

    suggestion: Suggestion
    changes: tuple[tuple[Setting, int], ...]
    window: WindowSpec | None
    snapshot: Snapshot


def suggest(
    history: RunHistory,
    snapshot: Snapshot,
    asked: Asked,
    *,
    load: Load | None,
    processes: int,
    most: int,
    most_drawn: int = MOST_DRAWN,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Suggested:
    """Return the smallest settings that meet what is asked for.

    Raises:
        UsageError: a worker process ended.
    """
    present, _ = play(history, snapshot, policies="present")
    with _players(history, snapshot, asked, load, processes) as (runs, answerers):
        what_ifs = PlayedWhatIfs(answerers, most=most, progress=progress)
        searching = Searching(
            asked=asked,
            snapshot=snapshot,
            runs=runs,
            what_ifs=what_ifs,
            span=(history.begin, history.end),
            most_drawn=most_drawn,
        )
        searching.run()
        return _told(searching, history, snapshot, asked, present, drawn_by_seed=load is not None)


@contextmanager
def _players(
    history: RunHistory, snapshot: Snapshot, asked: Asked, load: Load | None, processes: int
) -> Iterator[tuple[SharedRuns, Answerers]]:
    """Write the history into a file, and start whoever plays it."""
    roots = {snapshot.policies(each).root for each in asked.namespaces}
    with_locks = bool(snapshot.lock_policies)
    file = RunFile(
        kept_runs(history.runs(), lambda name: with_locks or snapshot.policies(name).root in roots)
    )
    try:
        runs = SharedRuns(
            file.file.fileno(), ends=file.ends, namespaces=frozenset(file.namespaces), load=load
        )
        try:
            answerers: Answerers
            if processes == 1:
                answerers = OwnProcess(runs=runs, snapshot=snapshot)
            else:
                job = WorkerJob(file=file, load=load, snapshot=snapshot)
                answerers = WorkerProcesses(processes, job=job)
            try:
                yield runs, answerers
            finally:
                answerers.close()
        finally:
            runs.close()
    finally:
        file.close()


def _told(
    searching: Searching,
    history: RunHistory,
    snapshot: Snapshot,
    asked: Asked,
    present: PolicyResult,
    *,
    drawn_by_seed: bool,
) -> Suggested:
    best, loosest = searching.best, searching.loosest
    trade_off = searching.trade_off()
    reasons: tuple[str, ...] = ()
    proposed = snapshot
    if best is not None and best.found.values is not None:
        changes = best.way.changes(best.found.values)
        proposed = with_settings(snapshot, dict(changes), best.way.window) or snapshot
    else:
        changes = ()
        if loosest is not None and all(each.found.finished for each in searching.ended):
            way, values = loosest
            highest = with_settings(snapshot, dict(way.changes(values))) or snapshot
            result, _ = play(history, highest, policies="highest")
            reasons = why_not(searching.requirement, result, searching.loosest_waits, snapshot)
    way_outcome = None if best is None else searching.outcome(best)
    before = waits_of(asked.wanted, searching.present)
    facts = history.facts()
    suggestion = Suggestion(
        met=best is not None,
        met_at_present=searching.met_at_present,
        wanted=asked.wanted,
        way=way_outcome,
        waits_before=before,
        waits=before if way_outcome is None else way_outcome.waits,
        ways=searching.outcomes(),
        trade_off=trade_off,
        others=searching.others(),
        why_not=reasons,
        uncertain=uncertainties(
            wanted=asked.wanted,
            present=present,
            facts=facts,
            trade_off=trade_off,
            drawn_by_seed=drawn_by_seed,
            snapshot=snapshot,
        ),
        remarks=facts.remarks,
        what_ifs=searching.played,
        tried=searching.tried(),
    )
    window = None if best is None else best.way.window
    return Suggested(suggestion, changes, window, proposed)
