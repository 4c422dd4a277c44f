"""A budget for tests, that counts how often anybody looks at the time."""

from policy.core.values.budget import Part, TimeSpentError


class Looks:
    """Time for so many looks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.looks = 0

    def check(self, part: Part) -> None:
        self.looks += 1
        if self.looks > self._most:
            raise TimeSpentError(part)
