"""What the quotas of a namespace say of a Workflow: marks, the hold, what is to be reserved, and faults."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.child_exemption import NOT_EXEMPT, Exemption, Newcomer, exemption
from policy.core.admission.cron_runs import marks_of_run, refusal
from policy.core.admission.priorities import Priority, priority_of
from policy.core.admission.task_bounds import Tasks, stored_in, tasks_of
from policy.core.decision import quota_messages
from policy.core.decision.decision import Code, Reason, ReservationRequest, Review, Side
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.owners import owner_of, scheduled_by
from policy.core.objects.well_known import HELD_MESSAGE_PREFIX, RESERVATION
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, OwnerReference, Workflow, WorkflowSpec
from policy.core.policies.governing import accounts_of, borrowed_from, demands
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.policy_kinds.kinds import OnExceed
from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue import wait_messages
from policy.core.quota.accounts import Account, Root
from policy.core.quota.compiled_quota import CompiledQuota, QueueRules
from policy.core.quota.demands import Demand, NodeBound, ShareDemand, Shortfall, share_shortfalls, shortfalls
from policy.core.quota.pools import share_demand
from policy.core.values.amounts import ZERO, Amount, Usage, withheld

GENERATED: Final = 12
"""Characters of the suffix: the last of an admission uid, random enough not to be met twice."""
MAX_PREFIX: Final = 63 - GENERATED
"""What is kept of a prefix, so that the name stays within the 63 characters that the API server makes."""
_PARALLELISM_POINTER: Final = "/spec/parallelism"


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
    origin: hold.HoldOrigin = hold.NEW
    version: str = ""


class _Wanted(msgspec.Struct, frozen=True):
    """What a Workflow demands: of accounts, and of a pool that borrows."""

    demands: tuple[Demand, ...]
    share: ShareDemand | None


class _Asked(msgspec.Struct, frozen=True):
    """A Workflow as quotas look at it, and the moment."""

    namespace: str
    weight: Usage
    weighed: hold.Weighed
    snapshot: Snapshot
    now: datetime

    def wanted(self, quotas: Sequence[CompiledQuota]) -> _Wanted:
        """Return what it demands of these quotas, and of a pool that borrows where one of them is its."""
        user, priority = self.weighed.user, self.weighed.priority
        pool = borrowed_from(quotas, self.namespace, self.snapshot)
        share = None if pool is None else share_demand(pool, self.namespace, priority, self.now)
        return _Wanted(demands(quotas, user, now=self.now, priority=priority), share)

    def short(self, taken: Mapping[Account, Usage], wanted: _Wanted) -> list[Shortfall]:
        """Return what is short where so much is taken."""
        found = shortfalls(taken, self.weight, wanted.demands)
        if wanted.share is None:
            return found
        return found + share_shortfalls(taken, self.weight, wanted.share)

    def short_behind(self, count: int, quotas: Sequence[CompiledQuota], wanted: _Wanted) -> list[Shortfall]:
        """Return what is short once so many that wait in front run, each of which is taken to weigh the same.

        By figures of statuses some of them may have been let go since, so a wait is foreseen only where there
        is no room beside them. Whose they are is not known: no user's own limit is the fuller for them.
        """
        if not count:
            return []
        taken, more = self.snapshot.usage.used, self.weight.times(count)
        accounts = accounts_of(quotas, self.namespace, self.weighed.user, self.snapshot)
        ahead = {each: taken.get(each, ZERO) + more for each in accounts if not each.user}
        return self.short({**taken, **ahead}, wanted)


class _Claim(msgspec.Struct, frozen=True):
    """What is to be reserved, the id that the Workflow then carries, and the patch that gives it a name."""

    id: str = ""
    patch: tuple[PatchOp, ...] = ()
    reservation: ReservationRequest | None = None


_NO_CLAIM: Final = _Claim()


class _Wait(msgspec.Struct, frozen=True):
    """How a Workflow shows that it waits, what its creator is warned of, and why the queue takes nobody."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()


_NO_WAIT: Final = _Wait()


def apply_quotas(
    subject: Subject,
    quotas: Sequence[CompiledQuota],
    *,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    now: datetime,
) -> QuotaPart:
    """Return what the quotas that govern a Workflow say of it that is new, or made to run again.

    `policies` are those of its namespace. Whether a quota that denies has room is not said here: only the
    ledger knows, and it is asked for the `reservation` afterwards.
    """
    review, workflow, spec = subject.review, subject.workflow, subject.spec
    metadata = workflow.metadata or EMPTY_METADATA
    stored = stored_in(workflow.status) if subject.origin.retried else None
    tasks = tasks_of(spec, review.namespace, quotas, snapshot, now, stored=stored)
    priority = priority_of(spec, review.namespace, quotas, snapshot)
    child, counted = NOT_EXEMPT, quotas
    if metadata.owner_references:
        child = exemption(_newcomer(review, metadata, tasks.amount, quotas), review.related, quotas)
        counted = [quota for quota in quotas if quota.source not in child.quotas]
    effects = by_effect(counted)
    queueing = effects[OnExceed.QUEUE]
    weighed = hold.Weighed(tasks.amount, priority.value, subject.user)
    asked = _Asked(review.namespace, Usage.of(tasks.amount), weighed, snapshot, now)
    warned = _exceeded(asked, effects[OnExceed.WARN])
    claim = _claim(asked, effects[OnExceed.DENY], subject, policies.root)
    run = scheduled_by(metadata) if queueing and review.related.policy else None
    origin = _origin(subject, child, run, tasks.by, queued=bool(queueing))
    spec_patch = _spec_patch(workflow, tasks, priority)
    sources = tuple([quota.source for quota in quotas])
    wait = _wait(asked, queueing, policies.rules, subject, run) if queueing else _NO_WAIT
    marked = hold.mark_patch(
        workflow.metadata, weighed, reservation=claim.id, hold=bool(queueing), origin=origin
    )
    reasons = tasks.faults + priority.faults + wait.reasons
    return QuotaPart(
        reasons=reasons,
        warnings=_told_of_child(child, metadata, queued=bool(queueing) and not reasons) if child.why else (),
        outlook=(*warned, *tasks.warnings, *priority.warnings, *wait.warnings),
        patch=(*marked, *spec_patch, *wait.patch, *claim.patch),
        policies=sources,
        queued=bool(queueing),
        reservation=claim.reservation,
    )


def by_effect(quotas: Iterable[CompiledQuota]) -> Mapping[OnExceed, Sequence[CompiledQuota]]:
    """Return the quotas by their `onExceed`, those of each in the order in which they came."""
    found: dict[OnExceed, list[CompiledQuota]] = {OnExceed.QUEUE: [], OnExceed.DENY: [], OnExceed.WARN: []}
    for quota in quotas:
        found[quota.on_exceed].append(quota)
    return found


def _newcomer(review: Review, metadata: Metadata, tasks: Amount, quotas: Sequence[CompiledQuota]) -> Newcomer:
    """Return a Workflow as a child is judged; the validating side goes by what the mutating one made of it.

    That is told by the hold and, where quotas deny, by the reservation: who is exempt makes none.
    """
    if review.side is not Side.VALIDATE:
        return Newcomer(metadata, tasks, review.user)
    labels = metadata.labels or {}
    counts = RESERVATION in labels or not by_effect(quotas)[OnExceed.DENY]
    return Newcomer(
        metadata,
        tasks,
        review.user,
        admitted=labels.get(well_known.CHILD_OF, ""),
        held=counts and hold.is_held(labels),
    )


def _exceeded(asked: _Asked, warning: Sequence[CompiledQuota]) -> list[str]:
    """Return the warnings of quotas that only warn, by the latest view of usage."""
    if not warning:
        return []
    return [
        f"lockkeeper: {quota_messages.exceeded(short, OnExceed.WARN)}; it runs all the same (onExceed: Warn)"
        for short in asked.short(asked.snapshot.usage.used, asked.wanted(warning))
    ]


def _claim(asked: _Asked, denying: Sequence[CompiledQuota], subject: Subject, root: Root) -> _Claim:
    """Return what is to be reserved; with no quota that denies, what the object claims already.

    The mutating side names a reservation after its own request, over whatever came with the object
    (docs/adr/0003). The API server gives each webhook call a uid of its own, so the validating side takes the
    id as it stands; the ledger knows which ones are real.
    """
    review, metadata = subject.review, subject.workflow.metadata or EMPTY_METADATA
    mutates = review.side is Side.MUTATE
    carried = "" if mutates else (metadata.labels or {}).get(RESERVATION, "")
    if not denying and not carried:
        return _NO_CLAIM
    name, patch = metadata.name or "", list[PatchOp]()
    if mutates and not name and metadata.generate_name:
        # The reservation is bound to the name, which the API server would make only after this call.
        name = generated_name(metadata.generate_name, review.uid)
        patch.append(PatchOp(Op.ADD, "/metadata/name", name))
    weighed, wanted = asked.weighed, asked.wanted(denying)
    pool, nodes = asked.snapshot.pool(asked.namespace), None
    if pool is not None and pool.capacity is not None and pool.quota.account in {q.account for q in denying}:
        kept = withheld(pool.quota.reserves, weighed.priority)
        nodes = NodeBound(pool.quota.account, pool.capacity.lowest, kept)
    reservation = ReservationRequest(
        root=root,
        id=carried or review.uid,
        namespace=asked.namespace,
        workflow=f"{name}@{subject.version}" if subject.version else name,
        requested=asked.weight,
        demands=wanted.demands,
        share=wanted.share,
        nodes=nodes,
        user=weighed.user,
    )
    return _Claim(reservation.id if denying else "", tuple(patch), reservation)


def generated_name(prefix: str, uid: str) -> str:
    """Return a name as the API server makes it: the prefix, cut to fit, and a suffix of its own."""
    return f"{prefix[:MAX_PREFIX]}{uid.replace('-', '')[-GENERATED:]}"


def _origin(
    subject: Subject, child: Exemption, run: OwnerReference | None, by: str, *, queued: bool
) -> hold.HoldOrigin:
    """Return where a Workflow comes from: whose child it is, or of which schedule it is a run that waits.

    `by` is the template that weighs it.
    """
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {well_known.WEIGHED_BY: by} if by else {}
    if child.root and (queued or child.quotas):  # Who is exempt from nothing waits for room under its root.
        labels[well_known.CHILD_OF] = child.root
        annotations[well_known.ROOT] = child.name
        annotations[well_known.DEPTH] = str(child.depth)
    if run is not None:
        related = subject.review.related
        annotations.update(marks_of_run(related.policy, related.runs))
    return msgspec.structs.replace(subject.origin, labels=labels, annotations=annotations)


def _spec_patch(workflow: Workflow, tasks: Tasks, priority: Priority) -> tuple[PatchOp, ...]:
    """Return what is written into the spec, so that nobody changes it from outside while it waits."""
    injected = tasks.injected
    number = () if injected is None else (PatchOp(Op.ADD, _PARALLELISM_POINTER, injected),)
    patch = number + priority.patch
    return (PatchOp(Op.ADD, "/spec", {}), *patch) if patch and workflow.spec is None else patch


def _told_of_child(child: Exemption, metadata: Metadata, *, queued: bool) -> tuple[str, ...]:
    """Return why a Workflow does not run under the slot of its owner, for whoever expects it."""
    if child.waits and queued:
        text = f"it waits for a slot of its own, or for room under {child.name}: {child.why}"
    elif child.quotas:
        text = f"it runs under the slot of {child.name}, but not for all quotas: {child.why}"
    else:
        owner = owner_of(metadata, "Workflow")
        text = (
            f"it counts for itself and not under its owner {owner.name if owner is not None else ''}: "
            f"{child.why}"
        )
    return (f"lockkeeper: {text}",)


def _wait(
    asked: _Asked,
    queueing: Sequence[CompiledQuota],
    rules: QueueRules,
    subject: Subject,
    run: OwnerReference | None,
) -> _Wait:
    """Return how a Workflow waits for quotas that queue, in the queue of its namespace with these `rules`.

    Nobody is warned of a wait that the view does not foresee. Whether the queue is full the mutating side
    decides: by the time of the validating one the newcomer is counted.
    """
    namespace, view, review = asked.namespace, asked.snapshot.usage, subject.review
    drains = any(quota.rules.stop_policy is StopPolicy.HOLD_AND_DRAIN for quota in queueing)
    wanted = asked.wanted(queueing)
    short = asked.short(view.used, wanted)
    # Who fits beside all that run would fit without them.
    alone = asked.short({}, wanted) if short else ()
    position, depth = view.position_of_new(namespace, asked.weighed.priority)
    known = view.knows(namespace)
    place = f"waiting for a slot in {namespace}"
    if known:
        place = quota_messages.queue_message(
            namespace, queueing, view, asked.now, position=position, depth=depth
        )
    warning = ""
    if alone and (never := [each for each in alone if each.never_fits]):
        warning = f"lockkeeper: queued, but {quota_messages.never_fits(never[0])}"
    elif alone and (later := [each for each in alone if each.must_rise]):
        warning = f"lockkeeper: queued, {place}; {quota_messages.must_rise(later[0])}"
    elif known and (
        short or (asked.short_behind(position - 1, queueing, wanted) if view.partial else depth > 1)
    ):
        warning = f"lockkeeper: queued, {place}"
    if drains:
        rules = QueueRules(stop_policy=StopPolicy.HOLD_AND_DRAIN)
    elif review.side is not Side.MUTATE:
        rules = msgspec.structs.replace(rules, max_length=None)
    reasons = () if run is None else refusal(review.related.policy, run.name, review.related.runs)
    if rules.max_length is not None or rules.stop_policy is StopPolicy.HOLD_AND_DRAIN:
        full = wait_messages.refusal(namespace, depth - 1, rules)
        if full is not None:
            reasons = (*reasons, Reason(Code.QUEUE_FULL, "", full, queueing[0].source))
    return _Wait(
        reasons=reasons,
        warnings=(warning,) if warning else (),
        patch=tuple(hold.hold_status_patch(subject.workflow, f"{HELD_MESSAGE_PREFIX}: {place}")),
    )
