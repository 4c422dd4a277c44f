"""Which locks a `synchronization` block takes: Argo's names for them, and where they are written."""

from itertools import product

import msgspec

from policy.core.lock_model.lock_names import NO_LOCKS, held_locks, lock_name, parameterised, refs_in
from policy.core.lock_model.parameters import TagValues, choices, fill_tags
from policy.core.objects.workflow import (
    ConfigMapKeyRef,
    DatabaseRef,
    MutexRef,
    SemaphoreRef,
    Synchronization,
    Template,
)


class Lock(msgspec.Struct, frozen=True):
    """One lock that is taken: its encoded name, with `{{tags}}` where that is not known, and where.

    `certain` is False for each of several locks of which a run takes one. `filled` is the reference with what
    is known filled in, where the one that is written has a parameter.
    """

    name: str
    pointer: str
    certain: bool
    filled: SemaphoreRef | MutexRef | None = None

    @property
    def known(self) -> bool:
        """Whether the whole name is known."""
        return not parameterised(self.name)


def merged(own: Synchronization | None, below: Synchronization | None) -> Synchronization | None:
    """Return a block over another: Argo takes each field from the first that has it, lists as a whole."""
    if own is None or below is None:
        return below if own is None else own
    return Synchronization(
        semaphores=own.semaphores or below.semaphores,  # Go leaves an empty list out of the merge.
        mutexes=own.mutexes or below.mutexes,
        semaphore=own.semaphore or below.semaphore,
        mutex=own.mutex or below.mutex,
    )


def locks_in(
    block: Synchronization | None, where: str, namespace: str, values: TagValues
) -> tuple[Lock, ...]:
    """Return the locks of a block, each name once: Argo takes all of them together."""
    if block is None:
        return ()
    found: dict[str, Lock] = {}
    for field, ref in refs_in(block):
        name, pointer = lock_name(ref, namespace), f"{where}/{field}"
        if not parameterised(name):
            found.setdefault(name, Lock(name, pointer, certain=True))
            continue
        filled = _filled(ref, values)
        for form in filled:
            name = lock_name(form, namespace)
            found.setdefault(name, Lock(name, pointer, certain=len(filled) == 1, filled=form))
    return tuple(found.values())


def _filled(ref: SemaphoreRef | MutexRef, values: TagValues) -> list[SemaphoreRef | MutexRef]:
    """Return what a reference with parameters may become, each part filled in as far as it is known."""

    def forms(text: str | None) -> tuple[str | None, ...]:
        return choices(fill_tags(text, values)) if text else (text,)

    namespaces = forms(ref.namespace)
    if isinstance(ref, MutexRef):
        return [
            MutexRef(name=name, namespace=namespace, database=ref.database)
            for name, namespace in product(forms(ref.name), namespaces)
        ]
    if ref.config_map_key_ref is None:
        keys = forms(ref.database.key if ref.database is not None else None)
        return [
            SemaphoreRef(database=DatabaseRef(key=key), namespace=namespace)
            for key, namespace in product(keys, namespaces)
        ]
    names, keys = forms(ref.config_map_key_ref.name), forms(ref.config_map_key_ref.key)
    return [
        SemaphoreRef(config_map_key_ref=ConfigMapKeyRef(name=name, key=key), namespace=namespace)
        for name, key, namespace in product(names, keys, namespaces)
    ]


def own_locks(template: Template, defaults: Synchronization | None, namespace: str) -> frozenset[str]:
    """Return the names of the locks that a template holds at run time, those of templateDefaults included."""
    if template.synchronization is None and defaults is None:
        return NO_LOCKS
    return held_locks(merged(template.synchronization, defaults), namespace)
