"""The limit of a lock by the name that Argo gives it."""

from collections.abc import Callable
from typing import Final, TypeAlias

from policy.core.locks.known_limits import Definitions
from policy.core.locks.naming import PARAMETER_MARK, read_limit

_PARTS: Final = 4
"""Namespace, kind, ConfigMap and key."""


ValueOf: TypeAlias = Callable[[str, str, str], str | None]
"""Gives the text of a limit by namespace, ConfigMap and key; None where there is none."""


def limit_named(name: str, value_of: ValueOf) -> int | None:
    """Return the limit of a lock: 1 of a mutex, None where it is not known.

    Nobody knows that of a lock in a database, or of a semaphore whose name is not known yet.
    """
    namespace, kind, *rest = name.split("/", _PARTS - 1)
    if kind == "Mutex":
        return 1
    if kind != "ConfigMap" or len(rest) + 2 < _PARTS or PARAMETER_MARK in name:
        return None
    value = value_of(namespace, rest[0], rest[1])
    return read_limit(value) if value is not None else None


def limits_of(definitions: Definitions, *, only: str | None = None) -> Callable[[str], int | None]:
    """Return how limits are looked up in what policies and ConfigMaps define, each once.

    With `only`, those of ConfigMaps of other namespaces are not looked at, and so not known.
    """
    known: dict[str, int | None] = {}

    def value_of(namespace: str, config_map: str, key: str) -> str | None:
        return definitions.limit(namespace, config_map, key) if only in (None, namespace) else None

    def limit_of(name: str) -> int | None:
        if name not in known:
            known[name] = limit_named(name, value_of)
        return known[name]

    return limit_of
