"""What is reviewed, and what is decided about it: outcome, all reasons with their fields, warnings, patch."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.objects.json_patch import PatchOp, field_path
from policy.core.objects.owners import UNRELATED, Related
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import CronWorkflow, TemplateObject, Workflow
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand, NodeBound, ShareDemand
from policy.core.values.amounts import Usage
from policy.core.values.budget import UNBOUNDED, Budget

NO_OBJECT: Final = msgspec.Raw(b"null")


class Side(StrEnum):
    """Which webhook is called: the mutating one, which may patch, the validating one, or that of policies."""

    MUTATE = "mutate"
    VALIDATE = "validate"
    POLICIES = "policies"


class Operation(StrEnum):
    """What happens to the object (admission/v1 `Operation`)."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


class Review(msgspec.Struct, frozen=True):
    """An admission request, decoded: who does what to which object.

    The object is in the field of its kind: `workflow` (and `old`, as it was before an UPDATE), `template`
    for both kinds of template, or `cron`. `raw` and `old_raw` are the bytes, `null` where there is none.
    `rest` is the same object with a stand-in for its templates, where these are `SharedTemplates`.
    """

    uid: str
    side: Side
    operation: Operation
    namespace: str
    user: str
    dry_run: bool
    workflow: Workflow | None
    kind: ObjectKind = ObjectKind.WORKFLOW
    old: Workflow | None = None
    template: TemplateObject | None = None
    cron: CronWorkflow | None = None
    name: str = ""
    groups: tuple[str, ...] = ()
    sub_resource: str = ""
    raw: msgspec.Raw = NO_OBJECT
    rest: msgspec.Raw | None = None
    old_raw: msgspec.Raw = NO_OBJECT
    related: Related = UNRELATED
    budget: Budget = UNBOUNDED


class Outcome(StrEnum):
    """The result of a review; also the label of its metric."""

    IGNORED = "ignored"
    UNGOVERNED = "ungoverned"
    ALLOWED = "allowed"
    QUEUED = "queued"
    DENIED = "denied"


class Code(StrEnum):
    """Stable identifiers of reasons, for machines and documentation."""

    EXCEEDED_QUOTA = "ExceededQuota"
    EXCEEDS_MAX_QUOTA = "ExceedsMaxQuota"
    UNBOUNDED_TASKS = "UnboundedTasks"
    TASKS_ABOVE_CAP = "TasksAboveCap"
    PRIORITY_ABOVE_CAP = "PriorityAboveCap"
    QUEUE_FULL = "QueueFull"
    FOREIGN_STATUS = "ForeignStatus"
    WRONG_TYPE = "WrongType"
    LOCK_UNDEFINED = "LockUndefined"
    LOCK_LIMIT = "LockLimit"
    LOCK_NAME = "LockName"
    LOCK_FORM = "LockForm"
    LOCK_PLACE = "LockPlace"
    LOCK_NAMESPACE = "LockNamespace"
    LOCK_CONFLICT = "LockConflict"
    DEADLOCK = "Deadlock"
    UNKNOWN_REFERENCE = "UnknownReference"
    NOT_MUTATED = "NotMutated"
    WRONG_POLICY = "WrongPolicy"
    GUARDED_MARK = "GuardedMark"
    HOLD_REMOVED = "HoldRemoved"
    OUT_OF_SIGHT = "OutOfSight"
    FORGED_STATUS = "ForgedStatus"
    TASKS_RAISED = "TasksRaised"
    LOCK_DROPPED = "LockDropped"
    HOSTILE_METADATA = "HostileMetadata"
    CRON_FORBIDS = "CronForbids"
    SIBLING_AWAITED = "SiblingAwaited"
    TOO_MANY_CREATES = "TooManyCreates"
    GROUP_BUSY = "GroupBusy"
    GROUP_KEY_MISSING = "GroupKeyMissing"


class Reason(msgspec.Struct, frozen=True):
    """One reason of a denial: what, where in the object, by which policy, and what to do."""

    code: Code
    field: str
    message: str
    policy: str = ""


class Injection(msgspec.Struct, frozen=True):
    """A lock that was put on a template, as users read it."""

    template: str
    lock: str
    rule: str
    policy: str


class ReservationRequest(msgspec.Struct, frozen=True):
    """What must be reserved in the ledger of `root` before the object may be allowed (onExceed: Deny)."""

    root: Root
    id: str
    namespace: str
    workflow: str
    requested: Usage
    demands: tuple[Demand, ...]
    share: ShareDemand | None = None
    nodes: NodeBound | None = None
    user: str = ""
    groups: Mapping[str, str] = {}

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts on which it counts."""
        shared = () if self.share is None else (self.share.account,)
        return (*(demand.account for demand in self.demands), *shared)


class Decision(msgspec.Struct, frozen=True):
    """The outcome of a review. `patch` is empty unless the side is MUTATE and nothing was refused.

    `outlook` are those of the warnings that say what happens after the object is stored. Of a Workflow that
    is queued, `waits` is whether a wait is foreseen, and `never_starts` why that has no end.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    injected: tuple[Injection, ...] = ()
    policies: tuple[str, ...] = ()
    reservation: ReservationRequest | None = None
    outlook: tuple[str, ...] = ()
    waits: bool = False
    never_starts: Reason | None = None

    @property
    def allowed(self) -> bool:
        """Whether the object may be stored."""
        return self.outcome is not Outcome.DENIED


IGNORED = Decision(Outcome.IGNORED)
UNGOVERNED = Decision(Outcome.UNGOVERNED)


def denied(decision: Decision, reasons: tuple[Reason, ...]) -> Decision:
    """Return the decision turned into a denial: nothing is patched or reserved, and nothing will wait.

    The reservation request stays in it, so that a reservation for the same create can be cancelled.
    """
    return msgspec.structs.replace(
        decision,
        outcome=Outcome.DENIED,
        reasons=reasons,
        warnings=tuple([each for each in decision.warnings if each not in decision.outlook]),
        patch=(),
        injected=(),
        outlook=(),
        waits=False,
        never_starts=None,
    )


def for_side(decision: Decision, side: Side, reasons: tuple[Reason, ...]) -> Decision:
    """Return the decision for one webhook: any reason denies; else only MUTATE may patch.

    An object that still needs a patch in another webhook is denied: it was not mutated as decided.
    """
    if reasons:
        return denied(decision, reasons)
    if side is Side.MUTATE:
        return decision
    if decision.patch:
        return denied(decision, tuple(_not_mutated(operation) for operation in decision.patch))
    return msgspec.structs.replace(decision, warnings=())


def _not_mutated(operation: PatchOp) -> Reason:
    message = (
        "is not as Lockkeeper's mutating webhook leaves it: the webhook was away, or another one changed it "
        "back. Try again"
    )
    return Reason(Code.NOT_MUTATED, field_path(operation.path), message)


def new_reasons(before: Iterable[Reason], after: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons that an edit adds; a template that only moved in its list adds none."""
    known = {(reason.code, reason.message) for reason in before}
    return tuple(reason for reason in after if (reason.code, reason.message) not in known)
