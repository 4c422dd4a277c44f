"""Counts the tasks of a waiting Workflow again, if a template alone decides how many it runs.

Argo reads the template when it starts the Workflow, and lets it have no number of its own
(`templateReferencing` Strict or Secure). So an edit of the template is checked by the caps of its namespace,
and a waiting Workflow counts with the number that the template has at its release.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from policy.core.admission.tasks_and_priority import PARALLELISM, StoredSpec, cap_of
from policy.core.decision.decision import Code, Operation, Reason, Review
from policy.core.objects.template_keys import ObjectKind, key_named
from policy.core.objects.workflow import Read
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import Amount
from policy.core.values.prepared import prepare


class TaskRecount(msgspec.Struct, frozen=True):
    """The tasks that a Workflow counts with now; `fault` is why it may not be released, if so."""

    tasks: Amount
    fault: str = ""


class _OldTemplate(Read, frozen=True):
    """A template before an edit, of which only the parallelism matters."""

    spec: StoredSpec | None = None


_OLD_TEMPLATE: Final = msgspec.json.Decoder(_OldTemplate | None)
prepare(_OldTemplate)


def recounted(
    by: str, admitted: Amount, namespace: str, quotas: Sequence[CompiledQuota], snapshot: Snapshot
) -> TaskRecount:
    """Return the tasks of a Workflow that was `admitted` with so many by the template that `by` names.

    It is never less than that: there are versions of Argo that accept a number of its own. A Workflow whose
    template is deleted ends in error, however many tasks it has.
    """
    origin = key_named(by, namespace)
    template = snapshot.templates.get(origin) if origin is not None else None
    if template is None:
        return TaskRecount(admitted)
    own = template.parallelism
    number = snapshot.argo_defaults.parallelism if own is None else own
    if number is None:
        return TaskRecount(Amount(None))
    cap = cap_of(quotas)
    if not cap.covers(number):
        fault = (
            f"{by} says {number} tasks now, above the cap of {cap} tasks of one Workflow: lower its "
            "spec.parallelism, or delete the Workflow"
        )
        return TaskRecount(admitted, fault)
    return TaskRecount(Amount(max(number, admitted.value or 0)))


def cap_faults(review: Review, snapshot: Snapshot) -> Iterator[Reason]:
    """Yield the caps above which an edit raises the tasks of the Workflows that are made from a template.

    Whether a quota that selects only some Workflows governs these is not known yet. They are counted again
    before their release, and so are those made from a ClusterWorkflowTemplate.
    """
    template = review.template
    if template is None or review.kind is not ObjectKind.WORKFLOW_TEMPLATE:
        return
    if review.operation is not Operation.UPDATE or not snapshot.argo_defaults.references_only:
        return
    default = snapshot.argo_defaults.parallelism
    was, now = _old_parallelism(review.old_raw), template.spec.parallelism
    before, after = Amount(default if was is None else was), Amount(default if now is None else now)
    if after == after.tightest(before):
        return
    for quota in snapshot.policies(review.namespace).quotas:
        cap = quota.max_tasks
        if quota.selects_all and cap is not None and (after.value is None or after.value > cap):
            message = (
                f"{after} is above the cap of {cap} tasks of one Workflow, and Argo lets those "
                f"that refer to the template say nothing else: set it to {cap} or less"
            )
            yield Reason(Code.TASKS_ABOVE_CAP, PARALLELISM, message, quota.source)


def _old_parallelism(raw: msgspec.Raw) -> int | None:
    try:
        old = _OLD_TEMPLATE.decode(raw)
    except msgspec.ValidationError:
        return None
    return old.spec.parallelism if old is not None and old.spec is not None else None
