"""A what-if tells the waits that a whole simulation tells, of the runs that matter alone."""

from math import inf
from random import Random
from typing import Any

import msgspec
import pytest

from lockkeeper.histories.load_description import read_load
from lockkeeper.histories.load_drawing import drawn_runs as drawn_by
from lockkeeper.simulation.playing import play
from lockkeeper.suggesting.shared_history import RunFile, SharedRuns, kept_runs
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits
from lockkeeper.suggesting.what_if import played_waits
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.service.simulation.past_run import PastRun
from tests.lockkeeper.histories.past_runs import of_kind, policies
from tests.lockkeeper.suggesting.drawn import drawn_runs, history

NAMESPACES = ("team-a", "team-b", "other", "free")


def snapshot(kind: str) -> Snapshot:
    """Return policies of a pool with team-a and team-b, and of another namespace."""
    pool: dict[str, Any] = {"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    ]}}  # fmt: skip
    specs: dict[str, dict[str, Any]] = {
        "limits": {"limits": {"workflows": 2, "tasks": 6}},
        "lends": {
            "limits": {"workflows": 3},
            "borrowing": {},
            "namespaceDefaults": {"limits": {"workflows": 1}},
        },
        "denies": {"limits": {"workflows": 2}, "onExceed": "Deny"},
        "gives up": {"limits": {"workflows": 1}, "queue": {"maxWait": "20m", "maxLength": 5}},
        "windows": {
            "limits": {"workflows": 1},
            "windows": [{"name": "w", "schedule": "0 9 * * *", "duration": "2h", "limits": {"workflows": 3}}],
        },
    }
    return policies(
        of_kind(ClusterWorkflowQuota, "data", **pool, **specs[kind]),
        of_kind(WorkflowQuota, "main", "other", limits={"workflows": 1}),
        namespaces=NAMESPACES,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["limits", "lends", "denies", "gives up", "windows"])
def test_the_waits_are_those_of_the_whole_simulation(seed: int, kind: str) -> None:
    """Though only the namespaces of the same root are played, and nothing else is counted."""
    runs, under = drawn_runs(seed, count=120, namespaces=NAMESPACES), snapshot(kind)
    with history(*runs) as read:
        result, _ = play(read, under, policies="")
        found = waits_in_a_file(
            list(kept_runs(read.runs(), lambda name: name in ("team-a", "team-b"))), under
        )
    assert found.keys() == {"team-a", "team-b"}
    for group in result.namespaces:
        if group.name not in found:
            continue
        lost = group.denied + group.gave_up + group.never_started
        mine = found[group.name]
        assert (mine.workflows, mine.lost) == (group.workflows, lost)
        if not lost:
            assert mine.figures == group.waits
        else:
            assert mine.figures.longest == inf
            assert mine.figures.median >= group.waits.median


def waits_in_a_file(runs: list[PastRun], under: Snapshot, drawing: int = 0) -> AllWaits:
    """Return the waits of runs that were written into a file."""
    file = RunFile(runs)
    shared = SharedRuns(file.file.fileno(), ends=file.ends, namespaces=frozenset(file.namespaces))
    try:
        return played_waits(shared, under, drawing=drawing)
    finally:
        shared.close()
        file.close()


def test_a_drawing_has_the_same_arrivals_and_lengths_of_the_same_template() -> None:
    """The same number draws the same, another one draws another."""
    runs = sorted(drawn_runs(7), key=lambda run: run.created)
    file = RunFile(runs)
    shared = SharedRuns(file.file.fileno(), ends=file.ends, namespaces=frozenset(file.namespaces))
    first, again, other = (list(shared.drawn(each)) for each in (1, 1, 2))
    assert first == again != other
    bare = [msgspec.structs.replace(run, stretches=()) for run in first]
    assert bare == [msgspec.structs.replace(run, stretches=()) for run in runs]
    lengths = {(run.namespace, run.template): set[float]() for run in runs}
    for run in runs:
        lengths[run.namespace, run.template].add(run.seconds)
    assert all(run.seconds in lengths[run.namespace, run.template] for run in first)
    assert list(shared.drawn(0)) == runs
    shared.close()
    file.close()


def test_runs_with_locks_are_kept_whatever_their_namespace_is() -> None:
    """Others may wait for the same lock."""
    runs = drawn_runs(Random(1).randrange(9), count=5, namespaces=("free",))
    locked = msgspec.structs.replace(runs[0], manifest=b'{"spec":{"synchronization":{}}}')
    assert list(kept_runs([locked, *runs[1:]], lambda _: False)) == [locked]


def test_a_described_load_is_drawn_with_another_seed() -> None:
    """Only of the namespaces that matter."""
    arrivals = [
        {"namespace": name, "user": "ann", "name": "r", "perHour": 3, "runTime": {"mean": "5m"}}
        for name in ("team-a", "team-b")
    ]
    text = {"seed": 4, "begin": "2026-11-02T00:00:00Z", "days": 1, "arrivals": arrivals}
    load = read_load(msgspec.json.encode(text))
    mine = [run for run in drawn_by(load) if run.namespace == "team-a"]
    file = RunFile(mine)
    shared = SharedRuns(file.file.fileno(), ends=file.ends, namespaces=frozenset(file.namespaces), load=load)
    drawn = list(shared.drawn(1))
    other = msgspec.structs.replace(load, seed=5)
    assert drawn == [run for run in drawn_by(other) if run.namespace == "team-a"] != mine
    shared.close()
    file.close()
