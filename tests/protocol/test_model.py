"""The model of the ledger protocol in small worlds; `make sim` checks the large ones."""

import pytest

from tests.protocol import roots, sets
from tests.protocol.checking import PLANTED, AnyBug, World, check
from tests.protocol.roots import Roots
from tests.protocol.rules import Bug, Model
from tests.protocol.sets import Sets

SMALL = (
    Model(queued=1, denied=1),
    Model(queued=0, denied=2),
    Model(queued=0, denied=2, delete=True, same=True),
    Roots(queued=1),
    Sets(queued=1, denied=True, leaders=(0, 1)),
)


@pytest.mark.parametrize("model", SMALL, ids=str)
def test_no_interleaving_exceeds_the_limit_or_loses_a_slot(model: World) -> None:
    """Two leaders that both may believe, crashes, lost and late requests."""
    explored = check(model)
    assert (explored.finding, explored.trail) == ("", ())
    assert explored.states > 10_000


@pytest.mark.parametrize("bug", [*Bug, *roots.Bug, *sets.Bug])
def test_without_one_of_the_rules_the_limit_is_exceeded(bug: AnyBug) -> None:
    """So each of them is needed; the way there is the shortest there is."""
    explored = check(PLANTED[bug])
    assert explored.finding == "limit exceeded"
    assert 0 < len(explored.trail) <= (18 if isinstance(bug, Bug) else 27)
