"""What was worked out before, kept beside values that never change.

A frozen struct says that its meaning stays. What it takes time to find out about it may be kept all the same,
in a memo: an object that is seen to change, belongs to the one that made it, and has no part in its meaning.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
MOST_KEPT: Final = 10_000
"""Values of a memo whose keys are somebody's choice: names in requests, of which there is no end."""


class Memo(Generic[KeyT, ValueT]):
    """Values by the keys that they were worked out for; safe for any number of threads.

    It belongs to the object that has it as a field, and goes with it. With more than `most` it forgets all
    and begins anew; one without `most` says where it is made what bounds its keys. Any two memos are equal,
    whatever they keep, so that their owners are equal where they mean the same.
    """

    __slots__ = ("_kept", "_most", "get")

    def __init__(self, *, most: int | None = None) -> None:
        self._kept: dict[KeyT, ValueT] = {}
        self._most = most
        # The dictionary's own, with no call of ours between: a review asks for each of its templates.
        self.get: Callable[[KeyT], ValueT | None] = self._kept.get

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memo)

    def __hash__(self) -> int:
        return hash(Memo)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: KeyT, value: ValueT) -> ValueT:
        """Keep what was worked out, in the place of what was kept before; returns it."""
        if self._most is not None and len(self._kept) >= self._most:
            self._kept.clear()
        self._kept[key] = value
        return value

    def get_or(self, key: KeyT, work_out: Callable[[], ValueT]) -> ValueT:
        """Return what is kept, which may be None; what is not is worked out and kept."""
        try:
            return self._kept[key]
        except KeyError:  # Another thread may forget all of them at any time.
            return self.keep(key, work_out())

    def forget(self, key: KeyT) -> None:
        """Keep nothing for this key any more."""
        self._kept.pop(key, None)

    def items(self) -> list[tuple[KeyT, ValueT]]:
        """Return all that is kept now; others may keep more meanwhile."""
        return list(self._kept.items())
