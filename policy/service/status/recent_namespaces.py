"""Counters by namespace, of the namespaces that had something last.

There are ever new ones, and their series would pile up. Under churn the one that was not counted for longest
makes room, so a new team is never without its figures.
"""

from typing import Final

from prometheus_client import Counter

MOST_NAMESPACES: Final = 1000


class RecentNamespaces:
    """The counters of each recent namespace, which begin at 0 together; for one thread at a time."""

    def __init__(self, *, counters: tuple[Counter, ...], most: int = MOST_NAMESPACES) -> None:
        self._counters = counters
        self._most = most
        self._known: dict[str, tuple[Counter, ...]] = {}

    def of(self, namespace: str) -> tuple[Counter, ...]:
        """Return the counters of a namespace, which is now the one that was used last."""
        found = self._known.pop(namespace, None)
        if found is None:
            if len(self._known) >= self._most:
                longest_ago = next(iter(self._known))
                del self._known[longest_ago]
                for counter in self._counters:
                    counter.remove(longest_ago)
            found = tuple(counter.labels(namespace) for counter in self._counters)
        self._known[namespace] = found
        return found
