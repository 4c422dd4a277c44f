"""What the webhook counts."""

from itertools import pairwise

from policy.core.decision.decision import Code, Outcome
from tests.webhook.calling import Webhook
from tests.webhook.reviews import admission_review, encoded, named, quota, workflow
from webhook.metrics import DURATION_BUCKETS, MOST_NAMESPACES, Metrics


def test_every_answered_review_is_counted_by_its_outcome() -> None:
    """Side, outcome and dry run are told apart."""
    webhook = Webhook(quota("Deny", limits={"workflows": 1}))
    webhook.mutate(workflow(), uid="1", dryRun=True)
    webhook.mutate(workflow(), uid="2")
    webhook.mutate(named("other"), uid="3")
    webhook.validate(workflow(), operation="DELETE", object=None)
    webhook.mutate(workflow(), namespace="free")

    def reviews(side: str, outcome: str, dry_run: str) -> float:
        return webhook.metric("lockkeeper_reviews_total", webhook=side, result=outcome, dry_run=dry_run)

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
    assert [webhook.metric("lockkeeper_denials_total", reason=code) for code in codes] == [1, 1, 1]


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
    assert b'lockkeeper_reviews_total{dry_run="false",result="allowed",webhook="mutate"} 0.0' in (
        webhook.metrics.render()
    )


def test_our_bugs_are_counted_as_500() -> None:
    """An alert on bugs needs nothing but the status."""

    def fails() -> None:
        raise LookupError

    webhook = Webhook(snapshot=fails)  # type: ignore[arg-type]  # it never returns
    webhook.post(encoded(admission_review(workflow())))
    assert webhook.metric("lockkeeper_errors_total", status="500") == 1


def test_the_buckets_grow() -> None:
    """Prometheus needs buckets in order, and a review of 0.1 ms has to show."""
    assert all(low < high for low, high in pairwise(DURATION_BUCKETS))
    assert DURATION_BUCKETS[0] <= 0.0001


def test_all_reasons_results_and_statuses_are_there_before_the_first() -> None:
    """An increase from nothing to one is none to Prometheus: the first of each would be lost."""
    text = Metrics().render().decode()
    for code in Code:
        assert f'lockkeeper_denials_total{{reason="{code}"}} 0.0' in text
    for status in ("400", "403", "405", "413", "415", "500", "503", "504"):
        assert f'lockkeeper_errors_total{{status="{status}"}} 0.0' in text
    for outcome in Outcome:
        assert f'result="{outcome}",webhook="mutate"}} 0.0' in text


def test_every_create_is_one_decision_of_its_namespace() -> None:
    """Denied by the first side or let through by the second; dry runs and other kinds are none."""
    webhook = Webhook(quota("Deny", limits={"workflows": 0}))
    webhook.mutate(workflow(), uid="1")
    webhook.mutate(workflow(), uid="2", dryRun=True)
    webhook.mutate(workflow(), namespace="free")
    webhook.validate(workflow(), namespace="free")

    def decided(namespace: str, result: str) -> float:
        return webhook.metric("lockkeeper_decisions_total", workflow_namespace=namespace, result=result)

    assert [decided("team", each) for each in ("denied", "queued", "allowed")] == [1, 0, 0]
    text = webhook.metrics.render()
    assert b'workflow_namespace="free"' not in text, "no policy decides there"


def test_decisions_are_counted_for_the_newest_namespaces() -> None:
    """A new team is counted, however many there were before; nothing piles up."""
    webhook = Webhook("")
    for index in range(MOST_NAMESPACES + 1):
        webhook.validate({"spec": 5}, namespace=f"n{index}", uid=str(index))
    text = webhook.metrics.render()
    assert text.count(b"lockkeeper_decisions_total{") == 3 * MOST_NAMESPACES
    assert b'workflow_namespace="n0"' not in text
    assert f'workflow_namespace="n{MOST_NAMESPACES}"'.encode() in text


def test_timeouts_of_the_chart_are_bounds_of_buckets() -> None:
    """How many reviews came near them can be asked."""
    assert {0.25, 2.0, 5.0} <= {*DURATION_BUCKETS}


def test_the_webhook_does_not_say_what_runs_and_waits(webhook: Webhook) -> None:
    """Each replica would, and every sum would count it several times."""
    webhook.mutate(workflow())
    assert b"running_workflows" not in webhook.metrics.render()
    assert b"quota_used" not in webhook.metrics.render()
