"""What-ifs are played once each, in rounds: all that the searches ask for, then what they ask for next.

So the outcome does not depend on the number of processes, nor on which of them is faster.
"""

from collections.abc import Callable, Sequence

from lockkeeper.suggesting.strategies.settings import Values
from lockkeeper.suggesting.strategies.smallest_settings import BudgetSpentError, Found, Search
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits
from lockkeeper.suggesting.strategies.ways import Way
from lockkeeper.suggesting.what_if import PolicyWhatIf
from lockkeeper.suggesting.worker_processes import Answerers


class PlayedWhatIfs:
    """All what-ifs that were played, `most` of them at most.

    `progress` is told how many are, and of how many (`goal`).
    """

    def __init__(
        self, answerers: Answerers, *, most: int, progress: Callable[[int, int], object] = lambda *_: None
    ) -> None:
        self._answerers = answerers
        self._most = self.goal = most
        self._progress = progress
        self.known: dict[PolicyWhatIf, AllWaits | None] = {}
        self._done = 0

    @property
    def left(self) -> int:
        """How many may still be played."""
        return max(0, self._most - len(self.known))

    def answers(self, asked: Sequence[PolicyWhatIf]) -> list[AllWaits | None]:
        """Return what comes of some, of which those that are new are played.

        Raises:
            BudgetSpentError: they are more than may be played.
        """
        new = [each for each in dict.fromkeys(asked) if each not in self.known]
        if len(new) > self.left:
            raise BudgetSpentError
        found = self._answerers.answers(new, self._played)
        self.known.update(zip(new, found, strict=True))
        return [self.known[each] for each in asked]

    def search(self, searches: Sequence[tuple[Way, Search]]) -> list[Found]:
        """Return where searches ended, each for one way."""
        found: dict[int, Found] = {}
        asked: dict[int, list[PolicyWhatIf]] = {}
        for at, (way, search) in enumerate(searches):
            asked[at] = [what_if(way, each) for each in next(search)]
        while asked:
            try:
                self.answers([each for some in asked.values() for each in some])
            except BudgetSpentError as error:
                for at in asked:
                    found[at] = _stopped(searches[at][1], error)
                break
            upcoming: dict[int, list[PolicyWhatIf]] = {}
            for at, some in asked.items():
                way, search = searches[at]
                try:
                    upcoming[at] = [
                        what_if(way, each) for each in search.send([self.known[each] for each in some])
                    ]
                except StopIteration as end:
                    found[at] = end.value
            asked = upcoming
        return [found[at] for at in range(len(searches))]

    def _played(self) -> None:
        self._done += 1
        self._progress(self._done, self.goal)


def what_if(way: Way, values: Values, drawing: int = 0) -> PolicyWhatIf:
    """Return what is to be played for settings of a way."""
    changes = way.changes(values)
    return PolicyWhatIf(changes, way.window if changes else None, drawing)


def _stopped(search: Search, error: BudgetSpentError) -> Found:
    """Return the best that a search had found when no more may be played."""
    try:
        search.throw(error)
    except StopIteration as end:
        found: Found = end.value
        return found
    raise AssertionError("a search ends when no more may be played")
