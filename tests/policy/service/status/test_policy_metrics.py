"""What a process says of its policies."""

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from policy.core.objects.label_selectors import EVERYTHING
from policy.core.objects.read_extent import Extent, LeftOut
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterSynchronizationPolicySpec,
    PolicyMetadata,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
)
from policy.service.status.policy_metrics import PolicyCounts, PolicyLoads, PolicyState, policies_hash
from tests.policy.service.world import NOON, pool, quota, snapshot_of


def registry_of(collector: Collector) -> CollectorRegistry:
    """Return a registry with one collector."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Return the value of a metric, 0 where it is not there."""
    return registry.get_sample_value(name, labels) or 0.0


def test_policies_are_counted_by_kind_good_and_wrong() -> None:
    """A kind without policies shows 0, so that an alert can distinguish none from no answer."""
    snapshot = snapshot_of(
        quota("etl", "a"),
        quota("etl", "b"),
        quota("ml", "a"),
        pool("shared"),
        SynchronizationPolicy(PolicyMetadata("locks", "etl"), SynchronizationPolicySpec()),
        ClusterSynchronizationPolicy(
            PolicyMetadata("all"), ClusterSynchronizationPolicySpec(namespace_selector=EVERYTHING)
        ),
    )
    wrong = ["WorkflowQuota", "WorkflowQuota", "ClusterSynchronizationPolicy"]
    counts = PolicyCounts(snapshot=lambda: snapshot, wrong=lambda: wrong)
    registry = registry_of(counts)
    kinds = (
        "WorkflowQuota",
        "ClusterWorkflowQuota",
        "SynchronizationPolicy",
        "ClusterSynchronizationPolicy",
    )
    assert [value(registry, "lockkeeper_policies", kind=kind) for kind in kinds] == [3, 1, 1, 1]
    assert [value(registry, "lockkeeper_policies_invalid", kind=kind) for kind in kinds] == [2, 0, 0, 1]
    assert generate_latest(registry).count(b"lockkeeper_policies_invalid{") == len(kinds)


def test_what_is_left_out_of_a_namespace_is_counted() -> None:
    """An alert can name the namespace; those within their bounds are not shown."""
    beyond = LeftOut("WorkflowTemplate", "etl", 40, 2000, "2000 objects")
    extent = Extent(left_out={("WorkflowTemplate", "etl"): beyond})
    snapshot = msgspec.structs.replace(snapshot_of(quota("etl", "a"), quota("ml", "a")), extent=extent)
    registry = registry_of(PolicyCounts(snapshot=lambda: snapshot, wrong=list))
    assert (
        value(registry, "lockkeeper_objects_left_out", kind="WorkflowTemplate", workflow_namespace="etl")
        == 40
    )
    assert generate_latest(registry).count(b"lockkeeper_objects_left_out{") == 1


def test_registering_the_counts_reads_no_snapshot() -> None:
    """Metrics can be set up before policies are read."""

    def none_yet() -> None:
        raise LookupError

    counts = PolicyCounts(snapshot=none_yet, wrong=list)  # type: ignore[arg-type]  # it never returns
    registry_of(counts)


def test_changes_of_the_policies_are_counted_by_result() -> None:
    """A refused one shows before anybody misses a policy, and both are there before the first."""
    registry = CollectorRegistry()
    loads = PolicyLoads(registry=registry)
    loads.loaded(good=False)
    loads.loaded(good=False)
    values = [
        registry.get_sample_value("lockkeeper_policy_loads_total", {"result": result})
        for result in ("good", "refused")
    ]
    assert values == [0, 2]


def test_policies_are_told_with_the_time_of_their_load() -> None:
    """A time stands still, so the age can be asked of any moment."""
    state = PolicyState(snapshot=lambda: snapshot_of(quota("etl", "a")), loaded_at=lambda: NOON)
    found = value(registry_of(state), "lockkeeper_policies_loaded_timestamp_seconds")
    assert found == NOON.timestamp()
    assert list(state.describe()) == []


def test_the_number_of_the_policies_is_equal_where_they_are() -> None:
    """Whatever their order and their versions; another limit gives another number."""
    a, b, shared = quota("etl", "a", workflows=1), quota("etl", "b", workflows=2), pool("shared")
    newer = msgspec.structs.replace(
        a, metadata=msgspec.structs.replace(a.metadata, resource_version="7", generation=2)
    )
    number = policies_hash(snapshot_of(a, b, shared))
    assert policies_hash(snapshot_of(shared, b, newer)) == number
    assert policies_hash(snapshot_of(a, shared, quota("etl", "b", workflows=3))) != number
    assert policies_hash(snapshot_of(a, shared)) != number
