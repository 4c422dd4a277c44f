"""A cache of computed results, for owners that are immutable otherwise.

A frozen struct has no hidden mutable fields. What is slow to compute from it is stored in a memo: a visible,
mutable object that belongs to its creator and does not count when two owners are compared.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
MOST_KEPT: Final = 10_000
"""Values of a memo whose keys come from requests, so that there is no bound on them."""


class Memo(Generic[KeyT, ValueT]):
    """Values by the keys that they were computed for; safe for any number of threads.

    It belongs to the object that has it as a field. At `most` values it is cleared; without `most`, its
    creator states what bounds the keys. Any two memos are equal, whatever they store, so that owners are
    equal where their other fields are.
    """

    __slots__ = ("_most", "_values", "get")

    def __init__(self, *, most: int | None = None) -> None:
        self._values: dict[KeyT, ValueT] = {}
        self._most = most
        # The method of the dictionary itself, because a review calls it for each of its templates.
        self.get: Callable[[KeyT], ValueT | None] = self._values.get

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memo)

    def __hash__(self) -> int:
        return hash(Memo)

    def __len__(self) -> int:
        return len(self._values)

    def keep(self, key: KeyT, value: ValueT) -> ValueT:
        """Store a value in place of an older one, and return it."""
        if self._most is not None and len(self._values) >= self._most:
            self._values.clear()
        self._values[key] = value
        return value

    def get_or(self, key: KeyT, compute: Callable[[], ValueT]) -> ValueT:
        """Return the stored value, which may be None; where there is none, compute and store it."""
        try:
            return self._values[key]
        except KeyError:  # Another thread may clear it at any time.
            return self.keep(key, compute())

    def forget(self, key: KeyT) -> None:
        """Remove the value of a key."""
        self._values.pop(key, None)

    def items(self) -> list[tuple[KeyT, ValueT]]:
        """Return all that is stored now; other threads may store more meanwhile."""
        return list(self._values.items())
