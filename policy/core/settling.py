"""What becomes of a patch: the mutating side makes it, the validating side refuses what it still lacks."""

import msgspec

from policy.core.decision import Code, Decision, Reason, Side, denied
from policy.core.patches import PatchOp, field_path


def settled(decision: Decision, side: Side, reasons: tuple[Reason, ...]) -> Decision:
    """Return the decision for one side: any reason refuses, otherwise the patch is made or demanded."""
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
