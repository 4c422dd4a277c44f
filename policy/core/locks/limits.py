"""The limit of a lock by the name that Argo gives it."""

from collections.abc import Callable
from typing import Final

from policy.core.locks.naming import PARAMETER_MARK, read_limit
from policy.core.locks.policies import Definitions

_PARTS: Final = 4
"""Namespace, kind, ConfigMap and key."""


def limits_of(definitions: Definitions) -> Callable[[str], int | None]:
    """Return how limits are looked up: 1 for a mutex, None where it is not known."""
    known: dict[str, int | None] = {}

    def look_up(name: str) -> int | None:
        namespace, kind, *rest = name.split("/", _PARTS - 1)
        if kind == "Mutex":
            return 1
        if kind != "ConfigMap" or len(rest) + 2 < _PARTS or PARAMETER_MARK in name:
            return None  # A lock in a database, or a semaphore whose name nobody knows yet.
        value = definitions.limit(namespace, rest[0], rest[1])
        return read_limit(value) if value is not None else None

    def limit_of(name: str) -> int | None:
        if name not in known:
            known[name] = look_up(name)
        return known[name]

    return limit_of
