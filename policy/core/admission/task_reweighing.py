"""Counting the tasks of a waiting Workflow again, where a template alone decides how many it runs.

Argo reads the template when it starts the Workflow, and lets it have no number of its own
(`templateReferencing` Strict or Secure). So an edit of the template is checked by the caps of its namespace,
and a waiting Workflow counts with what it has then.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from policy.core.admission.task_bounds import PARALLELISM, StoredSpec, cap_of
from policy.core.decision.decision import Code, Operation, Reason, Review
from policy.core.objects.template_keys import ObjectKind, key_named
from policy.core.objects.workflow import Read
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import Amount
from policy.core.values.prepared import prepare


class WeighedAgain(msgspec.Struct, frozen=True):
    """The tasks that a Workflow counts with now, and why it may not be released, or nothing."""

    tasks: Amount
    fault: str = ""


class _Before(Read, frozen=True):
    """A template as it was, of which only the parallelism matters."""

    spec: StoredSpec | None = None


_BEFORE: Final = msgspec.json.Decoder(_Before | None)
prepare(_Before)


def weighed_again(
    by: str, admitted: Amount, namespace: str, quotas: Sequence[CompiledQuota], snapshot: Snapshot
) -> WeighedAgain:
    """Return the tasks of a Workflow that was `admitted` with so many by the template that `by` names.

    It is never less than that: versions of Argo that take a number of its own are out there. One whose
    template is deleted ends in error, however many tasks it has.
    """
    origin = key_named(by, namespace)
    template = snapshot.templates.get(origin) if origin is not None else None
    if template is None:
        return WeighedAgain(admitted)
    says = template.parallelism
    number = snapshot.argo_defaults.parallelism if says is None else says
    if number is None:
        return WeighedAgain(Amount(None))
    cap = cap_of(quotas)
    if not cap.covers(number):
        fault = (
            f"{by} says {number} tasks now, above the cap of {cap} tasks of one Workflow: lower its "
            "spec.parallelism, or delete the Workflow"
        )
        return WeighedAgain(admitted, fault)
    if admitted.value is None:
        return WeighedAgain(Amount(max(number, 0)))
    return WeighedAgain(Amount(max(number, admitted.value)))


def cap_faults(review: Review, snapshot: Snapshot) -> Iterator[Reason]:
    """Yield the caps above which an edit raises the tasks of the Workflows that a template makes.

    Of a quota that selects some Workflows it is unknown yet whether it governs these; they are counted again
    before they go, and so is what a ClusterWorkflowTemplate makes.
    """
    template = review.template
    if template is None or review.kind is not ObjectKind.WORKFLOW_TEMPLATE:
        return
    if review.operation is not Operation.UPDATE or not snapshot.argo_defaults.references_only:
        return
    default = snapshot.argo_defaults.parallelism
    was, now = _parallelism(review.old_raw), template.spec.parallelism
    before, after = Amount(default if was is None else was), Amount(default if now is None else now)
    if after == after.tightest(before):
        return
    for quota in snapshot.policies(review.namespace).quotas:
        if quota.selects_all and quota.max_tasks is not None and not _covers(quota.max_tasks, after):
            message = (
                f"{after} is above the cap of {quota.max_tasks} tasks of one Workflow, and Argo lets those "
                f"that refer to the template say nothing else: set it to {quota.max_tasks} or less"
            )
            yield Reason(Code.TASKS_ABOVE_CAP, PARALLELISM, message, quota.source)


def _covers(cap: int, tasks: Amount) -> bool:
    return tasks.value is not None and tasks.value <= cap


def _parallelism(raw: msgspec.Raw) -> int | None:
    try:
        before = _BEFORE.decode(raw)
    except msgspec.ValidationError:
        return None
    return before.spec.parallelism if before is not None and before.spec is not None else None
