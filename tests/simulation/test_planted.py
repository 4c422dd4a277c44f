"""Every planted bug is found: a simulation that finds nothing anywhere would prove nothing.

SEEDS is how many seeds may be needed at most. The seeds that are known to find a bug are tried first; when
the product or the simulation has changed so that they do no more, the test searches. Each bug is sought in
a small world, where people only create and delete, and do what NEEDS tells of it: there is less to play in
a run, mostly one of the first seeds finds it, and so a search for another seed stays short.
"""

from typing import Final

import pytest

from tests.simulation.faithful import Faithful
from tests.simulation.features import WORKING
from tests.simulation.planted import PLANTED
from tests.simulation.referee import Rule
from tests.simulation.scenario import Feature
from tests.simulation.shrinking import shrink
from tests.simulation.world import Outcome, simulate

SEEDS: Final = 2_000
KNOWN: Final = {
    "no-epoch": 4,
    "list-before-fence": 3,
    "patch-before-reserve": 2,
    "cancel-release": 2,
    "untested-patch": 75,
    "expire-without-list": 524,
    "expire-too-soon": 5,
    "never-expire": 1,
    "same-reservation-id": 1,
    "no-cancel": 28,
    "used-alone": 1,
    "blind-write": 1,
    "instance-lost": 2,
    "old-events": 7,
    "priority-ignored": 2,
    "release-once": 17,
    "uncounted-account": 79,
    "left-behind": 39,
    "label-believed": 1,
    "takes-over": 3,
    "drops-together": 14,
    "boundless-line": 2,
    "root-for-ever": 1,
    "key-unreserved": 1,
    "key-left-behind": 459,
    "key-recomputed": 108,
    "ends-too-early": 1,
}
NOTHING: Final[frozenset[Feature]] = frozenset()
NEEDS: Final = {
    "no-epoch": NOTHING,
    "list-before-fence": NOTHING,
    "patch-before-reserve": NOTHING,
    "cancel-release": NOTHING,
    "untested-patch": frozenset({Feature.RETRIES}),
    "expire-without-list": NOTHING,
    "expire-too-soon": NOTHING,
    "never-expire": NOTHING,
    "same-reservation-id": NOTHING,
    "no-cancel": NOTHING,
    "used-alone": NOTHING,
    "blind-write": NOTHING,
    "instance-lost": NOTHING,
    "old-events": NOTHING,
    "priority-ignored": NOTHING,
    "release-once": frozenset({Feature.LINES, Feature.RETRIES}),
    "uncounted-account": frozenset({Feature.POOLS_GO, Feature.EDITS}),
    "left-behind": frozenset({Feature.POOLS_GO, Feature.EDITS}),
    "label-believed": frozenset({Feature.COPIED_MARKS}),
    "takes-over": frozenset({Feature.TWINS}),
    "drops-together": frozenset({Feature.TWINS}),
    "boundless-line": frozenset({Feature.LINES}),
    "root-for-ever": frozenset({Feature.LINES}),
}
"""What people have to do beyond creating and deleting, so that a bug can do its harm."""


def world_of(planted: str) -> frozenset[Feature]:
    """Return what people do where a bug is sought: everything, while NEEDS does not tell what it needs."""
    return NEEDS.get(planted, WORKING)


def found(planted: str) -> Outcome | None:
    """Return the first failing run with a bug."""
    for seed in (KNOWN[planted], *range(SEEDS)):
        outcome = simulate(seed, features=world_of(planted), parts=PLANTED[planted]())
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
    sound = simulate(outcome.seed, features=world_of(planted), parts=Faithful())
    assert sound.rule == "", "the same run breaks a promise without the bug, too"


def test_every_bug_has_a_seed_that_is_known_to_find_it() -> None:
    """New bugs come with one."""
    assert KNOWN.keys() == PLANTED.keys()
    assert NEEDS.keys() <= KNOWN.keys()
    assert max(KNOWN.values()) < SEEDS


def test_a_failing_run_is_shrunk_to_few_decisions() -> None:
    """What is left breaks the same promise, in fewer steps, and each decision left is needed."""
    planted = "patch-before-reserve"
    failing = found(planted)
    assert failing is not None

    def rerun(left_out: frozenset[str]) -> Outcome:
        return simulate(failing.seed, features=world_of(planted), parts=PLANTED[planted](), left_out=left_out)

    shrunk = shrink(rerun, failing)
    assert shrunk.outcome.rule == failing.rule
    assert shrunk.outcome.steps <= failing.steps
    assert len(shrunk.decisions) < len(set(failing.taken)) / 2
    assert rerun(shrunk.left_out).trace == shrunk.outcome.trace
    for each in shrunk.decisions:
        assert rerun(shrunk.left_out | {each}).rule != failing.rule, f"{each} is not needed"
