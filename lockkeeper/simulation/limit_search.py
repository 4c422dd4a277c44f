"""The smallest limits under which a history waits no longer than is wanted, by search over simulations.

Every limit that bounds a namespace with a wanted wait may change: of its own quotas, also those of each user,
and of its pool. They are doubled together until the waits are met, and then each is lowered by bisection as
far as they still are; so no single one of them could be lower. Another set may do as well.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from lockkeeper.histories.history import RunHistory
from lockkeeper.simulation.playing import play
from policy.core.policies.conflicts import PolicyName, name_of
from policy.core.policies.snapshot import Snapshot, pool_of, with_policy
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.values.durations import duration
from policy.service.simulation.result import PolicyResult

_WAIT: Final = re.compile(r"(\S+)\s+(median|p50|p95|longest|max)\s+(\S+)")
_MEASURES: Final = {"p50": "median", "max": "longest"}
_MOST_DOUBLED: Final = 10
_FIELDS: Final = {
    "limits.workflows": ("limits", "workflows"),
    "limits.tasks": ("limits", "tasks"),
    "perUser.workflows": ("per_user", "workflows"),
    "perUser.tasks": ("per_user", "tasks"),
}
"""The limits that may change, as their authors write them, and where they are in a spec."""
Quota = WorkflowQuota | ClusterWorkflowQuota


class WantedWait(msgspec.Struct, frozen=True, rename="camel"):
    """How long a namespace is to wait at most: half of it, 95 of 100, or all."""

    namespace: str
    measure: str
    seconds: float

    def of(self, result: PolicyResult) -> float:
        """Return that wait in a result; endless where not all start."""
        for group in result.namespaces:
            if group.name == self.namespace:
                lost = group.gave_up + group.never_started + group.denied
                return float("inf") if lost else float(getattr(group.waits, self.measure))
        return 0.0


class LimitKey(msgspec.Struct, frozen=True, order=True, rename="camel"):
    """One limit of a quota, such as `limits.workflows`; a pool has no namespace."""

    kind: str
    namespace: str
    name: str
    field: str

    def __str__(self) -> str:
        return f"{PolicyName(self.kind, self.namespace, self.name)} {self.field}"


class TriedLimit(msgspec.Struct, frozen=True, rename="camel"):
    """What one value of a limit led to, all others being as they were then: the waits, None for endless."""

    limit: LimitKey
    value: int
    waits: tuple[float | None, ...]
    met: bool


class LimitSearch(msgspec.Struct, frozen=True, rename="camel"):
    """The outcome: limits at present and as suggested, which waits these lead to, and all that was tried."""

    met: bool
    present: Mapping[str, int]
    suggested: Mapping[str, int]
    waits_before: tuple[float | None, ...]
    waits: tuple[float | None, ...]
    tried: tuple[TriedLimit, ...]


def wanted_wait(text: str) -> WantedWait:
    """Return a wait that is written as `team-ml p95 10m`.

    Raises:
        ValueError: it is not of that form.
    """
    match = _WAIT.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no wait: write a namespace, median, p95 or longest, and a length: team-ml p95 10m"
        )
    measure = _MEASURES.get(match[2], match[2])
    return WantedWait(match[1], measure, duration(match[3]).total_seconds())


def limits_of(snapshot: Snapshot, namespaces: Sequence[str]) -> dict[LimitKey, int]:
    """Return the limits that bound some namespaces."""
    found = {}
    for namespace in namespaces:
        for quota in _quotas(snapshot, namespace):
            for field, (part, amount) in _FIELDS.items():
                value: object = getattr(getattr(quota.spec, part, None), amount, None)
                if isinstance(value, int):
                    found[_key(quota, field)] = value
    return found


def with_limits(snapshot: Snapshot, values: Mapping[LimitKey, int], namespaces: Sequence[str]) -> Snapshot:
    """Return a snapshot with other limits."""
    changed = {_key(each, ""): each for name in namespaces for each in _quotas(snapshot, name)}
    for key, quota in changed.items():
        spec = quota.spec
        for field, (part, amount) in _FIELDS.items():
            value = values.get(msgspec.structs.replace(key, field=field))
            if value is not None:
                changed_part = msgspec.structs.replace(getattr(spec, part), **{amount: value})
                spec = msgspec.structs.replace(spec, **{part: changed_part})
        if spec != quota.spec:
            snapshot = with_policy(snapshot, msgspec.structs.replace(quota, spec=spec))
    return snapshot


def search(
    history: RunHistory,
    snapshot: Snapshot,
    wanted: Sequence[WantedWait],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> LimitSearch:
    """Return the smallest limits that meet some waits."""
    return _Search(history, snapshot, wanted, progress).search()


class _Search:
    def __init__(
        self,
        history: RunHistory,
        snapshot: Snapshot,
        wanted: Sequence[WantedWait],
        progress: Callable[[int], None],
    ) -> None:
        self._history = history
        self._snapshot = snapshot
        self._wanted = wanted
        self._namespaces = sorted({each.namespace for each in wanted})
        self._progress = progress
        self._tried: list[TriedLimit] = []
        self._known: dict[tuple[tuple[LimitKey, int], ...], tuple[float, ...]] = {}

    def search(self) -> LimitSearch:
        present = limits_of(self._snapshot, self._namespaces)
        before = self._waits(present)
        values, doubled = dict(present), 0
        while not self._met(values) and present and doubled < _MOST_DOUBLED:
            values = {key: max(1, value) * 2 for key, value in values.items()}
            doubled += 1
        met = self._met(values)
        if met:
            for key in sorted(values):
                values[key] = self._lowest(values, key)
        else:
            values = dict(present)
        return LimitSearch(
            met=met,
            present={str(key): value for key, value in present.items()},
            suggested={str(key): value for key, value in values.items()},
            waits_before=tuple(map(_told, before)),
            waits=tuple(map(_told, self._waits(values))),
            tried=tuple(sorted(self._tried, key=lambda each: (each.limit, each.value))),
        )

    def _lowest(self, values: dict[LimitKey, int], key: LimitKey) -> int:
        """Return the lowest value of one limit with which the waits are met, all others staying."""
        low, high = 0, values[key]
        while high - low > 1:
            middle = (low + high) // 2
            trial = {**values, key: middle}
            met = self._met(trial)
            self._tried.append(TriedLimit(key, middle, tuple(map(_told, self._waits(trial))), met))
            low, high = (low, middle) if met else (middle, high)
        return high

    def _met(self, values: Mapping[LimitKey, int]) -> bool:
        pairs = zip(self._waits(values), self._wanted, strict=True)
        return all(found <= each.seconds for found, each in pairs)

    def _waits(self, values: Mapping[LimitKey, int]) -> tuple[float, ...]:
        """Return the waits under some limits; each set is played once."""
        key = tuple(sorted(values.items()))
        if key not in self._known:
            snapshot = with_limits(self._snapshot, values, self._namespaces)
            result, _ = play(self._history, snapshot, policies="")
            self._known[key] = tuple(each.of(result) for each in self._wanted)
            self._progress(len(self._known))
        return self._known[key]


def _quotas(snapshot: Snapshot, namespace: str) -> Iterator[Quota]:
    yield from snapshot.quotas.get(namespace, ())
    pool = pool_of(snapshot, namespace)
    if pool is not None:
        yield pool


def _key(quota: Quota, field: str) -> LimitKey:
    name = name_of(quota)
    return LimitKey(name.kind, name.namespace, name.name, field)


def _told(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds
