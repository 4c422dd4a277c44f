"""The ways in which waits may be met: other limits, other shares of a pool, or other limits in some hours.

Each way has the settings that it changes, how far they may be raised, and how low they may be. What a way
costs is by how much limits are raised, as a part of what they are, over a day; shares raise nothing, as the
limits of their pool stay.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from lockkeeper.suggesting.strategies.busy_hours import BusyHours
from lockkeeper.suggesting.strategies.settings import (
    Setting,
    Values,
    base_limits,
    in_window,
    limit_settings,
    quotas_of,
    share_settings,
)
from policy.core.policies.snapshot import Snapshot, pool_of
from policy.core.policy_kinds.quota_parts import WindowSpec
from policy.core.values.amounts import INT64_MAX

_LOOSEST: Final = 1024
"""How many times as high a limit is tried first: what is not met with it no limit meets."""
_WINDOW_NAME: Final = "busy-hours"


class WayKind(StrEnum):
    """What a way changes."""

    LIMITS = "limits"
    SHARES = "shares"
    WINDOWS = "windows"
    BOTH = "limits and shares"


class Way(msgspec.Struct, frozen=True):
    """A way: settings with their present, highest and lowest values; `busy` are the hours of a new window."""

    kind: WayKind
    present: Values
    highest: Values
    lowest: Values
    busy: BusyHours | None = None
    window_name: str = ""

    @property
    def window(self) -> WindowSpec | None:
        """The window that it adds to quotas."""
        return None if self.busy is None else self.busy.window(self.window_name)

    def changes(self, values: Values) -> tuple[tuple[Setting, int], ...]:
        """Return what is not as at present."""
        return tuple((key, value) for key, value in sorted(values.items()) if value != self.present[key])

    def cost(self, values: Values) -> float:
        """Return by how much limits are raised, in parts of what they are, over a day."""
        if self.kind is WayKind.SHARES:
            return 0.0
        part = 1.0 if self.busy is None else self.busy.part
        raised = (
            max(0, value - self.present[key]) / max(1, self.present[key]) for key, value in values.items()
        )
        return part * sum(raised)


def limits_way(snapshot: Snapshot, namespaces: Sequence[str]) -> Way | None:
    """Return the way of other limits."""
    return _raised(WayKind.LIMITS, limit_settings(snapshot, namespaces))


def shares_way(snapshot: Snapshot, namespaces: Sequence[str]) -> Way | None:
    """Return the way of other shares in pools that lend, up to the limits of the pools."""
    present = share_settings(snapshot, namespaces)
    if not present:
        return None
    highest = {key: _pool_limit(snapshot, key, namespaces) for key in present}
    return Way(WayKind.SHARES, present, {key: max(highest[key], present[key]) for key in present}, present)


def both_way(snapshot: Snapshot, namespaces: Sequence[str]) -> Way | None:
    """Return the way of other limits and other shares together."""
    shares = share_settings(snapshot, namespaces)
    if not shares:
        return None
    return _raised(WayKind.BOTH, {**limit_settings(snapshot, namespaces), **shares})


def window_ways(snapshot: Snapshot, namespaces: Sequence[str], busy: Sequence[BusyHours]) -> tuple[Way, ...]:
    """Return the ways of other limits in some hours: one for each window to try."""
    limits = base_limits(snapshot, namespaces)
    if not limits:
        return ()
    name, number = _WINDOW_NAME, 2
    taken = {each.name for quota in quotas_of(snapshot, namespaces) for each in quota.spec.windows}
    while name in taken:
        name, number = f"{_WINDOW_NAME}-{number}", number + 1
    present = {in_window(key, name): value for key, value in limits.items()}
    return tuple(
        Way(WayKind.WINDOWS, present, _times(present), present, each, window_name=name) for each in busy
    )


def zone_of(snapshot: Snapshot, namespaces: Sequence[str]) -> str:
    """Return the time zone that the quotas of some namespaces have in their windows already, or UTC."""
    zones = (each.time_zone for quota in quotas_of(snapshot, namespaces) for each in quota.spec.windows)
    return next(zones, "UTC")


def _raised(kind: WayKind, present: Mapping[Setting, int]) -> Way | None:
    if not present:
        return None
    return Way(kind, present, _times(present), {key: min(1, value) for key, value in present.items()})


def _times(present: Values) -> dict[Setting, int]:
    return {key: min(INT64_MAX, max(1, value) * _LOOSEST) for key, value in present.items()}


def _pool_limit(snapshot: Snapshot, setting: Setting, namespaces: Sequence[str]) -> int:
    """Return the highest value that a share may have: the limit of its pool, where there is one."""
    resource = setting.field[-1]
    for namespace in namespaces:
        pool = pool_of(snapshot, namespace)
        if pool is not None and (setting.name == pool.metadata.name or setting.namespace == namespace):
            bounds = [pool.spec.limits, *(each.limits for each in pool.spec.windows)]
            found = [value for each in bounds if isinstance(value := getattr(each, resource), int)]
            if found:
                return max(found)
    return INT64_MAX
