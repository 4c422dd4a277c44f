"""How a past run is admitted: by the webhook's own decision, in the state of usage at its time.

A quota that denies asks the ledger, here as in a cluster: what the leader counted last, and what creates have
reserved since. What was written into the object by Argo, by argo-server and by us is no part of what its
creator wrote, but for the labels that name him.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from policy.core.admission.decide import apply_policies
from policy.core.decision import quota_messages
from policy.core.decision.decision import Code, Decision, Operation, Outcome, Reason, Review, Side, denied
from policy.core.lock_model.taken_locks import TakenLocks, taken_locks
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, PatchOp, patched
from policy.core.objects.owners import UNRELATED, Related
from policy.core.objects.workflow import EMPTY_SPEC, Workflow, WorkflowSpec
from policy.core.policies.governing_quotas import label_keys
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.ledger import Ledger, Reservation, reserve, too_many_creates, under_nodes
from policy.core.quota.usage_view import UsageView
from policy.core.values.prepared import prepare
from policy.service.simulation.past_run import PastRun
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracked import Reader, Tracked

_NO_LOCKS: Final = TakenLocks()
_LOCKS_WRITTEN: Final = b'"synchronization"'


class _MarkedMetadata(msgspec.Struct, frozen=True):
    """The metadata of a Workflow that our marks are written into."""

    metadata: dict[str, object] = {}


class _LockedSpec(msgspec.Struct, frozen=True):
    """The spec of a Workflow that locks were put into."""

    spec: WorkflowSpec | None = None


prepare(Workflow, _MarkedMetadata, _LockedSpec)
_WORKFLOW: Final = msgspec.json.Decoder(Workflow)
_METADATA: Final = msgspec.json.Decoder(_MarkedMetadata)


class PastAdmission(msgspec.Struct, frozen=True):
    """What became of a run at its creation: `reasons` where it was denied, else what is tracked of it.

    It is not tracked where no quota counts it. `priority` is the one that Argo goes by. `reserved` is the
    ledger with what its create has reserved there.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    tracked: Tracked | None = None
    locks: TakenLocks = _NO_LOCKS
    priority: int = 0
    reserved: Ledger | None = None


class PastAdmissions:
    """Admits the runs of one history under one set of policies."""

    def __init__(self, *, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._reader = Reader(label_keys(snapshot))
        self._server = min(snapshot.identities.argo_servers, default="")
        self._arrived = 0

    def arrive(
        self,
        run: PastRun,
        now: datetime,
        *,
        usage: Callable[[], UsageView],
        ledger: Ledger | None = None,
        related: Related = UNRELATED,
    ) -> PastAdmission:
        """Return what became of a run; `usage` and `ledger` are those of its root, as a webhook sees them."""
        try:
            workflow = _WORKFLOW.decode(run.manifest)
        except msgspec.MsgspecError as error:
            return PastAdmission(
                Outcome.DENIED, (Reason(Code.WRONG_TYPE, "", f"it cannot be read: {error}"),)
            )
        policies = self._snapshot.policies(run.namespace)
        priority = (workflow.spec or EMPTY_SPEC).priority or 0
        self._arrived += 1
        if not policies.governed:
            locks = taken_locks(workflow.spec or EMPTY_SPEC, run.namespace) if _has_locks(run) else _NO_LOCKS
            return PastAdmission(Outcome.UNGOVERNED, locks=locks, priority=priority)
        view = usage()
        decision = apply_policies(self._review(run, workflow, related), self._snapshot.with_usage(view), now)
        decision, reserved = _with_ledger(decision, ledger, now)
        if not decision.allowed:
            return PastAdmission(decision.outcome, decision.reasons, priority=priority)
        locks = _NO_LOCKS
        if decision.injected or _has_locks(run):
            locks = _locks_of(run, decision.patch)
        tracked = self._tracked(run, decision) if policies.quotas else None
        if tracked is not None:
            priority = tracked.usage_marks.priority
        return PastAdmission(
            decision.outcome, tracked=tracked, locks=locks, priority=priority, reserved=reserved
        )

    def _review(self, run: PastRun, workflow: Workflow, related: Related) -> Review:
        return Review(
            uid=run.uid,
            side=Side.MUTATE,
            operation=Operation.CREATE,
            namespace=run.namespace,
            user=run.user or self._creator(workflow),
            dry_run=False,
            workflow=workflow,
            name=run.name,
            raw=msgspec.Raw(run.manifest),
            related=related,
        )

    def _creator(self, workflow: Workflow) -> str:
        """Return argo-server where its labels name who created a Workflow: they are believed of it alone."""
        labels = (workflow.metadata.labels if workflow.metadata is not None else None) or {}
        named = labels.keys() & {well_known.CREATOR, well_known.CREATOR_EMAIL, well_known.CREATOR_NAME}
        return self._server if named else ""

    def _tracked(self, run: PastRun, decision: Decision) -> Tracked:
        written: JsonObject = {"metadata": _METADATA.decode(run.manifest).metadata}  # type: ignore[dict-item]
        of_metadata = [each for each in decision.patch if each.path.startswith("/metadata")]
        found = msgspec.convert(patched(written, of_metadata), LiveMetadata)
        identified = msgspec.structs.replace(
            found.metadata,
            uid=run.uid,
            namespace=run.namespace,
            name=run.name,
            creation_timestamp=at(run.created),
        )
        return self._reader.read(LiveMetadata(identified), self._arrived)


def _has_locks(run: PastRun) -> bool:
    return _LOCKS_WRITTEN in run.manifest


def _locks_of(run: PastRun, patch: tuple[PatchOp, ...]) -> TakenLocks:
    """Return the locks of a run with those that policies put into it."""
    of_spec = [each for each in patch if each.path.startswith("/spec")]
    changed = patched(msgspec.json.decode(run.manifest), of_spec)
    return taken_locks(msgspec.convert(changed, _LockedSpec).spec or EMPTY_SPEC, run.namespace)


def _with_ledger(decision: Decision, ledger: Ledger | None, now: datetime) -> tuple[Decision, Ledger | None]:
    """Return the decision as it is with what the ledger says, and the ledger with the reservation."""
    wanted = decision.reservation
    if not decision.allowed or wanted is None or ledger is None:
        return decision, None
    reservation = Reservation(
        id=wanted.id,
        namespace=wanted.namespace,
        workflow=wanted.workflow,
        accounts=wanted.accounts,
        requested=wanted.requested,
        at=now,
        user=wanted.user,
        groups=wanted.groups,
    )
    crowded = too_many_creates(ledger, reservation)
    if crowded:
        return denied(decision, (Reason(Code.TOO_MANY_CREATES, "", crowded),)), None
    demands, share = under_nodes(ledger, wanted.demands, wanted.share, wanted.nodes)
    reserved, short = reserve(ledger, reservation, demands, share)
    if short:
        return denied(decision, tuple(quota_messages.exceeded_reason(each) for each in short)), None
    return decision, reserved


def at(seconds: float) -> datetime:
    """Return seconds since 1970 as a time."""
    return datetime.fromtimestamp(seconds, UTC)
