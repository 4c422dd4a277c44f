"""The current objects of the in-memory cluster, found by name, by uid and by owner.

It knows nothing of versions, events or locks: `memory.py` calls it under its own lock.
"""

from typing import TypeAlias

from policy.cluster.memory.stored_objects import StoredObject
from policy.cluster.protocol import Resource

_Address: TypeAlias = tuple[Resource, str, str]
"""Resource, namespace ("" for cluster-scoped kinds) and name."""


class ObjectTable:
    """Objects by address, with an index from an owner's uid to what it owns."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[tuple[str, str], StoredObject]] = {}
        self._uids: set[str] = set()
        # Ordered by insertion and not a set, because a cascade has to run in the same order in every process.
        self._owned: dict[str, dict[_Address, None]] = {}

    def find(self, resource: Resource, namespace: str, name: str) -> StoredObject | None:
        """Return the object at an address, or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def every(self, resource: Resource) -> tuple[StoredObject, ...]:
        """Return all objects of a kind, in no particular order."""
        return tuple(self._objects.get(resource, {}).values())

    def lives(self, uid: str) -> bool:
        """Return whether an object of that uid exists."""
        return uid in self._uids

    def dependants(self, uid: str) -> tuple[StoredObject, ...]:
        """Return the objects, of any kind, whose owner references name the uid, oldest reference first."""
        found = (self.find(*address) for address in self._owned.get(uid, ()))
        return tuple(stored for stored in found if stored is not None)

    def put(self, stored: StoredObject) -> None:
        """Store the object at its address, over the one that is there."""
        facts = stored.facts
        before = self.find(stored.resource, facts.namespace, facts.name)
        if before is not None:
            self._forget_owners(before)
        self._objects.setdefault(stored.resource, {})[facts.namespace, facts.name] = stored
        self._uids.add(facts.uid)
        for owner in facts.owner_references:
            self._owned.setdefault(owner.uid, {})[_address(stored)] = None

    def drop(self, stored: StoredObject) -> None:
        """Remove the object from its address."""
        self._forget_owners(stored)
        self._uids.discard(stored.facts.uid)
        del self._objects[stored.resource][stored.facts.namespace, stored.facts.name]

    def _forget_owners(self, stored: StoredObject) -> None:
        """Take the object out of the index of its owners."""
        for owner in stored.facts.owner_references:
            owned = self._owned.get(owner.uid, {})
            owned.pop(_address(stored), None)
            if not owned:
                self._owned.pop(owner.uid, None)


def _address(stored: StoredObject) -> _Address:
    """Return the address of the object."""
    return stored.resource, stored.facts.namespace, stored.facts.name
