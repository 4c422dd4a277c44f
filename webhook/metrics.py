"""What the webhook counts, named in docs/metrics.md.

Label sets are bound once, and so are there from the start: an increase from nothing to one is none to
Prometheus. What a namespace had decided is counted for the namespaces that asked last. What runs and waits is
not here: only the leader says it, or every sum would count it several times.
"""

from threading import Lock
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from policy.core.decision.decision import Code, Decision, Operation, Outcome, Review, Side
from policy.core.objects.template_keys import ObjectKind
from policy.core.values.budget import Part
from webhook.http_errors import statuses
from webhook.wire import Received

DURATION_BUCKETS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    5.0,
)
"""Seconds; a review takes tens of microseconds. The chart's timeouts are 2 and 5 seconds."""
MOST_NAMESPACES: Final = 300
"""Namespaces whose decisions are counted apart, in the process that answers reviews."""
_RESULTS: Final = (Outcome.ALLOWED, Outcome.QUEUED, Outcome.DENIED)
_DECIDED: Final = {
    Side.MUTATE: frozenset({Outcome.DENIED}),
    Side.VALIDATE: frozenset(_RESULTS),
    Side.POLICIES: frozenset[Outcome](),
}
"""Which outcomes of a side decide about a create: what the first lets pass, the second sees again."""


class Metrics:
    """The metric objects of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # A second series beside every counter that is of no use.
        self.registry = CollectorRegistry()

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, registry=self.registry)

        reviews = counter(
            "lockkeeper_reviews", "Answered admission reviews by result.", "webhook", "result", "dry_run"
        )
        self._reviews = {
            (side, outcome, dry_run): reviews.labels(side.value, outcome.value, str(dry_run).lower())
            for side in Side
            for outcome in Outcome
            for dry_run in (False, True)
        }
        durations = Histogram(
            "lockkeeper_review_duration_seconds",
            "Time from the read body to the encoded answer.",
            ["webhook"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._durations = {side: durations.labels(side.value) for side in Side}
        denials = counter("lockkeeper_denials", "Reasons of denials, by their code.", "reason")
        self._denials = {code: denials.labels(code.value) for code in Code}
        self._decisions = counter(
            "lockkeeper_decisions",
            "Creates of Workflows that were decided, without dry runs, by namespace and result.",
            "workflow_namespace",
            "result",
        )
        self._making_room = Lock()
        self._recent: dict[str, dict[Outcome, Counter]] = {}
        errors = counter("lockkeeper_errors", "Requests answered with an HTTP error, by status.", "status")
        self._errors = {status: errors.labels(status) for status in statuses()}
        unknown_callers = counter(
            "lockkeeper_unknown_callers",
            "Calls that were refused unread, because their path is not in the webhook configurations.",
            "webhook",
        )
        self._unknown_callers = {side: unknown_callers.labels(side.value) for side in Side}
        late = counter(
            "lockkeeper_reviews_out_of_time",
            "Reviews that were not answered in time, by the part of the review that spent it.",
            "part",
        )
        self._late = {part: late.labels(part.value) for part in Part}

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Count an answered review."""
        review = received.review
        self._reviews[review.side, decision.outcome, review.dry_run].inc()
        self._durations[review.side].observe(seconds)
        for reason in decision.reasons:
            self._denials[reason.code].inc()
        if decision.outcome in _DECIDED[review.side] and _is_create(review):
            self._decided(review.namespace, decision.outcome)

    def failed(self, status: str) -> None:
        """Count a request that got an HTTP error; `status` is the status line."""
        self._errors[status[:3]].inc()

    def unknown_caller(self, side: Side) -> None:
        """Count a call of a caller that is not known."""
        self._unknown_callers[side].inc()

    def out_of_time(self, part: Part) -> None:
        """Count a review that was not answered in time."""
        self._late[part].inc()

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _decided(self, namespace: str, outcome: Outcome) -> None:
        """Count a create that was decided; beyond so many namespaces the first of them makes room."""
        found = self._recent.get(namespace)
        if found is None:
            with self._making_room:
                while len(self._recent) >= MOST_NAMESPACES:
                    first = next(iter(self._recent))
                    for each in self._recent.pop(first):
                        self._decisions.remove(first, each.value)
                found = {each: self._decisions.labels(namespace, each.value) for each in _RESULTS}
                self._recent[namespace] = found
        found[outcome].inc()


def _is_create(review: Review) -> bool:
    """Return whether it stores a new Workflow, if it is allowed."""
    return (
        review.kind is ObjectKind.WORKFLOW
        and review.operation is Operation.CREATE
        and not review.dry_run
        and not review.sub_resource
    )
