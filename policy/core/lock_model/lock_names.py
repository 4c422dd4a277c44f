"""How Argo encodes the names of locks, and which names and limits it cannot read."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from policy.core.objects.workflow import MutexRef, SemaphoreRef, Synchronization
from policy.core.values.amounts import INT64_MAX
from policy.core.values.problems import Problem

_ATOI: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_INT64_DIGITS: Final = 19
_PARAMETER_MARK: Final = "{{"
CONFIG_MAP: Final = "ConfigMap"
MUTEX: Final = "Mutex"
_DATABASE: Final = "Database"
NO_LOCKS: Final[frozenset[str]] = frozenset()
NO_BLOCK: Final = Synchronization()


class LockName(NamedTuple):
    """The parts of an encoded name: the ConfigMap is empty but for a semaphore that has one."""

    namespace: str
    kind: str
    config_map: str
    key: str

    @classmethod
    def parse(cls, name: str) -> "LockName":
        """Return the parts of a name; those that it does not have are empty."""
        namespace, _, rest = name.partition("/")
        kind, _, rest = rest.partition("/")
        if kind != CONFIG_MAP:
            return cls(namespace, kind, "", rest)
        config_map, _, key = rest.partition("/")
        return cls(namespace, kind, config_map, key)


def semaphore_name(namespace: str, config_map: str, key: str) -> str:
    """Return Argo's encoded name of a ConfigMap semaphore (workflow/sync/lock_name.go)."""
    return f"{namespace}/{CONFIG_MAP}/{config_map}/{key}"


def lock_name(ref: SemaphoreRef | MutexRef, own_namespace: str) -> str:
    """Return the encoded name of a reference to a lock; missing parts stay empty.

    A mutex and a semaphore with the same key in a database are one lock.
    """
    namespace = ref.namespace or own_namespace
    if isinstance(ref, MutexRef):
        return f"{namespace}/{_DATABASE if ref.database else MUTEX}/{ref.name or ''}"
    if ref.config_map_key_ref is None:
        return f"{namespace}/{_DATABASE}/{(ref.database.key if ref.database else None) or ''}"
    return semaphore_name(namespace, ref.config_map_key_ref.name or "", ref.config_map_key_ref.key or "")


def refs_in(block: Synchronization) -> Iterator[tuple[str, SemaphoreRef | MutexRef]]:
    """Yield the references of a block in either form, with the JSON pointers to them in the block."""
    if block.semaphore is not None:
        yield "semaphore", block.semaphore
    if block.mutex is not None:
        yield "mutex", block.mutex
    for index, semaphore in enumerate(block.semaphores or ()):
        yield f"semaphores/{index}", semaphore
    for index, mutex in enumerate(block.mutexes or ()):
        yield f"mutexes/{index}", mutex


def held_locks(block: Synchronization | None, namespace: str) -> frozenset[str]:
    """Return the encoded names of the locks in a `synchronization` block, in either form."""
    return NO_LOCKS if block is None else frozenset([lock_name(ref, namespace) for _, ref in refs_in(block)])


def parameterised(text: str | None) -> bool:
    """Return whether Argo fills in a part of this text at run time."""
    return text is not None and _PARAMETER_MARK in text


def empty_problems(text: str | None, path: str) -> Iterator[Problem]:
    """Yield a problem where a name is empty, which makes Argo fail with "unable to decode lock"."""
    if not text:
        yield Problem(path, "is empty; Argo ends such a Workflow with an error: give a name")


def name_problems(text: str | None, path: str) -> Iterator[Problem]:
    """Yield what makes Argo fail: an empty part, or a slash in a namespace, a ConfigMap's name or a key.

    The last part of a name, of a mutex or a database lock, may have slashes (lock_name.go, SplitN 3).
    """
    yield from empty_problems(text, path)
    if text and "/" in text and not parameterised(text):
        yield Problem(path, f'"{text}" contains "/", which Argo cannot decode: leave the slash out')


def read_limit(value: str) -> int | None:
    """Return a limit as Argo reads it (Go `strconv.Atoi`), or None where Argo would fail.

    A sign and ASCII digits within 64 bits; no blanks, no fraction, no underscores.
    """
    if not _ATOI.fullmatch(value):
        return None
    digits = value.lstrip("+-").lstrip("0") or "0"
    if len(digits) > _INT64_DIGITS:
        return None
    number = -int(digits) if value.startswith("-") else int(digits)
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else None
