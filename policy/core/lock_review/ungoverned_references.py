"""What is wrong with what an object refers to, where no lock policy selects it: its creator is warned.

A policy says with `unknownReferences` what becomes of such references. Without one nobody is refused for
them, but a template whose entrypoint does not exist would be stored, and only its Workflows fail.
"""

from collections.abc import Iterator

import msgspec

from policy.core.decision.decision import Operation, Review
from policy.core.lock_checks.reference_messages import broken_references
from policy.core.lock_checks.unheld_locks import unheld_locks
from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_graph.unknown_references import Missing, unknown_references
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.lock_review.template_locks import is_edited, template_subject
from policy.core.objects import hold
from policy.core.objects.label_selectors import Labels
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, WorkflowSpec
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import MatchedKind
from policy.core.values.problems import Problem


class _Subject(msgspec.Struct, frozen=True):
    """The object under review, of any kind: what it is called, its spec, and the labels that select it."""

    kind: ObjectKind
    name: str
    spec: WorkflowSpec
    labels: Labels
    at: str = "/spec"


def ungoverned_references(review: Review, snapshot: Snapshot, *, whole: bool) -> Iterator[Problem]:
    """Yield the references of a new or edited object that lead nowhere, if no lock policy selects it.

    These are those to the object itself; with `whole`, also those to other objects, which a snapshot may know
    some moments after they were created. And references to templates whose objects have locks that do not
    hold for them.
    """
    subject = _subject(review)
    if subject is None:
        return
    namespace = "" if subject.kind is ObjectKind.CLUSTER_WORKFLOW_TEMPLATE else review.namespace
    locks = snapshot.policies(namespace).locks
    if locks is not None and locks.active(subject.labels, MatchedKind(subject.kind.value)):
        return  # What policies say of such references is in the decision.
    library, budget = snapshot.library, review.budget
    owner = template_owner(subject.kind, subject.name, subject.spec, subject.at)
    bodies = all_bodies(subject.spec, subject.at)
    found = unknown_references(owner, bodies, library.find(namespace), namespace, budget)
    told = (each for each in found if whole or each.missing is Missing.NAME)
    for each in broken_references(told, library, snapshot.extent):
        yield Problem(each.field, each.message)
    yield from unheld_locks(subject.spec, subject.at, bodies, library, namespace, budget=budget)


def _subject(review: Review) -> _Subject | None:
    """Return the object of a review, None where nothing in it is new."""
    created = review.operation is Operation.CREATE
    if review.sub_resource or not (created or review.operation is Operation.UPDATE):
        return None
    if review.workflow is not None:
        if not created:
            return None
        metadata = review.workflow.metadata or EMPTY_METADATA
        return _Subject(
            kind=ObjectKind.WORKFLOW,
            name=metadata.name or metadata.generate_name or "",
            spec=review.workflow.spec or EMPTY_SPEC,
            labels=hold.original_labels(metadata),
        )
    found = template_subject(review.template, review.cron, review.kind)
    if found is None or not (created or is_edited(review)):
        return None
    name = found.metadata.name or ""
    return _Subject(ObjectKind(found.kind.value), name, found.spec, found.labels, found.at)
