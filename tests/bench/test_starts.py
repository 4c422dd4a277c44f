"""Expected starts against what has really happened, in generated histories of 20 kinds."""

from bench.histories import History
from bench.starts import HIGHEST, KINDS, LOWEST, outcome, table


def test_six_of_ten_start_in_their_range() -> None:
    """That is what is promised; a rule of thumb is further off."""
    lines, total = table((1,))
    assert len(lines) == len(KINDS) + 2 == 22
    assert LOWEST <= total.inside <= HIGHEST
    assert total.error < total.thumb


def test_the_same_history_gives_the_same_ranges() -> None:
    """Nothing is left to chance: the numbers are derived from the data."""
    first, second = (list(History(KINDS[2], 5, runs=80).moments()) for _ in range(2))
    assert first
    assert outcome(first) == outcome(second)
    assert first == second
