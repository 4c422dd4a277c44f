"""What a review takes for granted, since it asks no cluster: the time, and which Workflows run already."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.group_marks import subject_of, with_group_keys
from policy.core.admission.reference_marks import with_references
from policy.core.admission.tasks_and_priority import tasks_of
from policy.core.decision.decision import Review
from policy.core.objects import hold
from policy.core.objects.label_selectors import Labels
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, Workflow
from policy.core.policies.governing_quotas import accounts_of, governing
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import ZERO, Usage

_RUNNING: Final = re.compile(r"(?:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)=)?(\d{1,7})(?:/(\d{1,9}))?", re.ASCII)
_RUNNING_FORM: Final = (
    "write how many Workflows run, as in 3, for one namespace team-etl=3, and with all of their tasks "
    "team-etl=3/40"
)
_TIME_FORM: Final = "write it with its zone, as in 2026-12-01T03:00:00+01:00 or 2026-12-01T02:00:00Z"
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2199
_ANY: Final = ""


class RunningWorkflows(msgspec.Struct, frozen=True):
    """How many Workflows run in a namespace ("" for that of the object), and their tasks, if that is said."""

    namespace: str
    workflows: int
    tasks: int | None = None

    @staticmethod
    def parse(text: str) -> "RunningWorkflows":
        """Read `3`, `team-etl=3` or `team-etl=3/40`. Raises ValueError."""
        match = _RUNNING.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no number of Workflows: {_RUNNING_FORM}")
        tasks = None if match[3] is None else int(match[3])
        return RunningWorkflows(match[1] or _ANY, int(match[2]), tasks)

    def usage(self, one: Usage) -> Usage:
        """Return what they use together; where no tasks are given, each uses as much as `one`."""
        return one.times(self.workflows) if self.tasks is None else Usage(self.workflows, self.tasks)


class Assumptions(msgspec.Struct, frozen=True):
    """What is assumed of all reviews of one command: the time, and what runs."""

    now: datetime
    running: tuple[RunningWorkflows, ...] = ()

    def with_usage(self, review: Review, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot in which as much is used as is assumed.

        The Workflows that run have the labels, references, keys, user and priority of the one under review.
        """
        workflow = review.workflow
        if workflow is None or not self.running:
            return snapshot
        labels = labels_of_new(workflow, review, snapshot)
        one = usage_of_new(workflow, labels, review.namespace, snapshot, self.now)
        used: dict[Account, Usage] = {}
        running: dict[str, Usage] = {}
        for namespace, each in _by_namespace(self.running, review.namespace).items():
            usage = running[namespace] = each.usage(one)
            quotas = governing(snapshot.policies(namespace).quotas, labels)
            for account in accounts_of(quotas, namespace, review.user, snapshot):
                used[account] = used.get(account, ZERO) + usage
        return snapshot.with_usage(UsageView(used=used, running=running))


def time_with_zone(text: str) -> datetime:
    """Read a time of RFC 3339. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: {_TIME_FORM}") from error
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: {_TIME_FORM}")
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"{text!r} is not between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    return found


def _by_namespace(given: Sequence[RunningWorkflows], own: str) -> Mapping[str, RunningWorkflows]:
    """Return what runs by namespace; what is said of a namespace by name counts before what has no name."""
    unnamed_first = sorted(given, key=lambda each: each.namespace != _ANY)
    return {each.namespace or own: each for each in unnamed_first}


def labels_of_new(workflow: Workflow, review: Review, snapshot: Snapshot) -> Labels:
    """Return the labels of a Workflow that is new, with its references and keys where quotas use these."""
    metadata, spec = workflow.metadata or EMPTY_METADATA, workflow.spec or EMPTY_SPEC
    policies = snapshot.policies(review.namespace)
    marked = with_references(review, metadata, spec, before=None, policies=policies, snapshot=snapshot)
    if policies.group_keys:
        subject = subject_of(workflow, review.user, hold.references_of(marked), policies, snapshot)
        marked = with_group_keys(marked, subject, before=None, policies=policies)
    return hold.original_labels(marked)


def usage_of_new(
    workflow: Workflow, labels: Labels, namespace: str, snapshot: Snapshot, now: datetime
) -> Usage:
    """Return what a Workflow uses under the quotas of its namespace."""
    quotas = governing(snapshot.policies(namespace).quotas, labels)
    return Usage.of(tasks_of(workflow.spec or EMPTY_SPEC, namespace, quotas, snapshot, now).amount)
