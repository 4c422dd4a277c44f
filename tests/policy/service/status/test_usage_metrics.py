"""What the leader shows of usage, queues and limits, of which namespaces, and what that costs."""

from collections.abc import Iterable
from datetime import timedelta
from time import thread_time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import GroupSpec, QuotaLimits, WorkflowQuotaSpec
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import NamespaceQueue, UsageView, Waits
from policy.core.values.amounts import Usage
from policy.service.status.usage_metrics import SHOWN_FOR, UsageMetrics, priority_class
from tests.policy.service.world import NOON, Clock, member, pool, quota, snapshot_of

MANY = 5000


class Shown:
    """The gauges of one process, which leads."""

    def __init__(self, snapshot: Snapshot, clock: Clock) -> None:
        self.snapshot = snapshot
        self.leads = True
        self.metrics = UsageMetrics(
            snapshot=lambda: self.snapshot,
            leading=lambda: self.leads,
            capacity=lambda _: None,
            clock=clock,
        )

    def use(self, view: UsageView) -> None:
        """Put another view of usage in force."""
        self.snapshot = self.snapshot.with_usage(view)

    def values(self) -> dict[tuple[str, ...], float]:
        """Return all series: the name, and the values of the labels in the order of their names."""
        text = self.metrics.render().decode()
        families = text_string_to_metric_families(text)
        found = [
            ((each.name, *(value for _, value in sorted(each.labels.items()))), each.value)
            for family in families
            for each in family.samples
        ]
        assert len(dict(found)) == len(found), "no series is there twice"
        return dict(found)


@pytest.fixture
def shown(clock: Clock) -> Shown:
    """Give a pool with two members, one with a quota of its own."""
    return Shown(
        snapshot_of(
            pool("data", workflows=9), member("etl", "data"), member("ml", "data"), quota("etl", "q", tasks=5)
        ),
        clock,
    )


BUSY = UsageView(
    used={
        Account.of_pool("data"): Usage(3, 3),
        Account("etl", "q"): Usage(3, 3),
        Account("etl", "q", "ada"): Usage(3, 3),
    },
    queues={"etl": NamespaceQueue({0: 2, 7: 1, -1: 4})},
    running={"etl": Usage(3, 3)},
    not_admitted={"etl": 1},
    waits=Waits({"etl": NOON}, {"WaitingForQuota": 7, "OnHold": 0}),
)


def test_the_leader_shows_what_runs_and_waits(shown: Shown) -> None:
    """With the oldest, and by priority and by reason; no user is named."""
    shown.use(BUSY)
    found = shown.values()
    assert found["lockkeeper_running_workflows", "etl"] == 3
    assert found["lockkeeper_queued_workflows", "etl"] == 7
    by_priority = {
        each: found["lockkeeper_queued_workflows_by_priority", each, "etl"]
        for each in ("low", "normal", "high")
    }
    assert by_priority == {"low": 4, "normal": 2, "high": 1}
    assert found["lockkeeper_queue_oldest_created_timestamp_seconds", "etl"] == NOON.timestamp()
    assert found["lockkeeper_queue_blocked_workflows", "WaitingForQuota"] == 7
    assert found["lockkeeper_not_admitted_workflows", "etl"] == 1
    assert found["lockkeeper_quota_used", "ClusterWorkflowQuota", "data", "workflows", ""] == 3
    assert found["lockkeeper_quota_limit", "ClusterWorkflowQuota", "data", "workflows", ""] == 9
    assert found["lockkeeper_quota_limit", "WorkflowQuota", "q", "tasks", "etl"] == 5
    assert ("lockkeeper_quota_limit", "WorkflowQuota", "q", "workflows", "etl") not in found, "unlimited"
    assert not any("ada" in each for each in found)


def test_groups_are_shown_by_how_many_keys(clock: Clock) -> None:
    """There may be any number of keys, so none is named; what else shows quotas does not have groups."""
    group = GroupSpec(name="branch", key="{{workflow.labels.branch}}", limits=QuotaLimits(2))
    ci = WorkflowQuota(PolicyMetadata("q", "ci"), WorkflowQuotaSpec(groups=(group,)))
    account = Account("ci", "q:branch")
    shown = Shown(snapshot_of(ci), clock)
    used = {account.of_key("main"): Usage(2), account.of_key("fix"): Usage(1)}
    shown.use(UsageView(used=used, waits=Waits(keys={account: 3})))
    found = {key: value for key, value in shown.values().items() if "branch" in key or "q:branch" in key}
    labels = ("branch", "WorkflowQuota", "q")
    assert found == {
        ("lockkeeper_group_key_limit", *labels, "workflows", "ci"): 2,
        ("lockkeeper_group_keys_in_use", *labels, "ci"): 2,
        ("lockkeeper_group_keys_at_limit", *labels, "ci"): 1,
        ("lockkeeper_group_waiting_workflows", *labels, "ci"): 3,
    }


def test_who_does_not_lead_shows_nothing(shown: Shown) -> None:
    """What it knew when it led would be counted twice."""
    shown.use(BUSY)
    shown.leads = False
    assert shown.metrics.render() == b""


def test_what_becomes_empty_falls_to_zero_and_goes_after_a_while(shown: Shown, clock: Clock) -> None:
    """Of a namespace without a quota of its own; a gap would look like a scrape that failed."""
    shown.use(UsageView(running={"ml": Usage(1)}))
    shown.values()
    shown.use(UsageView())
    assert shown.values()["lockkeeper_running_workflows", "ml"] == 0
    clock.advance(SHOWN_FOR - timedelta(seconds=1))
    assert ("lockkeeper_running_workflows", "ml") in shown.values()
    clock.advance(timedelta(seconds=1))
    assert ("lockkeeper_running_workflows", "ml") not in shown.values()
    assert shown.values()["lockkeeper_quota_used", "WorkflowQuota", "q", "tasks", "etl"] == 0


def test_priorities_are_of_three_classes() -> None:
    """There are four billion of them."""
    assert [priority_class(each) for each in (-5, 0, 1)] == ["low", "normal", "high"]


def crowded(clock: Clock, busy: Iterable[int]) -> Shown:
    """Return what is shown of very many members of a pool, of which some are busy."""
    members = (member(f"n{index}", "data") for index in range(MANY))
    found = Shown(snapshot_of(pool("data", workflows=9), *members), clock)
    names = [f"n{index}" for index in busy]
    found.use(
        UsageView(
            queues={name: NamespaceQueue({0: 2}) for name in names},
            running={name: Usage(1) for name in names},
            waits=Waits(dict.fromkeys(names, NOON)),
        )
    )
    return found


def test_of_thousands_of_idle_namespaces_nothing_is_shown(clock: Clock) -> None:
    """A scrape is as large as what there is to say."""
    few = len(crowded(clock, range(3)).values())
    assert few < 3 * 7 + 20


def test_a_scrape_of_thousands_of_busy_namespaces_is_no_work_to_speak_of(clock: Clock) -> None:
    """Each with a quota of its own: some 50,000 series, by the CPU time of the thread that answers."""
    quotas = (quota(f"n{index}", "q", workflows=3, tasks=9) for index in range(MANY))
    found = Shown(snapshot_of(*quotas), clock)
    names = [f"n{index}" for index in range(MANY)]
    found.use(
        UsageView(
            used={Account(name, "q"): Usage(1, 2) for name in names},
            queues={name: NamespaceQueue({0: 2}) for name in names},
            running={name: Usage(1, 2) for name in names},
            waits=Waits(dict.fromkeys(names, NOON)),
        )
    )
    text = found.metrics.render()  # Compiles what a leader has compiled long ago.
    assert text.count(b"\n") > 10 * MANY
    spent = []
    for _ in range(5):
        begun = thread_time()
        found.metrics.render()
        spent.append(thread_time() - begun)
    assert min(spent) < 0.5, "100 ms on a free machine"
