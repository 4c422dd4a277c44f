"""What the quotas of a namespace decide about a Workflow: marks, the hold, what is reserved, and faults."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.child_exemption import NOT_EXEMPT, ChildCandidate, Exemption, exemption
from policy.core.admission.cron_runs import forbidden_run, marks_of_run
from policy.core.admission.tasks_and_priority import Priority, Tasks, priority_of, stored_in, tasks_of
from policy.core.decision import quota_messages
from policy.core.decision.decision import Code, Reason, ReservationRequest, Review, Side
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.owners import owner_of, scheduled_by
from policy.core.objects.well_known import HELD_MESSAGE_PREFIX, RESERVATION
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, OwnerReference, Workflow, WorkflowSpec
from policy.core.policies.governing_quotas import accounts_of, borrowed_from, demands, with_opening
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed, StopPolicy
from policy.core.queue import wait_messages
from policy.core.quota.accounts import Account, Root
from policy.core.quota.compiled_quota import CompiledQuota, QueueRules
from policy.core.quota.demands import Demand, NodeBound, ShareDemand, Shortfall, share_shortfalls, shortfalls
from policy.core.quota.pools import share_demand
from policy.core.values.amounts import ZERO, Amount, Usage, withheld

SUFFIX_LENGTH: Final = 12
"""The suffix is the end of an admission uid, random enough not to occur twice."""
MAX_PREFIX_LENGTH: Final = 63 - SUFFIX_LENGTH
"""A longer prefix is cut, so that the name has at most the 63 characters that the API server generates."""
_PARALLELISM_POINTER: Final = "/spec/parallelism"


class QueuePart(msgspec.Struct, frozen=True):
    """How a Workflow shows that it waits, the warning of a wait that is foreseen, and why it is refused.

    `never_starts` is why the wait has no end.
    """

    reasons: tuple[Reason, ...] = ()
    wait_warning: str = ""
    never_starts: Reason | None = None
    patch: tuple[PatchOp, ...] = ()


NOT_QUEUED: Final = QueuePart()


class QuotaPart(msgspec.Struct, frozen=True):
    """The quotas' part of a decision; `outlook` are warnings that matter only if the Workflow is admitted."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    outlook: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    queued: bool = False
    queue: QueuePart = NOT_QUEUED
    reservation: ReservationRequest | None = None


class GovernedWorkflow(msgspec.Struct, frozen=True):
    """A Workflow that is to run under quotas: which user it counts for, and where it comes from.

    `spec` is its spec after lock policies redirected it to other templates. `version` is the resourceVersion
    of one that is to run again: it distinguishes this run from earlier ones, whose reservation may still
    exist under the same name.
    """

    review: Review
    workflow: Workflow
    spec: WorkflowSpec
    user: str
    origin: hold.HoldOrigin = hold.NEW
    version: str = ""


class _Demanded(msgspec.Struct, frozen=True):
    """What a Workflow demands: of accounts, and of a pool that borrows."""

    demands: tuple[Demand, ...]
    share: ShareDemand | None


class _QuotaCheck(msgspec.Struct, frozen=True):
    """What quotas check of a Workflow: its own usage and its marks, by one snapshot at one time."""

    namespace: str
    usage: Usage
    marks: hold.QuotaMarks
    snapshot: Snapshot
    now: datetime

    def demanded(self, quotas: Sequence[CompiledQuota]) -> _Demanded:
        """Return what it demands of these quotas, and of a pool that borrows if one of them is its quota."""
        user, priority = self.marks.user, self.marks.priority
        pool = borrowed_from(quotas, self.namespace, self.snapshot)
        share = None
        if pool is not None:
            share = share_demand(pool, self.namespace, priority, self.now, self.usage)
        found = demands(quotas, user, now=self.now, priority=priority)
        timed = (with_opening(each, quotas, self.usage, now=self.now, priority=priority) for each in found)
        return _Demanded(tuple(timed), share)

    def short(self, used: Mapping[Account, Usage], demanded: _Demanded) -> list[Shortfall]:
        """Return what is short where so much is used."""
        found = shortfalls(used, self.usage, demanded.demands)
        if demanded.share is None:
            return found
        return found + share_shortfalls(used, self.usage, demanded.share)

    def short_behind(
        self, count: int, quotas: Sequence[CompiledQuota], demanded: _Demanded
    ) -> list[Shortfall]:
        """Return what is short once the `count` Workflows ahead in the queue run, each taken to use the same.

        The figures may be some seconds old, and some of these may have been released since: so a wait is
        foreseen only where there is no capacity beside all of them. Their users are unknown, so the
        limit of no single user is taken to be used more.
        """
        if not count:
            return []
        used, more = self.snapshot.usage.used, self.usage.times(count)
        accounts = accounts_of(quotas, self.namespace, self.marks.user, self.snapshot)
        ahead = {each: used.get(each, ZERO) + more for each in accounts if not each.key}
        return self.short({**used, **ahead}, demanded)


class _ReservationPart(msgspec.Struct, frozen=True):
    """What is to be reserved, the id that the Workflow then carries, and the patch that gives it a name."""

    id: str = ""
    patch: tuple[PatchOp, ...] = ()
    reservation: ReservationRequest | None = None


def apply_quotas(
    subject: GovernedWorkflow,
    quotas: Sequence[CompiledQuota],
    *,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    now: datetime,
) -> QuotaPart:
    """Return what the quotas that govern a Workflow decide about it; it is new, or made to run again.

    `policies` are those of its namespace. What refuses it, in this order: its number of tasks, its priority,
    the CronWorkflow that forbids this run, a queue that is full or drains. Whether a quota that denies has
    capacity is not decided here: only the ledger knows, and receives the `reservation` afterwards.
    """
    review, workflow, spec = subject.review, subject.workflow, subject.spec
    metadata = workflow.metadata or EMPTY_METADATA
    stored = stored_in(workflow.status) if subject.origin.retried else None
    tasks = tasks_of(spec, review.namespace, quotas, snapshot, now, stored=stored)
    priority = priority_of(spec, review.namespace, quotas, snapshot)
    child, counted = NOT_EXEMPT, quotas
    if metadata.owner_references:
        child = exemption(_child_candidate(review, metadata, tasks.amount, quotas), review.related, quotas)
        counted = [quota for quota in quotas if quota.scope not in child.quotas]
    effects = by_effect(counted)
    queueing = effects[OnExceed.QUEUE]
    queued = bool(queueing)
    marks = hold.QuotaMarks(tasks.amount, priority.value, subject.user)
    check = _QuotaCheck(review.namespace, Usage.of(tasks.amount), marks, snapshot, now)
    exceeded = _exceeded(check, effects[OnExceed.WARN])
    reserved = _reservation(check, effects[OnExceed.DENY], subject, policies.root)
    run = scheduled_by(metadata) if queued and review.related.policy else None
    origin = _origin(subject, child, run, tasks.by, queued=queued)
    queue = _queue_part(check, queueing, policies.rules, subject, run) if queued else NOT_QUEUED
    marked = hold.mark_patch(workflow.metadata, marks, reservation=reserved.id, hold=queued, origin=origin)
    reasons = tasks.faults + priority.faults + queue.reasons
    return QuotaPart(
        reasons=reasons,
        warnings=(_child_warning(child, metadata, queued=queued and not reasons),) if child.why else (),
        outlook=(*exceeded, *tasks.warnings, *priority.warnings, *filter(None, (queue.wait_warning,))),
        patch=(*marked, *_spec_patch(workflow, tasks, priority), *queue.patch, *reserved.patch),
        queued=queued,
        queue=queue,
        reservation=reserved.reservation,
    )


def by_effect(quotas: Iterable[CompiledQuota]) -> Mapping[OnExceed, Sequence[CompiledQuota]]:
    """Return the quotas by their `onExceed`; the order is kept."""
    found: dict[OnExceed, list[CompiledQuota]] = {OnExceed.QUEUE: [], OnExceed.DENY: [], OnExceed.WARN: []}
    for quota in quotas:
        found[quota.on_exceed].append(quota)
    return found


def _child_candidate(
    review: Review, metadata: Metadata, tasks: Amount, quotas: Sequence[CompiledQuota]
) -> ChildCandidate:
    """Return a Workflow that may be a child; the validating side follows what the mutating side decided.

    It sees that by the hold and, where quotas deny, by the reservation: an exempt child makes none.
    """
    labels = (metadata.labels or {}) if review.side is Side.VALIDATE else {}
    counts = RESERVATION in labels or not by_effect(quotas)[OnExceed.DENY]
    admitted, held = labels.get(well_known.CHILD_OF, ""), counts and hold.is_held(labels)
    return ChildCandidate(metadata, tasks, review.user, admitted, held)


def _exceeded(check: _QuotaCheck, warning: Sequence[CompiledQuota]) -> list[str]:
    """Return the warnings of quotas that only warn, by the latest view of usage."""
    if not warning:
        return []
    return [
        f"lockkeeper: {quota_messages.exceeded(short, OnExceed.WARN)}; it runs all the same (onExceed: Warn)"
        for short in check.short(check.snapshot.usage.used, check.demanded(warning))
    ]


def _reservation(
    check: _QuotaCheck, denying: Sequence[CompiledQuota], subject: GovernedWorkflow, root: Root
) -> _ReservationPart:
    """Return what is to be reserved; without a quota that denies, what the object has reserved already.

    The mutating side names a reservation after its own request, and overwrites any id that the object came
    with (docs/adr/0003). The API server gives each webhook call a uid of its own, so the validating side
    takes the id that it finds; the ledger knows which ones are real.
    """
    review, metadata = subject.review, subject.workflow.metadata or EMPTY_METADATA
    mutates = review.side is Side.MUTATE
    carried = _carried(subject)
    if not denying and not carried:
        return _ReservationPart()
    name, patch = metadata.name or "", list[PatchOp]()
    if mutates and not name and metadata.generate_name:
        # The reservation is bound to the name, which the API server would generate only after this call.
        name = generated_name(metadata.generate_name, review.uid)
        patch.append(PatchOp(Op.ADD, "/metadata/name", name))
    marks, demanded = check.marks, check.demanded(denying)
    pool, nodes = check.snapshot.pool(check.namespace), None
    if pool is not None and pool.capacity is not None and pool.quota.account in {q.account for q in denying}:
        reserved = withheld(pool.quota.reserves, marks.priority)
        nodes = NodeBound(pool.quota.account, pool.capacity.lowest, reserved)
    reservation = ReservationRequest(
        root=root,
        id=carried or review.uid,
        namespace=check.namespace,
        workflow=_reserved_name(name, subject.version),
        requested=check.usage,
        demands=demanded.demands,
        share=demanded.share,
        nodes=nodes,
        user=marks.user,
        groups=hold.read_group_keys(subject.origin.annotations.get(well_known.GROUPS, "")),
    )
    return _ReservationPart(reservation.id if denying else "", tuple(patch), reservation)


def carried_reservation(subject: GovernedWorkflow, root: Root) -> ReservationRequest | None:
    """Return what was reserved for a Workflow that no quota governs any more, so that it can be cancelled.

    Policies may change between the two sides of a create, and the validating side refuses what carries it.
    """
    carried = _carried(subject)
    if not carried:
        return None
    name = (subject.workflow.metadata or EMPTY_METADATA).name or ""
    return ReservationRequest(
        root=root,
        id=carried,
        namespace=subject.review.namespace,
        workflow=_reserved_name(name, subject.version),
        requested=ZERO,
        demands=(),
        user=subject.user,
    )


def _carried(subject: GovernedWorkflow) -> str:
    """Return the id of the reservation that a Workflow comes with to the validating side, or ""."""
    if subject.review.side is Side.MUTATE:
        return ""
    return ((subject.workflow.metadata or EMPTY_METADATA).labels or {}).get(RESERVATION, "")


def _reserved_name(name: str, version: str) -> str:
    return f"{name}@{version}" if version else name


def generated_name(prefix: str, uid: str) -> str:
    """Return a name as the API server generates it: the prefix, cut to fit, and a suffix of its own."""
    return f"{prefix[:MAX_PREFIX_LENGTH]}{uid.replace('-', '')[-SUFFIX_LENGTH:]}"


def _origin(
    subject: GovernedWorkflow, child: Exemption, run: OwnerReference | None, by: str, *, queued: bool
) -> hold.HoldOrigin:
    """Return where a Workflow comes from: the root it is a child of, or the CronWorkflow it is a run of.

    `by` is the template that decides its number of tasks.
    """
    labels: dict[str, str] = {}
    annotations = {**subject.origin.annotations}
    if by:
        annotations[well_known.WEIGHED_BY] = by
    if child.root and (queued or child.quotas):  # Exempt from no quota, it waits for capacity under its root.
        labels[well_known.CHILD_OF] = child.root
        annotations[well_known.ROOT] = child.name
        annotations[well_known.DEPTH] = str(child.depth)
    if run is not None:
        related = subject.review.related
        annotations.update(marks_of_run(related.policy, related.runs))
    return msgspec.structs.replace(subject.origin, labels=labels, annotations=annotations)


def _spec_patch(workflow: Workflow, tasks: Tasks, priority: Priority) -> tuple[PatchOp, ...]:
    """Return what is written into the spec, so that an edit of a template does not change it later."""
    injected = tasks.injected
    number = () if injected is None else (PatchOp(Op.ADD, _PARALLELISM_POINTER, injected),)
    patch = number + priority.patch
    return (PatchOp(Op.ADD, "/spec", {}), *patch) if patch and workflow.spec is None else patch


def _child_warning(child: Exemption, metadata: Metadata, *, queued: bool) -> str:
    """Return why a Workflow does not run under the slot of its owner, for a user who expects it."""
    if child.waits and queued:
        return f"lockkeeper: it waits for a slot of its own, or for room under {child.name}: {child.why}"
    if child.quotas:
        return f"lockkeeper: it runs under the slot of {child.name}, but not for all quotas: {child.why}"
    owner = owner_of(metadata, "Workflow")
    name = owner.name if owner is not None else ""
    return f"lockkeeper: it counts for itself and not under its owner {name}: {child.why}"


def _queue_part(
    check: _QuotaCheck,
    queueing: Sequence[CompiledQuota],
    rules: QueueRules,
    subject: GovernedWorkflow,
    run: OwnerReference | None,
) -> QueuePart:
    """Return how a Workflow waits for quotas that queue, in the queue of its namespace with these `rules`.

    Only the mutating side decides whether the queue is full: at the validating side the Workflow itself may
    already be counted.
    """
    namespace, view, review = check.namespace, check.snapshot.usage, subject.review
    position, depth = view.position_of_new(namespace, check.marks.priority)
    place = f"waiting for a slot in {namespace}"
    if view.knows(namespace):
        place = quota_messages.queue_message(
            namespace, queueing, view, check.now, position=position, depth=depth, about=view.outdated
        )
    draining = [each.rules for each in queueing if each.rules.stop_policy is StopPolicy.HOLD_AND_DRAIN]
    if draining:
        rules = QueueRules(stop_policy=StopPolicy.HOLD_AND_DRAIN, stopped_by=draining[0].stopped_by)
    elif review.side is not Side.MUTATE:
        rules = msgspec.structs.replace(rules, max_length=None)
    reasons = () if run is None else forbidden_run(review.related.policy, run.name, review.related.runs)
    if rules.max_length is not None or rules.stop_policy is StopPolicy.HOLD_AND_DRAIN:
        full = wait_messages.refusal(namespace, depth - 1, rules)
        if full is not None:
            reasons = (*reasons, Reason(Code.QUEUE_FULL, "", full, queueing[0].source))
    never, warning = _wait_warning(check, queueing, rules, place, position)
    return QueuePart(
        reasons=reasons,
        wait_warning=warning,
        never_starts=never,
        patch=tuple(hold.hold_status_patch(subject.workflow, f"{HELD_MESSAGE_PREFIX}: {place}")),
    )


def _wait_warning(
    check: _QuotaCheck, queueing: Sequence[CompiledQuota], rules: QueueRules, place: str, position: int
) -> tuple[Reason | None, str]:
    """Return why a Workflow never starts, if so, and the warning of a wait that is foreseen, or ""."""
    view, demanded = check.snapshot.usage, check.demanded(queueing)
    short = check.short(view.used, demanded)
    # What fits beside all that run would fit without them.
    alone = check.short({}, demanded) if short else ()
    for each in alone:
        if each.never_fits:
            never = quota_messages.never_starts(each)
            return never, f"lockkeeper: queued, but {never.message}"
    if rules.stop_policy is StopPolicy.HOLD:
        return None, f"lockkeeper: queued, {place}; {wait_messages.on_hold(check.namespace, rules)}"
    for each in alone:
        if each.must_rise:
            return None, f"lockkeeper: queued, {place}; {quota_messages.must_rise(each)}"
    if not view.knows(check.namespace):
        return None, ""
    waits = short or check.short_behind(position - 1, queueing, demanded)
    return None, f"lockkeeper: queued, {place}; {quota_messages.SEEN_BY_ARGO}" if waits else ""
