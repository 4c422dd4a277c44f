"""Which policies a process has, as metrics: how many, since when, and whether all have the same."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable
from datetime import datetime
from zlib import crc32

import msgspec
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, Policy, PolicyMetadata
from policy.service.status.metrics import NAMESPACE


class PolicyLoads:
    """Counts changes of the policies: those in force since then, and those that were refused."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        loads = Counter(
            "lockkeeper_policy_loads", "Changes of the policies, by result.", ["result"], registry=registry
        )
        self._loads = {good: loads.labels("good" if good else "refused") for good in (True, False)}

    def loaded(self, *, good: bool) -> None:
        """Count one."""
        self._loads[good].inc()


class PolicyState(Collector):
    """Since when the policies in force are in force, and a number that is equal where they are equal."""

    def __init__(self, *, snapshot: Callable[[], Snapshot], loaded_at: Callable[[], datetime]) -> None:
        self._snapshot = snapshot
        self._loaded_at = loaded_at
        self._hash: tuple[object, int] = (None, 0)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read a snapshot."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges."""
        snapshot = self._snapshot()
        loaded = GaugeMetricFamily(
            "lockkeeper_policies_loaded_timestamp_seconds", "When the policies in force were loaded."
        )
        loaded.add_metric([], self._loaded_at().timestamp())
        yield loaded
        found = GaugeMetricFamily(
            "lockkeeper_policies_hash",
            "A number made of the quotas and policies of locks in force: equal where these are.",
        )
        found.add_metric([], self._hash_of(snapshot))
        yield found

    def _hash_of(self, snapshot: Snapshot) -> int:
        """Return the number, computed once for each set of policies."""
        if self._hash[0] is not snapshot.compiled:
            self._hash = (snapshot.compiled, policies_hash(snapshot))
        return self._hash[1]


def policies_hash(snapshot: Snapshot) -> int:
    """Return a number made of what every policy says: its name and its spec, in any order."""
    policies: list[Policy] = [*snapshot.pools, *snapshot.lock_policies]
    for own in snapshot.quotas.values():
        policies += own
    total = 0
    for each in policies:
        meta = PolicyMetadata(each.metadata.name, each.metadata.namespace)
        total ^= crc32(msgspec.json.encode((each.kind, meta, each.spec), enc_hook=str))
    return total


class PolicyCounts(Collector):
    """How many policies of each kind are in force, and how many are wrong, counted when it is scraped.

    `wrong` gives the kind of each policy whose latest form is not in force; its last good form is then
    counted as in force, if it ever had one.
    """

    def __init__(self, *, snapshot: Callable[[], Snapshot], wrong: Callable[[], Iterable[str]]) -> None:
        self._snapshot = snapshot
        self._wrong = wrong

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read a snapshot."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges."""
        snapshot = self._snapshot()
        invalid = Counts(self._wrong())
        cluster_wide = sum(isinstance(each, ClusterSynchronizationPolicy) for each in snapshot.lock_policies)
        good = {
            "WorkflowQuota": sum(map(len, snapshot.quotas.values())),
            "ClusterWorkflowQuota": len(snapshot.pools),
            "SynchronizationPolicy": len(snapshot.lock_policies) - cluster_wide,
            "ClusterSynchronizationPolicy": cluster_wide,
        }
        for name, text, counts in (
            ("lockkeeper_policies", "Policies in force, by kind.", good),
            ("lockkeeper_policies_invalid", "Policies whose latest form is wrong, by kind.", invalid),
        ):
            found = GaugeMetricFamily(name, text, labels=["kind"])
            for kind in good:
                found.add_metric([kind], counts[kind])
            yield found
        left_out = GaugeMetricFamily(
            "lockkeeper_objects_left_out",
            "Templates and ConfigMaps that are not read, since their namespace has more than its bound.",
            labels=["kind", NAMESPACE],
        )
        for each in snapshot.extent.left_out.values():
            left_out.add_metric([each.kind, each.namespace], each.count)
        yield left_out
