"""What the controller shows of the snapshot store: policies always, usage as long as it leads."""

from prometheus_client.parser import text_string_to_metric_families

from lockkeeper import __version__
from lockkeeper.process.controller_log import expose_board, expose_process
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOW_QUOTAS
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import NamespaceQueue, UsageView
from policy.core.values.amounts import Usage
from policy.service.status.api_metrics import LedgerMetrics
from policy.service.status.metrics import ControllerMetrics
from policy.service.status.start_board import StartBoard
from policy.sources.last_good_objects import LastGoodObjects
from policy.sources.snapshot_store import SnapshotStore
from tests.policy.service.world import Clock, memory, quota, snapshot_of

BUSY = UsageView(
    used={Account("etl", "limits"): Usage(3, 12, 0)},
    queues={"etl": NamespaceQueue({0: 5})},
    running={"etl": Usage(3, 12, 0)},
)


class Exposed:
    """The metrics of a controller with one quota in force."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.leads = True
        self.starts = StartBoard()
        self.snapshots = SnapshotStore(
            snapshot=snapshot_of(quota("etl", "limits", workflows=4)), clock=self.clock
        )
        self.objects = LastGoodObjects(resource=WORKFLOW_QUOTAS)
        self.metrics = ControllerMetrics(leading=lambda: self.leads, clock=self.clock)
        expose_process(self.metrics.registry, self.snapshots)
        expose_board(
            self.metrics,
            snapshots=self.snapshots,
            verdicts=lambda: tuple(self.objects.verdicts.values()),
            leading=lambda: self.leads,
            capacity=lambda _: None,
            ledgers=LedgerMetrics(registry=self.metrics.registry),
            starts=self.starts,
        )

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric, None where it is not shown."""
        text = self.metrics.render().decode()
        samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
        return next((each.value for each in samples if each.name == name and each.labels == labels), None)


def test_the_leader_shows_usage_queues_and_limits() -> None:
    """As its last pass left them."""
    exposed = Exposed()
    exposed.snapshots.put_usage(BUSY)
    assert exposed.value("lockkeeper_running_workflows", workflow_namespace="etl") == 3
    assert exposed.value("lockkeeper_queued_workflows", workflow_namespace="etl") == 5
    labels = {
        "kind": "WorkflowQuota",
        "workflow_namespace": "etl",
        "quota": "limits",
        "resource": "workflows",
    }
    assert exposed.value("lockkeeper_quota_used", **labels) == 3
    assert exposed.value("lockkeeper_quota_limit", **labels) == 4


def test_who_does_not_lead_shows_policies_only() -> None:
    """What it knew when it led would be counted twice."""
    exposed = Exposed()
    exposed.snapshots.put_usage(BUSY)
    exposed.leads = False
    assert exposed.value("lockkeeper_running_workflows", workflow_namespace="etl") is None
    assert exposed.value("lockkeeper_queued_workflows", workflow_namespace="etl") is None
    assert b"lockkeeper_quota_used{" not in exposed.metrics.render()
    assert exposed.value("lockkeeper_policies", kind="WorkflowQuota") == 1
    assert exposed.value("lockkeeper_policies_loaded_timestamp_seconds") is not None


def test_every_process_says_which_build_it_is() -> None:
    """A roll-out that stopped halfway shows, and so does a leak."""
    text = Exposed().metrics.render().decode()
    assert f'version="{__version__}"' in text
    assert f'argo_version="{DEFAULT_VERSION}"' in text
    for name in ("process_resident_memory_bytes", "process_start_time_seconds", "process_cpu_seconds_total"):
        assert f"\n{name} " in text


def test_a_policy_that_is_wrong_is_counted_until_it_is_corrected_or_deleted() -> None:
    """An alert on it ends by itself."""
    exposed = Exposed()
    cluster: MemoryCluster = memory(exposed.clock)
    manifest: JsonObject = {
        "apiVersion": WORKFLOW_QUOTAS.api_version,
        "kind": WORKFLOW_QUOTAS.kind,
        "metadata": {"name": "wrong"},
        "spec": {"limits": {"workflows": "many"}},
    }
    stored = cluster.create(WORKFLOW_QUOTAS, manifest, namespace="etl")

    def wrong() -> float | None:
        return exposed.value("lockkeeper_policies_invalid", kind="WorkflowQuota")

    assert wrong() == 0
    exposed.objects.put(stored)
    assert wrong() == 1
    exposed.objects.drop(stored)
    assert wrong() == 0
    cluster.close()
