"""Which ConfigMaps get the limits of semaphores that policies define, where Argo reads them.

There is no queue. Every pass compares what policies define now with each ConfigMap as it was last seen, and
reads and writes those that differ. A pass follows every change of policies and ConfigMaps, and the opening
and closing of every window.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol, TypeAlias

import msgspec

from policy.cluster.errors import ClusterError, Conflict, Forbidden, Trouble
from policy.cluster.protocol import CONFIG_MAPS, Applying, Cluster
from policy.core.lock_model.lock_names import read_limit, semaphore_name
from policy.core.lock_model.semaphore_definitions import ConfigMapAddress
from policy.core.policies.conflicts import Finding, FindingKind, PolicyName, some_namespaces
from policy.core.policies.semaphore_config_maps import (
    FIELD_MANAGER,
    NOTHING,
    OURS,
    ConfigMapPlan,
    ForeignKey,
    ObservedConfigMap,
    ProjectedKey,
    config_map_to_apply,
    plan,
    project,
)
from policy.core.policies.snapshot import Snapshot
from policy.core.values.backoff import RetryTimes
from policy.service.leading.term_works import Passes

_SETTLE: Final = 0.1
"""Seconds from a change to the pass over it, so that a burst makes one pass."""
_PAUSE: Final = 0.02
"""Seconds after each write, so that there are at most fifty a second."""
LONGEST_WAIT: Final = 60.0
"""Seconds until a pass is made in any case: a clock that was corrected moves windows."""
KEPT_WAIT: Final = 15.0
"""Seconds until it is checked again whether the lock of a key that no policy defines is still in use."""
FIRST_DELAY: Final = 1.0
_LAST_DELAY: Final = 60.0
"""Seconds until a ConfigMap that could not be written is tried again, doubled each time."""
TERMINATING: Final = "because it is being terminated"
"""In the API server's message about a namespace that is being deleted."""
WHERE: Final = "\0"
"""Placeholder in a message for the namespaces that it is about."""
FoundIn: TypeAlias = dict[tuple[PolicyName, Finding], set[str]]
"""The namespaces in which something was found about a policy."""


class ProjectedCluster(Cluster, Applying, Protocol):
    """A cluster that can apply."""


class _ConfigMapAsLastSeen(msgspec.Struct, frozen=True):
    """A ConfigMap at the last pass: what policies wanted, what the watch showed, and what was planned."""

    wanted: Mapping[str, ProjectedKey]
    shown: Mapping[str, str] | None
    plan: ConfigMapPlan
    again: float | None = None


class _Unwritten(msgspec.Struct, frozen=True):
    """What a ConfigMap was to hold that could not be written, and why."""

    wanted: Mapping[str, ProjectedKey]
    error: ClusterError


class ConfigMapWriter(Passes):
    """The work of one term: `run` writes until `stop`; `wake` makes a pass soon.

    `in_use` returns by Argo's name whether any Workflow holds or wants a lock; True where that is unknown.
    """

    def __init__(
        self,
        *,
        cluster: ProjectedCluster,
        snapshot: Callable[[], Snapshot],
        in_use: Callable[[str], bool],
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        trouble: Trouble,
        found: Callable[[Mapping[PolicyName, tuple[Finding, ...]]], None],
        pause: float = _PAUSE,
    ) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._in_use = in_use
        self._clock = clock
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._found = found
        self._pause = pause
        self._listed = False
        self._settled: dict[ConfigMapAddress, _ConfigMapAsLastSeen] = {}
        self._failed: RetryTimes[ConfigMapAddress, float, _Unwritten] = RetryTimes(
            first=FIRST_DELAY, last=_LAST_DELAY
        )
        self._ours: set[ConfigMapAddress] = set()
        super().__init__(settle=_SETTLE)

    def run_pass(self) -> float:
        """Write what is not as it should be; return the seconds until the next pass is due."""
        if not self._listed:
            try:
                self._list_ours()
            except ClusterError as error:
                self._trouble("listing ConfigMaps of semaphores", error)
                return FIRST_DELAY
        snapshot, now = self._snapshot(), self._clock()
        projection = project(snapshot, now)
        for address in sorted(projection.config_maps.keys() | self._ours):
            if self._stopped.is_set():
                return LONGEST_WAIT
            wanted = projection.config_maps.get(address, NOTHING)
            self._update(address, wanted, snapshot.config_maps.get(address))
        self._forget(projection.config_maps.keys() | self._ours)
        self._found(self._findings())
        due = [self._failed.next_due(), *(each.again for each in self._settled.values())]
        left = [each - self._stopwatch() for each in due if each is not None]
        return max(0.0, min(LONGEST_WAIT, (projection.until - now).total_seconds(), *left))

    def _list_ours(self) -> None:
        """Find the ConfigMaps that earlier leaders wrote."""
        listing = self._cluster.list(CONFIG_MAPS, labels=OURS, metadata_only=True)
        self._ours = {msgspec.convert(item, ObservedConfigMap).address for item in listing.items}
        self._listed = True

    def _update(
        self, address: ConfigMapAddress, wanted: Mapping[str, ProjectedKey], shown: Mapping[str, str] | None
    ) -> None:
        """Read and write one ConfigMap, unless it is unchanged since the last pass or not to be tried yet."""
        failed = self._failed.get(address)
        if failed is not None and failed.about.wanted == wanted and self._stopwatch() < failed.due:
            return
        settled = self._settled.get(address)
        unchanged = settled is not None and settled.wanted == wanted and settled.shown == shown
        if settled is not None and unchanged and not (settled.again and self._stopwatch() >= settled.again):
            return
        try:
            written = self._write(address, {key: each.value for key, each in wanted.items()})
        except ClusterError as error:
            self._put_off(address, wanted, error)
            return
        self._failed.forget(address)
        self._settled[address] = _ConfigMapAsLastSeen(
            wanted, shown, written, self._stopwatch() + KEPT_WAIT if written.retained else None
        )
        if written.empty:
            self._ours.discard(address)
        else:
            self._ours.add(address)

    def _write(self, address: ConfigMapAddress, wanted: Mapping[str, str]) -> ConfigMapPlan:
        namespace, name = address
        items = self._cluster.list(CONFIG_MAPS, namespace=namespace, name=name).items
        current = msgspec.convert(items[0], ObservedConfigMap) if items else None
        planned = plan(current, wanted, lambda key: self._in_use(semaphore_name(namespace, name, key)))
        if planned.data is not None:
            obj = config_map_to_apply(address, planned.data)
            self._cluster.apply(CONFIG_MAPS, obj, field_manager=FIELD_MANAGER)
            self._stopped.wait(self._pause)
        return planned

    def _put_off(
        self, address: ConfigMapAddress, wanted: Mapping[str, ProjectedKey], error: ClusterError
    ) -> None:
        """Try again later; a conflict with another owner is reported when it happens again."""
        failure = self._failed.failed(address, self._stopwatch(), _Unwritten(wanted, error))
        if not namespace_terminates(error) and (failure.times > 1 or not isinstance(error, Conflict)):
            self._trouble(f"writing the semaphores of ConfigMap {'/'.join(address)}", error)

    def _forget(self, present: set[ConfigMapAddress]) -> None:
        self._settled = {at: each for at, each in self._settled.items() if at in present}
        self._failed.keep(present)

    def _findings(self) -> Mapping[PolicyName, tuple[Finding, ...]]:
        """Return the findings about policies whose keys are not as they define."""
        found: FoundIn = {}
        for (namespace, name), settled in self._settled.items():
            for key, foreign in settled.plan.foreign.items():
                wanted = settled.wanted[key]
                text = (
                    f"{foreign.owner} owns key {key} of ConfigMap {name} and gives it "
                    f'{_shown(foreign, wanted)} in place of "{wanted.value}", and that counts in {WHERE}: '
                    "remove the key there, or the definition here"
                )
                finding = Finding(FindingKind.OWNED_ELSEWHERE, wanted.path, text)
                found.setdefault((wanted.policy, finding), set()).add(namespace)
        for (namespace, name), failed in self._failed.about():
            if namespace_terminates(failed.error):
                continue
            text = f"ConfigMap {name} of {WHERE} cannot be written: {failed.error.message}"
            if isinstance(failed.error, Forbidden):
                text += "; the chart's values semaphores.configMaps say which ConfigMaps may be"
            for wanted in failed.wanted.values():
                finding = Finding(FindingKind.NOT_WRITTEN, wanted.path, text)
                found.setdefault((wanted.policy, finding), set()).add(namespace)
        return findings_by_policy(found)


def findings_by_policy(found: FoundIn) -> Mapping[PolicyName, tuple[Finding, ...]]:
    """Return the findings of each policy in one order, with their namespaces in place of `WHERE`."""
    by_policy: dict[PolicyName, tuple[Finding, ...]] = {}
    for (policy, finding), namespaces in sorted(
        found.items(), key=lambda each: msgspec.structs.astuple(each[0][1])
    ):
        message = finding.message.replace(WHERE, some_namespaces(sorted(namespaces)))
        shown = msgspec.structs.replace(finding, message=message)
        by_policy[policy] = (*by_policy.get(policy, ()), shown)
    return by_policy


def _shown(foreign: ForeignKey, wanted: ProjectedKey) -> str:
    """Return how a value that is not ours is shown: a reader of the policy may not read ConfigMaps.

    A policy may name any key, so only a number of its own namespace is shown.
    """
    limit = read_limit(foreign.value)
    if not wanted.policy.namespace:
        return "another value"
    return "a value that is no number" if limit is None else f'"{limit}"'


def namespace_terminates(error: ClusterError) -> bool:
    """Return whether a write was refused because its namespace is being deleted, which is no fault."""
    return isinstance(error, Forbidden) and TERMINATING in error.message
