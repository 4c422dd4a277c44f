"""Expected starts against what has really happened, in generated histories of 20 kinds."""

import pytest

from bench.histories import History, Kind
from bench.starts import HIGHEST, KINDS, LOWEST, moments, outcome

ROOTS = (3, 4)
"""Two of the four roots of `make bench-starts`, which `.ci/run` calls for all kinds."""
HARD = ("one slot", "three namespaces in a pool", "strict order", "a few of higher priority come")
"""Kinds in which a place in the queue says least about a start."""


@pytest.mark.parametrize("kind", [each for each in KINDS if each.name in HARD], ids=lambda kind: kind.name)
def test_six_of_ten_start_in_their_range(kind: Kind) -> None:
    """That is what is promised, of each kind and not only of all together."""
    came = outcome(each for root in ROOTS for each in moments(kind, root))
    assert LOWEST <= came.inside <= HIGHEST
    assert came.error < 1.25 * came.thumb, "a rule of thumb is no better"


def test_there_are_twenty_kinds() -> None:
    """They differ in what a forecast has to cope with."""
    names = {each.name for each in KINDS}
    assert len(names) == 20
    assert names.issuperset(HARD)


def test_without_anything_learned_the_ranges_are_usable_already() -> None:
    """A new installation has missed nothing yet."""
    came = outcome(each for kind in KINDS[1:7] for each in History(kind, 1).moments())
    assert LOWEST <= came.inside <= 0.85


def test_the_same_history_gives_the_same_ranges() -> None:
    """Nothing is left to chance: the numbers are derived from the data."""
    first, second = (list(History(KINDS[2], 5, runs=80).moments()) for _ in range(2))
    assert first
    assert outcome(first) == outcome(second)
    assert first == second
