"""The scenario is Kueue's, and what is reported of it is right; the run itself needs a control plane."""

from collections import Counter

import msgspec
import pytest

from bench.queue_figures import Figures
from bench.queue_scenario import CLASSES, arrivals, namespaces, pools
from bench.queueing import BASE, THIS, goals, report
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policies.snapshot import take_snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, NamespaceObject


def figures(wall: float, *, writes: float = 3.0) -> Figures:
    """Return the figures of a run."""
    return Figures(
        workflows=30,
        wall=wall,
        waits={each.name: (wall / 2, wall) for each in CLASSES},
        cpu={"kube-apiserver": wall, "leader": wall / 10},
        memory={"leader": 80.0},
        requests={"PATCH workflows": writes, "GET quotaledgers": 0.5},
        exceeded=0,
        load=(1.0, 1.0),
    )


def test_there_are_as_many_workflows_as_in_kueues_scenario() -> None:
    """15,000 in 30 queues: 350 small ones each, 100 of middle size and 50 large ones."""
    found = arrivals(1.0)
    assert Counter(each.of for each in found) == {"small": 10_500, "medium": 3000, "large": 1500}
    assert len({each.namespace for each in found}) == 30
    assert len({(each.namespace, each.name) for each in found}) == 15_000


def test_the_last_of_each_class_comes_when_its_pace_says() -> None:
    """One small Workflow of a queue every tenth of a second, and so on."""
    last = {each.of: each.due for each in arrivals(1.0)}
    assert last == {"small": pytest.approx(35), "medium": pytest.approx(50), "large": pytest.approx(60)}


def test_a_part_of_the_scenario_has_some_of_every_class() -> None:
    """A short run must have figures for each."""
    assert Counter(each.of for each in arrivals(0.001)) == {"small": 30, "medium": 30, "large": 30}


def test_every_namespace_is_in_a_pool_that_lends_what_kueues_cohorts_lend() -> None:
    """A share of 20 tasks each, and 100 more where others leave them."""
    found = [msgspec.convert(each, ClusterWorkflowQuota) for each in pools()]
    names = [msgspec.convert(each, NamespaceObject) for each in namespaces()]
    snapshot = take_snapshot([*found, *names], version="1", argo=DEFAULT_VERSION)
    assert len(snapshot.pools) == 5
    assert len(names) == 30
    for each in names:
        pool = snapshot.pool(each.metadata.name)
        assert pool is not None
        assert pool.borrows
        assert pool.quota.highest.tasks.value == 120


def test_a_table_of_two_builds_has_their_ratio() -> None:
    """It is the median of all runs of each."""
    lines = report([(BASE, figures(10)), (THIS, figures(5, writes=2.0))])
    assert lines[0].split() == ["base", "this", "ratio"]
    assert "wall, s                                         10.00     5.00    0.50" in lines
    assert "  PATCH workflows                                3.00     2.00    0.67" in lines


def test_reads_are_no_writes() -> None:
    """Of the requests only those that write count as such."""
    assert figures(1).writes == 3.0


def test_a_goal_is_judged_by_the_ratios_within_rounds() -> None:
    """A machine that becomes busy between two rounds moves no ratio within one."""
    lines = goals([(BASE, figures(10)), (THIS, figures(6)), (THIS, figures(60)), (BASE, figures(100))])
    assert lines[0].split() == [
        "wall,",
        "s",
        "at",
        "most",
        "0.70",
        "of",
        "base:",
        "0.60",
        "(0.60-0.60)",
        "met",
    ]
    assert [line for line in lines if line.endswith("NOT MET")] == []
    missed = goals([(BASE, figures(10)), (THIS, figures(9))])
    assert [line.split(",")[0] for line in missed if line.endswith("NOT MET")][:1] == ["wall"]
