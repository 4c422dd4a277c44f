"""What became of each single run, in few bytes: to compare two plays of one history run by run."""

from array import array
from typing import Final

DENIED: Final = -1.0
GAVE_UP: Final = -2.0
NEVER_STARTED: Final = -3.0
_UNSET: Final = -9.0


class Fates:
    """By the number of each run its wait in seconds, or why it has none; and its namespace."""

    def __init__(self) -> None:
        self.values = array("d")
        self.namespaces: list[str] = []
        self._numbers: dict[str, int] = {}
        self._of_runs = array("l")

    def put(self, number: int, namespace: str, value: float) -> None:
        """Note what became of a run."""
        missing = number + 1 - len(self.values)
        if missing > 0:
            self.values.extend([_UNSET] * missing)
            self._of_runs.extend([0] * missing)
        known = self._numbers.get(namespace)
        if known is None:
            known = self._numbers[namespace] = len(self.namespaces)
            self.namespaces.append(namespace)
        self._of_runs[number] = known
        self.values[number] = value

    def namespace(self, number: int) -> str:
        """Return the namespace of a run."""
        return self.namespaces[self._of_runs[number]]
