"""How much of one namespace is stored: the oldest objects, up to a bound.

Which are stored does not depend on the order in which they arrive: all that are older than the first that
does not fit. So all replicas store the same, and no user gets an object left out by creating newer ones.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from policy.sources.documents import Document

Age: TypeAlias = tuple[str, str]
"""When an object was created, and its name, which decides between those of one second."""


class Scope(msgspec.Struct, frozen=True, order=True):
    """Which objects are read together: those of a namespace, or the one of a name there.

    Both are empty for objects of the cluster. With `names`, keys of ConfigMaps are stored that are no limits.
    """

    namespace: str = ""
    name: str = ""
    names: bool = False


class PortionBound(msgspec.Struct, frozen=True):
    """How much of one namespace is stored: so many `units` (objects or keys), and so many characters."""

    units: int
    size: int
    unit: str

    def __str__(self) -> str:
        return f"{self.units} {self.unit}, {self.size >> 20} MiB"


class PortionBounds(msgspec.Struct, frozen=True):
    """How much is stored of a namespace, and how soon one that has more is listed again, in seconds."""

    templates: PortionBound = PortionBound(2_000, 4 << 20, "objects")
    config_maps: PortionBound = PortionBound(10_000, 1 << 20, "keys")
    again: float = 30.0


USUAL_BOUNDS: Final = PortionBounds()


class ReducedObject(msgspec.Struct, frozen=True):
    """An object as it is stored, and how much of the bound it uses."""

    document: Document
    uid: str
    age: Age
    units: int
    size: int


class Portion:
    """What is stored of one scope, by uid.

    `left_out` counts the others: exactly after a listing, and later by the changes that arrive. Only a
    listing sets it back to 0, since what was left out has to be read then; `stale` means that one is due.
    """

    def __init__(self, *, bound: PortionBound) -> None:
        self.stored: dict[str, ReducedObject] = {}
        self.left_out = 0
        self.stale = False
        self.bound = bound
        self._units = 0
        self._size = 0
        self._ages: list[tuple[Age, str]] = []
        self._first_out: Age | None = None

    def documents(self) -> Iterator[Document]:
        """Yield what is stored."""
        return (each.document for each in self.stored.values())

    def takes(self, uid: str, age: Age, *, new: bool = True) -> bool:
        """Return whether an object may be stored; one that may not is left out, and counted if `new`."""
        if uid in self.stored or self._first_out is None or age < self._first_out:
            return True
        self.left_out += new
        self.stale = True
        return False

    def put(self, new: ReducedObject) -> bool:
        """Store an object in place of what it was before; return whether documents changed."""
        old = self.stored.get(new.uid)
        if old is not None and old.document == new.document:
            return False
        if old is not None and self.left_out and (new.units, new.size) < (old.units, old.size):
            self.stale = True
        self._remove(new.uid)
        self.stored[new.uid] = new
        insort(self._ages, (new.age, new.uid))
        self._units += new.units
        self._size += new.size
        while self._units > self.bound.units or self._size > self.bound.size:
            self._first_out, newest = self._ages[-1]
            self._remove(newest)
            self.left_out += 1
        return True

    def drop(self, uid: str) -> bool:
        """Remove an object; return whether it was stored."""
        known = uid in self.stored
        self._remove(uid)
        if self.left_out:
            self.stale = True
            if not known and self.left_out > 1:
                self.left_out -= 1
        return known

    def _remove(self, uid: str) -> None:
        removed = self.stored.pop(uid, None)
        if removed is not None:
            del self._ages[bisect_left(self._ages, (removed.age, uid))]
            self._units -= removed.units
            self._size -= removed.size
