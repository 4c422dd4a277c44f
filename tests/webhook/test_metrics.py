"""What is counted, and what the gauges read from the snapshot."""

from datetime import timedelta
from itertools import pairwise

from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import NamespaceQueue, UsageView
from policy.core.values.amounts import Usage
from tests.webhook.calling import START, Clock, Webhook
from tests.webhook.reviews import admission_review, encoded, named, quota, snapshot_of, workflow
from webhook.metrics import DURATION_BUCKETS, Metrics, SnapshotState


def test_every_answered_review_is_counted_by_its_outcome() -> None:
    """Side, outcome and dry run are told apart."""
    webhook = Webhook(quota("Deny", limits={"workflows": 1}))
    webhook.mutate(workflow(), uid="1", dryRun=True)
    webhook.mutate(workflow(), uid="2")
    webhook.mutate(named("other"), uid="3")
    webhook.validate(workflow(), operation="DELETE", object=None)
    webhook.mutate(workflow(), namespace="free")

    def reviews(side: str, outcome: str, dry_run: str) -> float:
        return webhook.metric("lockkeeper_reviews_total", webhook=side, outcome=outcome, dry_run=dry_run)

    assert reviews("mutate", "allowed", "true") == 1
    assert reviews("mutate", "allowed", "false") == 1
    assert reviews("mutate", "denied", "false") == 1
    assert reviews("mutate", "ungoverned", "false") == 1
    assert reviews("validate", "ignored", "false") == 1


def test_reasons_of_denials_are_counted_by_their_code() -> None:
    """A dashboard tells full quotas from wrong objects."""
    webhook = Webhook(quota("Deny", limits={"workflows": 0}))
    webhook.mutate(workflow())
    webhook.mutate({**workflow(), "status": {"phase": "Running"}})
    webhook.mutate({"spec": 5})
    codes = ("ExceededQuota", "ForeignStatus", "WrongType")
    assert [webhook.metric("lockkeeper_denials_total", code=code) for code in codes] == [1, 1, 1]


def test_the_time_of_a_review_is_observed_for_each_side(webhook: Webhook) -> None:
    """The histogram has one more observation after each answer, on its own side only."""
    webhook.mutate(workflow())
    webhook.mutate(workflow())
    webhook.validate(workflow())
    name = "lockkeeper_review_duration_seconds"
    assert webhook.metric(f"{name}_count", webhook="mutate") == 2
    assert webhook.metric(f"{name}_count", webhook="validate") == 1
    assert webhook.metric(f"{name}_sum", webhook="validate") > 0


def test_http_errors_are_counted_by_status_and_not_as_reviews(webhook: Webhook) -> None:
    """What was no answer is no review."""
    webhook.call("GET", "/mutate")
    webhook.post(b"")
    webhook.post(b"{")
    assert webhook.metric("lockkeeper_errors_total", status="405") == 1
    assert webhook.metric("lockkeeper_errors_total", status="400") == 2
    assert b'lockkeeper_reviews_total{dry_run="false",outcome="allowed",webhook="mutate"} 0.0' in (
        webhook.metrics.render()
    )


def test_our_bugs_are_counted_as_500() -> None:
    """An alert on bugs needs nothing but the status."""

    def fails() -> None:
        raise LookupError

    webhook = Webhook(snapshot=fails)  # type: ignore[arg-type]  # it never returns
    webhook.post(encoded(admission_review(workflow())))
    assert webhook.metric("lockkeeper_errors_total", status="500") == 1


def test_loads_of_policies_are_counted_by_result() -> None:
    """Refused loads show before anybody misses a policy."""
    metrics = Metrics()
    metrics.loaded(good=True)
    metrics.loaded(good=False)
    metrics.loaded(good=False)
    values = [
        metrics.registry.get_sample_value("lockkeeper_policy_loads_total", {"result": result})
        for result in ("good", "refused")
    ]
    assert values == [1, 2]


def test_the_buckets_grow() -> None:
    """Prometheus needs buckets in order, and a review of 0.1 ms has to show."""
    assert all(low < high for low, high in pairwise(DURATION_BUCKETS))
    assert DURATION_BUCKETS[0] <= 0.0001


def test_gauges_show_the_current_snapshot() -> None:
    """Usage, limits, queues and the age of the policies are read at the scrape, users left out."""
    view = UsageView(
        used={Account("team", "builds"): Usage(3, 12, 0), Account("team", "builds", "ada"): Usage(1, 1, 0)},
        queues={"team": NamespaceQueue({0: 2, 5: 1}), "idle": NamespaceQueue({})},
        running={"team": Usage(3, 12, 0)},
        not_admitted={"team": 2},
    )
    clock = Clock()
    metrics = Metrics()
    current = [snapshot_of(quota("Queue", limits={"workflows": 4, "tasks": "Unlimited"}))]
    metrics.registry.register(
        SnapshotState(snapshot=lambda: current[-1], loaded_at=lambda: START, clock=clock)
    )
    value = metrics.registry.get_sample_value
    labels = {"namespace": "team", "quota": "builds"}
    assert value("lockkeeper_queued_workflows", {"namespace": "team"}) == 0
    current.append(current[0].with_usage(view))
    clock.move(timedelta(seconds=90))
    assert value("lockkeeper_snapshot_age_seconds") == 90
    assert value("lockkeeper_running_workflows", {"namespace": "team"}) == 3
    assert value("lockkeeper_queued_workflows", {"namespace": "team"}) == 3
    assert value("lockkeeper_running_workflows", {"namespace": "idle"}) == 0
    assert value("lockkeeper_not_admitted_workflows", {"namespace": "team"}) == 2
    assert value("lockkeeper_quota_used", {**labels, "resource": "tasks"}) == 12
    assert value("lockkeeper_quota_limit", {**labels, "resource": "workflows"}) == 4
    assert value("lockkeeper_quota_limit", {**labels, "resource": "tasks"}) == float("inf")
    assert metrics.render().count(b"lockkeeper_quota_used{") == 2


def test_registering_the_gauges_asks_for_no_snapshot() -> None:
    """Metrics can be set up before policies are loaded."""

    def none_yet() -> None:
        raise LookupError

    state = SnapshotState(snapshot=none_yet, loaded_at=lambda: START, clock=Clock())  # type: ignore[arg-type]  # it never returns
    Metrics().registry.register(state)
    assert list(state.describe()) == []
