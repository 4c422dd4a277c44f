"""What is read about the owner of a Workflow that is to run: of children and of runs of a schedule only.

The owner of a child that runs again is read as well: a step that does `argo retry` and waits for it would
wait for ever otherwise.
"""

from typing import Protocol

import msgspec

from policy.cluster.errors import ClusterError
from policy.core.admission.update import reactivates, update_of
from policy.core.decision.decision import Operation, Review
from policy.core.objects.owners import UNRELATED, Related, owner_of, scheduled_by
from policy.core.objects.workflow import Metadata, OwnerReference
from policy.core.policies.snapshot import Snapshot
from webhook.http_errors import LedgerUnavailable
from webhook.turns import ALONE, Turn


class OwnerReader(Protocol):
    """The cluster as far as owners go; see `policy.cluster.workflow_reads.Relatives`."""

    def of_child(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the Workflow that owns a new one, the root Workflow, and its other descendants."""

    def of_run(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the policy of the CronWorkflow that owns a run, and its other runs."""


class NoOwners:
    """Where there is no cluster to read: no Workflow has an owner."""

    def of_child(self, _namespace: str, _owner: OwnerReference) -> Related:
        """Return that nothing is known."""
        return UNRELATED

    def of_run(self, _namespace: str, _owner: OwnerReference) -> Related:
        """Return that nothing is known."""
        return UNRELATED


def with_owner(review: Review, snapshot: Snapshot, relatives: OwnerReader, turn: Turn = ALONE) -> Review:
    """Return the review with what was read about the owner, where quotas make that matter.

    Raises:
        LedgerUnavailable: the cluster did not answer; the failure policy decides.
    """
    metadata = review.workflow.metadata if review.workflow is not None else None
    if metadata is None or not metadata.owner_references or not _starts(review):
        return review
    if not snapshot.policies(review.namespace).quotas:
        return review
    try:
        with turn.waiting():
            related = _read(review, metadata, snapshot, relatives)
    except ClusterError as error:
        raise LedgerUnavailable(f"the owner could not be read: {error.message}") from error
    return msgspec.structs.replace(review, related=related)


def _starts(review: Review) -> bool:
    """Return whether a Workflow is to run that did not before: a new one, or one that was over."""
    if review.operation is not Operation.UPDATE:
        return review.operation is Operation.CREATE
    update = update_of(review)
    return update is not None and reactivates(update)


def _read(review: Review, metadata: Metadata, snapshot: Snapshot, relatives: OwnerReader) -> Related:
    cron = scheduled_by(metadata) if review.operation is Operation.CREATE else None
    if cron is not None and review.user in snapshot.identities.argo_controllers:
        return relatives.of_run(review.namespace, cron)
    parent = owner_of(metadata, "Workflow")
    return relatives.of_child(review.namespace, parent) if parent is not None else UNRELATED
