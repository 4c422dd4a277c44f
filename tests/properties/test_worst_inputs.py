"""Whatever is sent, a review ends with its time: each part of it gets the worst input that could be found.

Here with a seventh of the size and of the time that the API server may send and wait; `make worst` has all.
"""

from itertools import cycle
from typing import Final

import pytest

from policy.core.decision.decision import Side
from tests.properties.worst_inputs import SPECS, WORST
from tests.properties.worst_policies import POLICIES
from tests.properties.worst_trial import SLACK, WORLDS, Spent, spent
from tests.webhook.oracle import Json
from webhook.review import Reviewing

SIZE: Final = 1_000_000
SECONDS: Final = 0.15
OUTCOMES: Final = frozenset({"answered", "504 Gateway Timeout", "400 Bad Request"})
FORMS: Final = ("create", "template", "edit", "schedule", "edit template", "retry")
CASES: Final = (
    *(f"{form} {name}" for form, name in zip(cycle(FORMS), SPECS, strict=False)),
    *(name for name in WORST if name.split()[-1] not in SPECS),
)
"""Each input in one of its forms, and those that have only one."""


def at_best(asked: Json, side: Side, parts: Reviewing) -> Spent:
    """Return what a review took, at the second time where Python cleaned up in the first."""
    took = spent(asked, side, SECONDS, parts)
    return took if took.seconds < SLACK * SECONDS else spent(asked, side, SECONDS, parts)


@pytest.mark.parametrize(("name", "world"), list(zip(CASES, cycle(WORLDS), strict=False)))
def test_the_worst_input_of_each_part_ends_with_its_time(name: str, world: str) -> None:
    """Nobody's object makes a review run on: it is answered, or the failure policy decides."""
    took = at_best(WORST[name](SIZE), Side.VALIDATE, WORLDS[world])
    assert took.outcome in OUTCOMES
    assert took.seconds < SLACK * SECONDS


@pytest.mark.parametrize("name", POLICIES)
def test_the_worst_policy_of_each_part_ends_with_its_time(name: str) -> None:
    """Nor does an author's policy."""
    took = at_best(POLICIES[name](SIZE), Side.POLICIES, WORLDS["direct"])
    assert took.outcome in OUTCOMES
    assert took.seconds < SLACK * SECONDS


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
def test_the_ladder_of_a_hundred_locked_templates_is_cheap(side: Side) -> None:
    """A small object is judged in far less time than anybody waits, however its templates call each other."""
    ladder = WORST["create ladder"](34_000)
    assert min(spent(ladder, side, 10, WORLDS["direct"]).seconds for _ in range(3)) < 0.2


@pytest.mark.parametrize("shape", ["ladder", "locked_chain", "one_lock_chain", "circles", "tangle"])
def test_twice_the_templates_take_not_much_more_than_twice_the_time(shape: str) -> None:
    """The analysis of deadlocks grows with what is written, and not with the ways through it."""

    def seconds(size: int) -> float:
        asked = WORST[f"create {shape}"](size)
        return min(spent(asked, Side.VALIDATE, 60, WORLDS["direct"]).seconds for _ in range(3))

    assert seconds(140_000) < 3.5 * seconds(70_000) + 0.02
