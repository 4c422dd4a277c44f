"""A budget for tests that counts how often the time is checked."""

from policy.core.values.budget import Part, TimeSpentError


class CountingBudget:
    """A budget that is spent after so many checks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.checks = 0

    def check(self, part: Part) -> None:
        self.checks += 1
        if self.checks > self._most:
            raise TimeSpentError(part)
