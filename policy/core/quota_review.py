"""What the quotas of a namespace say of a Workflow: marks, the hold, what is to be reserved, and faults."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core import explain, explain_wait, holding, marks
from policy.core.amounts import ZERO, Amount, Usage, withheld
from policy.core.children import NOT_EXEMPT, Exemption, Newcomer, exemption
from policy.core.compiled_quotas import CompiledQuota
from policy.core.crons import marks_of_run, refusal
from policy.core.decision import Code, Reason, ReservationRequest, Review, Side
from policy.core.governing import accounts_of, borrowed_from, by_effect, demands
from policy.core.kinds import OnExceed
from policy.core.ledger import (
    Account,
    Demand,
    NodeBound,
    ShareDemand,
    Shortfall,
    share_shortfalls,
    shortfalls,
)
from policy.core.marks import HELD_MESSAGE_PREFIX, RESERVATION
from policy.core.ordering import QueueRules
from policy.core.patches import Op, PatchOp
from policy.core.pools import share_demand
from policy.core.priorities import priority_of
from policy.core.quota_kinds import StopPolicy
from policy.core.relations import owner_of, scheduled_by
from policy.core.snapshot import NamespacePolicies, Snapshot
from policy.core.tasks import stored_in, tasks_of
from policy.core.usage import EMPTY_QUEUE
from policy.core.workflow import EMPTY_METADATA, Metadata, OwnerReference, Workflow, WorkflowSpec

GENERATED: Final = 12
"""Characters of the suffix: the last of an admission uid, random enough not to be met twice."""
MAX_PREFIX: Final = 63 - GENERATED
"""What is kept of a prefix, so that the name stays within the 63 characters that the API server makes."""
PARALLELISM_POINTER: Final = "/spec/parallelism"


class QuotaPart(msgspec.Struct, frozen=True):
    """The quotas' part of a decision; `outlook` are warnings of how it will wait and run, if it is let in."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    outlook: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    queued: bool = False
    reservation: ReservationRequest | None = None


NO_QUOTAS: Final = QuotaPart()
"""Of a Workflow that no quota selects."""


class Subject(msgspec.Struct, frozen=True):
    """The Workflow that is judged: whom it counts for, and where it comes from.

    `spec` is its spec as it is led to the template that it is to run. `version` is the resourceVersion of one
    that is to run again: it tells this run from those before, whose reservation may still stand under the
    same name.
    """

    review: Review
    workflow: Workflow
    spec: WorkflowSpec
    user: str
    origin: holding.HoldOrigin = holding.NEW
    version: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """What a Workflow demands: of accounts, and of a pool that borrows."""

    demands: tuple[Demand, ...]
    share: ShareDemand | None


class Asked(msgspec.Struct, frozen=True):
    """A Workflow as quotas look at it, and the moment."""

    namespace: str
    weight: Usage
    weighed: holding.Weighed
    snapshot: Snapshot
    now: datetime

    def wanted(self, quotas: Sequence[CompiledQuota]) -> Wanted:
        """Return what it demands of these quotas."""
        user, priority = self.weighed.user, self.weighed.priority
        return Wanted(demands(quotas, user, now=self.now, priority=priority), self.share(quotas))

    def short(self, wanted: Wanted, *, empty: bool = False) -> list[Shortfall]:
        """Return what is short by the latest view of usage, or with nobody running, where it is `empty`."""
        return self.short_beside({} if empty else self.snapshot.usage.taken, wanted)

    def short_behind(self, count: int, quotas: Sequence[CompiledQuota], wanted: Wanted) -> list[Shortfall]:
        """Return what is short once so many that wait in front run, each of which is taken to weigh the same.

        Whose they are is not known: no user's own limit is the fuller for them.
        """
        taken, more = self.snapshot.usage.taken, self.weight.times(count)
        accounts = accounts_of(quotas, self.namespace, self.weighed.user, self.snapshot)
        ahead = {each: taken.get(each, ZERO) + more for each in accounts if not each.user}
        return self.short_beside({**taken, **ahead}, wanted)

    def short_beside(self, taken: Mapping[Account, Usage], wanted: Wanted) -> list[Shortfall]:
        """Return what is short where so much is taken."""
        found = shortfalls(taken, self.weight, wanted.demands)
        if wanted.share is None:
            return found
        return found + share_shortfalls(taken, self.weight, wanted.share)

    def share(self, quotas: Sequence[CompiledQuota]) -> ShareDemand | None:
        """Return what it demands of a pool that borrows, where the pool's quota is among these."""
        pool = borrowed_from(quotas, self.namespace, self.snapshot)
        if pool is None:
            return None
        return share_demand(pool, self.namespace, self.weighed.priority, self.now)


def judge_quotas(
    subject: Subject,
    quotas: Sequence[CompiledQuota],
    *,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    now: datetime,
) -> QuotaPart:
    """Return what the quotas that govern a Workflow say of it that is new, or made to run again.

    `policies` are those of its namespace.
    """
    review, workflow = subject.review, subject.workflow
    spec, metadata = subject.spec, workflow.metadata or EMPTY_METADATA
    stored = stored_in(workflow.status) if subject.origin.retried else None
    tasks = tasks_of(spec, review.namespace, quotas, snapshot, now, stored=stored)
    exempt = exemption(_newcomer(review, metadata, tasks.amount, quotas), review.related, quotas)
    counted = tuple(quota for quota in quotas if quota.source not in exempt.quotas)
    priority = priority_of(spec, review.namespace, quotas, snapshot)
    weighed = holding.Weighed(tasks.amount, priority.value, subject.user)
    asked = Asked(review.namespace, Usage.of(tasks.amount), weighed, snapshot, now)
    queueing = by_effect(counted, OnExceed.QUEUE)
    denying = by_effect(counted, OnExceed.DENY)
    reservation_id = _reservation_id(review, metadata) if denying else ""
    run = scheduled_by(metadata) if review.related.policy else None
    patch = holding.mark_patch(
        workflow.metadata,
        weighed,
        reservation=reservation_id,
        hold=bool(queueing),
        origin=_origin(
            subject,
            NOT_EXEMPT if exempt.waits and not queueing else exempt,
            run if queueing else None,
            tasks.by,
        ),
    )
    if workflow.spec is None and (tasks.injected is not None or priority.patch):
        patch.append(PatchOp(Op.ADD, "/spec", {}))
    if tasks.injected is not None:
        patch.append(PatchOp(Op.ADD, PARALLELISM_POINTER, tasks.injected))
    patch += priority.patch
    outlook = [*_warn(asked, counted), *tasks.warnings, *priority.warnings]
    reasons = [*tasks.faults, *priority.faults]
    if queueing:
        reasons += refusal(review.related.policy, run.name, review.related.runs) if run is not None else ()
        reasons += _no_place(policies, queueing, snapshot, review.side)
        message, told = _queue_place(asked, queueing)
        patch += holding.hold_status_patch(workflow, message)
        outlook += told
    name = metadata.name or ""
    if denying and not name and metadata.generate_name and review.side is Side.MUTATE:
        # The reservation is bound to the name, which the API server would make only after this call.
        name = generated_name(metadata.generate_name, review.uid)
        patch.append(PatchOp(Op.ADD, "/metadata/name", name))
    claimed = (metadata.labels or {}).get(RESERVATION, "")
    reservation = None
    if denying or (claimed and review.side is Side.VALIDATE):
        bound = f"{name}@{subject.version}" if subject.version else name
        reservation = _request(asked, denying, policies, reservation_id or claimed, bound)
    return QuotaPart(
        reasons=tuple(reasons),
        warnings=tuple(_told(exempt, metadata, queued=bool(queueing) and not reasons)),
        outlook=tuple(outlook),
        patch=tuple(patch),
        policies=tuple(quota.source for quota in quotas),
        queued=bool(queueing),
        reservation=reservation,
    )


def _newcomer(review: Review, metadata: Metadata, tasks: Amount, quotas: Sequence[CompiledQuota]) -> Newcomer:
    """Return a Workflow as a child is judged; the validating side goes by what the mutating one made of it.

    That is told by the hold and, where quotas deny, by the reservation: who is exempt makes none.
    """
    if review.side is not Side.VALIDATE:
        return Newcomer(metadata, tasks, review.user)
    labels = metadata.labels or {}
    counts = RESERVATION in labels or not by_effect(quotas, OnExceed.DENY)
    return Newcomer(
        metadata,
        tasks,
        review.user,
        admitted=labels.get(marks.CHILD_OF, ""),
        held=counts and holding.is_held(labels),
    )


def _origin(subject: Subject, exempt: Exemption, run: OwnerReference | None, by: str) -> holding.HoldOrigin:
    """Return where a Workflow comes from: whose child it is, or of which schedule it is a run that waits.

    `by` is the template that weighs it.
    """
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {marks.WEIGHED_BY: by} if by else {}
    if exempt.root:
        labels[marks.CHILD_OF] = exempt.root
        annotations[marks.ROOT] = exempt.name
        annotations[marks.DEPTH] = str(exempt.depth)
    if run is not None:
        related = subject.review.related
        annotations.update(marks_of_run(related.policy, related.runs))
    return msgspec.structs.replace(subject.origin, labels=labels, annotations=annotations)


def _told(exempt: Exemption, metadata: Metadata, *, queued: bool) -> list[str]:
    """Return why a Workflow does not run under the slot of its owner, for whoever expects it."""
    if not exempt.why:
        return []
    if exempt.waits and queued:
        return [f"lockkeeper: it waits for a slot of its own, or for room under {exempt.name}: {exempt.why}"]
    if exempt.quotas:
        return [f"lockkeeper: it runs under the slot of {exempt.name}, but not for all quotas: {exempt.why}"]
    owner = owner_of(metadata, "Workflow")
    name = owner.name if owner is not None else ""
    return [f"lockkeeper: it counts for itself and not under its owner {name}: {exempt.why}"]


def generated_name(prefix: str, uid: str) -> str:
    """Return a name as the API server makes it: the prefix, cut to fit, and a suffix of its own."""
    return f"{prefix[:MAX_PREFIX]}{uid.replace('-', '')[-GENERATED:]}"


def _request(
    asked: Asked,
    denying: Sequence[CompiledQuota],
    policies: NamespacePolicies,
    reservation_id: str,
    name: str,
) -> ReservationRequest:
    """Return what is to be reserved; with no quota that denies, what the object claims already."""
    pool, weighed = asked.snapshot.pool(asked.namespace), asked.weighed
    nodes = None
    if pool is not None and pool.capacity is not None and pool.quota.account in {q.account for q in denying}:
        kept = withheld(pool.quota.reserves, weighed.priority)
        nodes = NodeBound(pool.quota.account, pool.capacity.lowest, kept)
    return ReservationRequest(
        root=policies.root,
        id=reservation_id,
        namespace=asked.namespace,
        workflow=name,
        weight=asked.weight,
        demands=demands(denying, weighed.user, now=asked.now, priority=weighed.priority),
        share=asked.share(denying),
        nodes=nodes,
        user=weighed.user,
    )


def _reservation_id(review: Review, metadata: Metadata) -> str:
    """Return the id of the reservation that the object must carry (docs/adr/0003).

    The mutating side names it after its own request, over whatever came with the object. The API server
    gives each webhook call a uid of its own, so the validating side takes the id as it stands; the ledger
    knows which ones are real.
    """
    if review.side is Side.MUTATE:
        return review.uid
    return (metadata.labels or {}).get(RESERVATION) or review.uid


def _no_place(
    policies: NamespacePolicies, queueing: Sequence[CompiledQuota], snapshot: Snapshot, side: Side
) -> list[Reason]:
    """Return why the queue takes nobody: it is full, or is to drain. A new one may come later (429).

    Whether it is full the mutating side decides: by the time of the validating one the newcomer is counted.
    """
    depth = snapshot.usage.queues.get(policies.namespace, EMPTY_QUEUE).depth
    rules = policies.rules
    if any(quota.rules.stop_policy is StopPolicy.HOLD_AND_DRAIN for quota in queueing):
        rules = QueueRules(stop_policy=StopPolicy.HOLD_AND_DRAIN)
    if side is not Side.MUTATE:
        rules = msgspec.structs.replace(rules, max_length=None)
    text = explain_wait.refusal(policies.namespace, depth, rules)
    return [] if text is None else [Reason(Code.QUEUE_FULL, "", text, queueing[0].source)]


def _warn(asked: Asked, quotas: Sequence[CompiledQuota]) -> list[str]:
    """Return the warnings of quotas that only warn, by the latest view of usage."""
    warning = by_effect(quotas, OnExceed.WARN)
    return [
        f"lockkeeper: {explain.exceeded(short, OnExceed.WARN)}; it runs all the same (onExceed: Warn)"
        for short in (asked.short(asked.wanted(warning)) if warning else ())
    ]


def _queue_place(asked: Asked, queueing: Sequence[CompiledQuota]) -> tuple[str, list[str]]:
    """Return the message that the held Workflow shows, and the warnings for whoever created it.

    Nobody is warned of a wait that the view does not foresee.
    """
    view, namespace = asked.snapshot.usage, asked.namespace
    position, depth = explain.newcomer_place(namespace, asked.weighed.priority, view)
    place = (
        explain.queue_message(namespace, queueing, view, asked.now, position=position, depth=depth)
        if view.knows(namespace)
        else f"waiting for a slot in {namespace}"
    )
    wanted = asked.wanted(queueing)
    alone = asked.short(wanted, empty=True)
    warnings = []
    if never := [each for each in alone if each.never_fits]:
        warnings.append(f"lockkeeper: queued, but {explain.never_fits(never[0])}")
    elif later := [each for each in alone if each.must_rise]:
        warnings.append(f"lockkeeper: queued, {place}; {explain.must_rise(later[0])}")
    elif view.knows(namespace) and _waits(asked, queueing, wanted, position - 1, depth - 1):
        warnings.append(f"lockkeeper: queued, {place}")
    return f"{HELD_MESSAGE_PREFIX}: {place}", warnings


def _waits(asked: Asked, queueing: Sequence[CompiledQuota], wanted: Wanted, ahead: int, others: int) -> bool:
    """Tell whether the view foresees a wait, where so many wait `ahead` among the `others` that do.

    By figures of statuses some of them may have been let go since, so they need no wait of their own: it
    waits where there is no room for it beside them.
    """
    if asked.short(wanted):
        return True
    if not asked.snapshot.usage.partial:
        return others > 0
    return ahead > 0 and bool(asked.short_behind(ahead, queueing, wanted))
