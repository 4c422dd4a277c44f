"""Some seeds of the simulation, fast enough for every change; `make sim` runs thousands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from policy.cluster import ledgers
from policy.service.leading import leader_election
from policy.service.release import controller
from tests.patience import PATIENCE
from tests.simulation.faithful import Faithful
from tests.simulation.features import WORKING
from tests.simulation.many import run_one
from tests.simulation.report import Totals
from tests.simulation.world import MOST_STEPS, simulate

SEEDS = 60
ROOT = Path(__file__).resolve().parents[2]
DIGEST = (
    "from tests.simulation.faithful import Faithful\n"
    "from tests.simulation.features import WORKING\n"
    "from tests.simulation.world import simulate\n"
    "print(*(simulate(seed, features=WORKING, parts=Faithful()).digest for seed in (1, 3, 10)))\n"
)


def test_every_promise_is_kept_in_many_kinds_of_bad_weather() -> None:
    """A seed that fails is told whole by `python -m tests.simulation --seed N`."""
    totals = Totals()
    for seed in range(SEEDS):
        totals.add(run_one(seed, WORKING, "", MOST_STEPS))
    assert totals.failed == []
    assert totals.steps > 20_000
    assert len(totals.faults) >= 14, "the weather is too mild to prove anything"
    assert set(totals.crashes) == {"webhook", "controller"}
    assert totals.releases > 100
    assert totals.admissions > totals.releases


def test_the_same_seed_gives_the_same_trace() -> None:
    """To the byte: who did what, when, and what came of it."""
    first, second = (simulate(10, features=WORKING, parts=Faithful()) for _ in range(2))
    assert first.trace == second.trace
    assert len(first.trace) > 200
    assert simulate(11, features=WORKING, parts=Faithful()).trace != first.trace


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_trace_does_not_depend_on_the_process(hash_seed: str) -> None:
    """Nothing that decides is the order of a set, or of anything else that hashes of strings decide."""
    here = [simulate(seed, features=WORKING, parts=Faithful()).digest for seed in (1, 3, 10)]
    done = subprocess.run(  # noqa: S603 - our own interpreter, and our own words
        [sys.executable, "-c", DIGEST],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=5 * PATIENCE,
    )
    assert done.stdout.split() == here


def test_the_product_has_its_own_threads_back_after_a_run() -> None:
    """The simulation lends its own for the time of a run only."""
    modules = (controller, leader_election, ledgers)
    before = [dict(vars(module)) for module in modules]
    simulate(1, features=WORKING, parts=Faithful())
    assert [dict(vars(module)) for module in modules] == before


def test_a_run_that_does_not_end_is_ended() -> None:
    """A livelock is a finding like any other."""
    outcome = simulate(1, features=WORKING, parts=Faithful(), most_steps=50)
    assert outcome.rule == "DRAINED"
