"""The Cluster protocol in memory, with the contracts of the Kubernetes API server.

It is what embedded mode, the simulation and most tests run on. One lock guards everything; under it a write
is checked, stored and logged as one step, and what callers get is decoded outside of it. The clock and the
random numbers are given, so a run can be repeated exactly.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from threading import RLock
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from policy.cluster.errors import AlreadyExists, Conflict, Invalid, NotFound
from policy.cluster.memory.change_log import ChangeLog, WatchedObjects
from policy.cluster.memory.managed_fields import applied, first_applied, is_managed, rewritten
from policy.cluster.memory.patching import apply_patch
from policy.cluster.memory.selector_syntax import parse_selector
from policy.cluster.memory.stored_objects import (
    ObjectTable,
    StoredMetadata,
    StoredObject,
    created,
    encoded,
    has_status_apart,
    marked_deleted,
    namespace_of,
    revised,
    without_owner,
)
from policy.cluster.protocol import (
    STATUS,
    Listing,
    Patch,
    Preconditions,
    Resource,
    Selection,
    WatchEvent,
)
from policy.cluster.shaped_reads import Shaping
from policy.core.objects.json_patch import JsonObject

_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of name suffixes in Kubernetes: no vowels and none that look alike."""
_SUFFIX_LENGTH: Final = 5
_NAME_ATTEMPTS: Final = 8
"""How many generated names the API server tries before it answers AlreadyExists."""


class MemoryCluster(Shaping):
    """A cluster in memory; safe for any number of threads.

    `clock` gives aware times for creation and deletion stamps, `rng` gives uids and generated names, and
    `log_size` is how many changes a watch may lag behind before it is Gone.
    """

    def __init__(self, *, clock: Callable[[], datetime], rng: Random, log_size: int = 10_000) -> None:
        self._clock = clock
        self._rng = rng
        self._lock = RLock()
        self._table = ObjectTable()
        self._log = ChangeLog(lock=self._lock, size=log_size)

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Return one object. Raises NotFound."""
        with self._lock:
            stored = self._find(resource, namespace, name)
        return stored.full()

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Return the objects, sorted by namespace and name. Raises Invalid for a bad selector."""
        view = _view(Selection(resource, namespace, labels, metadata_only, name))
        with self._lock:
            present = self._table.every(resource)
            version = self._log.version
        found = sorted(filter(view.covers, present), key=lambda one: (one.facts.namespace, one.facts.name))
        return Listing(tuple(map(view.shown, found)), str(version))

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Yield every change after version `since` until `timeout` seconds from now, or `close`.

        With a timeout of 0 it yields what there is. Raises Gone (here, or later when the reader is outrun)
        and Invalid for a bad selector.
        """
        view = _view(Selection(resource, namespace, labels, metadata_only, name))
        return self._log.follow(view, position=self._log.position(since), deadline=monotonic() + timeout)

    @property
    def version(self) -> str:
        """The version of the last change."""
        with self._lock:
            return str(self._log.version)

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Store a new object and return it as stored; a dry run stores nothing, so its version is absent.

        Raises AlreadyExists, Invalid.
        """
        return self.create_as("", resource, obj, namespace=namespace, dry_run=dry_run)

    def create_as(
        self,
        manager: str,
        resource: Resource,
        obj: JsonObject,
        *,
        namespace: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """Store a new object whose fields a manager owns, from this first write on."""
        draft = encoded(resource, obj)
        with self._lock:
            name = self._free_name(resource, namespace_of(draft, namespace), draft.facts)
            uid = str(UUID(int=self._rng.getrandbits(128), version=4))
            if (manager or is_managed(b"", draft.content)) and not is_managed(draft.metadata, b""):
                draft = draft.with_metadata({"managedFields": rewritten({}, draft.full(), manager)})
            new = created(draft, namespace=namespace, name=name, uid=uid, at=self._clock())
            stored = new if dry_run else self._put(new, before=None)
        return stored.full()

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Store the object over the one with its name; without a resourceVersion it does so in any case.

        Raises NotFound, Conflict when version or uid are others, Invalid.
        """
        return self.replace_as("", resource, obj)

    def replace_as(
        self,
        manager: str,
        resource: Resource,
        obj: JsonObject,
        *,
        owned: bool = False,
        dry_run: bool = False,
    ) -> JsonObject:
        """Store the object over the one with its name; a manager owns what changes.

        `owned` means that the object has the owners of its fields already.
        """
        draft = encoded(resource, obj)
        if not draft.facts.name:
            raise Invalid("metadata.name: name is required")
        with self._lock:
            old = self._find(resource, namespace_of(draft), draft.facts.name)
            _require(old, uid=draft.facts.uid)
            stored = self._update(old, draft, owned=owned, manager=manager, dry_run=dry_run)
        return stored.full()

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        """Apply a patch to an object, or to its status alone. Raises NotFound, Conflict, Invalid."""
        with self._lock:
            old = self._find(resource, namespace, name)
            if subresource and not (subresource == STATUS and has_status_apart(old)):
                raise NotFound(f"{resource.plural} have no subresource {subresource!r}")
            draft = encoded(resource, apply_patch(old.full(), patch))
            _keeps_identity(old.facts, draft.facts)
            stored = self._update_status(old, draft) if subresource else self._update(old, draft)
        return stored.full()

    def applied(
        self, resource: Resource, obj: JsonObject, *, field_manager: str, force: bool = False
    ) -> JsonObject:
        """Return what an apply would make of an object that is there. Raises NotFound, Conflict."""
        config = encoded(resource, obj)
        with self._lock:
            old = self._find(resource, namespace_of(config), config.facts.name)
        return applied(old.full(), obj, field_manager, force=force)

    def apply(
        self, resource: Resource, obj: JsonObject, *, field_manager: str, force: bool = False
    ) -> JsonObject:
        """Apply an object: create it, or set the fields that it gives and own them. Raises Conflict."""
        config = encoded(resource, obj)
        if not config.facts.name:
            raise Invalid("metadata.name: name is required")
        with self._lock:
            old = self._table.find(resource, namespace_of(config), config.facts.name)
            if old is None:
                return self.create(resource, first_applied(obj, field_manager))
            draft = encoded(resource, applied(old.full(), obj, field_manager, force=force))
            stored = self._update(old, draft, owned=True)
        return stored.full()

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        preconditions: Preconditions | None = None,
    ) -> None:
        """Delete the object and what it owns; with finalizers it is marked, and removed with the last one.

        Raises NotFound, Conflict.
        """
        wanted = preconditions or Preconditions()
        with self._lock:
            old = self._find(resource, namespace, name)
            _require(old, uid=wanted.uid or "", version=wanted.resource_version or "")
            if old.facts.finalizers:
                self._mark_deleted(old)
            else:
                self._remove(old)

    def close(self) -> None:
        """End every watch, now and later; reads and writes still work."""
        self._log.close()

    def _find(self, resource: Resource, namespace: str, name: str) -> StoredObject:
        """Return the stored object. Raises NotFound."""
        stored = self._table.find(resource, namespace, name)
        if stored is None:
            raise NotFound(f'{resource.plural} "{name}" not found in namespace "{namespace}"')
        return stored

    def _free_name(self, resource: Resource, namespace: str, facts: StoredMetadata) -> str:
        """Return the name that the object requests, or one generated from its generateName, if it is free."""
        if not (facts.name or facts.generate_name):
            raise Invalid("metadata.name: name or generateName is required")
        name = facts.name
        for _ in range(1 if facts.name else _NAME_ATTEMPTS):
            if not facts.name:
                name = facts.generate_name + "".join(self._rng.choices(_SUFFIX_LETTERS, k=_SUFFIX_LENGTH))
            if self._table.find(resource, namespace, name) is None:
                return name
        raise AlreadyExists(f'{resource.plural} "{name}" already exists')

    def _update(
        self,
        old: StoredObject,
        draft: StoredObject,
        *,
        owned: bool = False,
        manager: str = "",
        dry_run: bool = False,
    ) -> StoredObject:
        """Store the draft over the object, or remove the object when the draft has no finalizer left.

        `owned` means that the draft already has the owners of its fields.
        """
        _require(old, version=draft.facts.resource_version)
        if not owned and is_managed(old.metadata, draft.content):
            draft = draft.with_metadata({"managedFields": rewritten(old.full(), draft.full(), manager)})
        new = revised(old, draft)
        if new is old or dry_run:
            return new
        if new.facts.deletion_timestamp and not new.facts.finalizers:
            self._remove(old)
            return new
        return self._put(new, before=old)

    def _update_status(self, old: StoredObject, draft: StoredObject) -> StoredObject:
        """Store the draft's status; all else that it would change is ignored, as the API server does."""
        _require(old, version=draft.facts.resource_version)
        if draft.status == old.status:
            return old
        return self._put(msgspec.structs.replace(old, status=draft.status), before=old)

    def _put(self, new: StoredObject, *, before: StoredObject | None) -> StoredObject:
        """Store an object at the next version and log the change."""
        stored = new.with_metadata({"resourceVersion": str(self._log.version + 1)})
        self._table.put(stored)
        self._log.append(before=before, after=stored)
        return stored

    def _mark_deleted(self, old: StoredObject) -> None:
        """Request the deletion of an object that still has finalizers."""
        new = marked_deleted(old, at=self._clock())
        if new is not old:
            self._put(new, before=old)

    def _remove(self, old: StoredObject) -> None:
        """Remove an object and, as the garbage collector does, what only it owned."""
        leaving = [old]
        while leaving:
            removed = leaving.pop()
            self._table.drop(removed)
            self._log.append(before=removed, after=None)
            for dependant in self._table.dependants(removed.facts.uid):
                if any(self._table.exists(owner.uid) for owner in dependant.facts.owner_references):
                    self._put(without_owner(dependant, removed.facts.uid), before=dependant)
                elif dependant.facts.finalizers:
                    self._mark_deleted(dependant)
                else:
                    leaving.append(dependant)


def _view(selection: Selection) -> WatchedObjects:
    """Return what a list or watch requests. Raises Invalid for a bad selector."""
    try:
        return WatchedObjects(selection, parse_selector(selection.labels))
    except ValueError as error:
        raise Invalid(str(error)) from error


def _require(old: StoredObject, *, uid: str = "", version: str = "") -> None:
    """Check the uid and version that a caller insists on, where it does. Raises Conflict."""
    if uid and uid != old.facts.uid:
        raise Conflict(f"{old.facts.name} has the uid {old.facts.uid}, not {uid}")
    if version and version != old.facts.resource_version:
        raise Conflict(
            f"{old.facts.name} has been modified: its version is {old.facts.resource_version}, not {version}"
        )


def _keeps_identity(old: StoredMetadata, draft: StoredMetadata) -> None:
    """Check that a patch leaves name, namespace and uid alone. Raises Invalid."""
    if draft.name != old.name or draft.namespace not in ("", old.namespace) or draft.uid not in ("", old.uid):
        raise Invalid("a patch may not change metadata.name, metadata.namespace or metadata.uid")
