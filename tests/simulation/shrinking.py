"""From a run that fails to the plainest one that fails alike, by leaving decisions out."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tests.simulation.world import Outcome

MOST_RUNS: Final = 400
"""How many runs a shrinking may cost; most come to their end long before."""

Rerun = Callable[[frozenset[str]], Outcome]


class Shrunk(msgspec.Struct, frozen=True):
    """The plainest failing run that was found; leaving out `left_out` gives it again."""

    outcome: Outcome
    left_out: frozenset[str]
    runs: int

    @property
    def decisions(self) -> list[str]:
        """The decisions without which it does not fail."""
        return list(dict.fromkeys(self.outcome.taken))


class _Search:
    """One shrinking: what is left out so far, and the run that it gives."""

    def __init__(self, rerun: Rerun, failing: Outcome) -> None:
        self._rerun = rerun
        self.best = failing
        self.left_out: frozenset[str] = frozenset()
        self.runs = 0

    def remaining(self) -> list[str]:
        """Return what could still be left out."""
        return list(dict.fromkeys(self.best.taken))

    def try_without(self, decisions: Sequence[str]) -> bool:
        """Leave more out where the run still breaks the same promise."""
        if not decisions or self.runs >= MOST_RUNS:
            return False
        self.runs += 1
        outcome = self._rerun(self.left_out | frozenset(decisions))
        if outcome.rule != self.best.rule:
            return False
        self.best, self.left_out = outcome, self.left_out | frozenset(decisions)
        return True


def shrink(rerun: Rerun, failing: Outcome) -> Shrunk:
    """Return the plainest run found: whole kinds of decision go first, then ever smaller pieces."""
    search = _Search(rerun, failing)
    for kind in sorted({_kind(each) for each in search.remaining()}):
        search.try_without([each for each in search.remaining() if _kind(each) == kind])
    for row in sorted({_row(each) for each in search.remaining()} - {""}):
        search.try_without([each for each in search.remaining() if _row(each) == row])
    pieces = 2
    while pieces <= 2 * len(search.remaining()) and search.runs < MOST_RUNS:
        pieces = 2 if _pass(search, pieces) else pieces * 2
    return Shrunk(search.best, search.left_out, search.runs)


def _pass(search: _Search, pieces: int) -> bool:
    """Try to leave out each of so many pieces; tells whether one could go that is not the last few."""
    candidates = search.remaining()
    size = max(1, -(-len(candidates) // pieces))
    starts = range(len(candidates), 0, -size)  # What came last matters least.
    gone = [search.try_without(candidates[max(0, end - size) : end]) for end in starts]
    return any(gone) and size > 1


def _kind(decision: str) -> str:
    """Return what a decision is about: its last word, or the whole of a setting of the weather."""
    return decision if decision.startswith("weather") else decision.rpartition(" ")[2]


def _row(decision: str) -> str:
    """Return the row of the scenario that a decision belongs to."""
    word = decision.partition(" ")[0]
    return word if word[:1] == "w" and word[1:].isdecimal() else ""
