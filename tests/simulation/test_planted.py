"""Every planted bug is found: a simulation that finds nothing anywhere would prove nothing.

SEEDS is how many seeds may be needed at most. The seeds that are known to find a bug are tried first; when
the product or the simulation has changed so that they do no more, the test searches (and takes its time).
"""

from typing import Final

import pytest

from tests.simulation.features import WORKING
from tests.simulation.planted import PLANTED
from tests.simulation.referee import Rule
from tests.simulation.shrinking import shrink
from tests.simulation.world import Outcome, simulate

SEEDS: Final = 2_000
KNOWN: Final = {
    "no-epoch": 13,
    "list-before-fence": 9,
    "patch-before-reserve": 2,
    "cancel-release": 21,
    "untested-patch": 78,
    "expire-without-list": 524,
    "expire-too-soon": 1,
    "never-expire": 1,
    "same-reservation-id": 3,
    "no-cancel": 26,
    "used-alone": 1,
    "blind-write": 17,
    "instance-lost": 4,
    "old-events": 67,
    "priority-ignored": 7,
    "release-once": 354,
    "uncounted-account": 83,
    "left-behind": 69,
    "label-believed": 14,
    "takes-over": 2,
    "drops-together": 2,
    "boundless-line": 2,
    "root-for-ever": 2,
}


def found(planted: str) -> Outcome | None:
    """Return the first failing run with a bug."""
    for seed in (KNOWN[planted], *range(SEEDS)):
        outcome = simulate(seed, features=WORKING, parts=PLANTED[planted]())
        if outcome.rule:
            return outcome
    return None


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found(planted: str) -> None:
    """Each breaks one rule of docs/protocol.md, and breaks a promise by it."""
    outcome = found(planted)
    assert outcome is not None, f"{planted} was not found within {SEEDS} seeds"
    assert outcome.rule in Rule.__members__
    assert outcome.finding


def test_every_bug_has_a_seed_that_is_known_to_find_it() -> None:
    """New bugs come with one."""
    assert KNOWN.keys() == PLANTED.keys()
    assert max(KNOWN.values()) < SEEDS


def test_a_failing_run_is_shrunk_to_few_decisions() -> None:
    """What is left breaks the same promise, in fewer steps, and each decision left is needed."""
    planted = "patch-before-reserve"
    failing = found(planted)
    assert failing is not None

    def rerun(left_out: frozenset[str]) -> Outcome:
        return simulate(failing.seed, features=WORKING, parts=PLANTED[planted](), left_out=left_out)

    shrunk = shrink(rerun, failing)
    assert shrunk.outcome.rule == failing.rule
    assert shrunk.outcome.steps <= failing.steps
    assert len(shrunk.decisions) < len(set(failing.taken)) / 2
    assert rerun(shrunk.left_out).trace == shrunk.outcome.trace
    for each in shrunk.decisions:
        assert rerun(shrunk.left_out | {each}).rule != failing.rule, f"{each} is not needed"
