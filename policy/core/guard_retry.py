"""Guarding a retry: a Workflow that is over is to run again, and Argo goes on from the record in its status.

`argo retry` removes nodes, has others run again, and clears what says that the Workflow is over; so it did in
every version since 3.4 (`FormulateRetryWorkflow`, workflow/util/util.go). Nothing else of a status changes.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.budget import UNBOUNDED, Budget
from policy.core.decision import Code, Reason
from policy.core.guard_marks import TERMINAL
from policy.core.guard_status import ADVICE, phase_of
from policy.core.recorded_nodes import NODES, OFFLOADED, PLACES, is_offloaded, nodes_in, not_reset
from policy.core.sameness import Parts, changed

_BEGUN_ANEW: Final = frozenset({"", "Running"})
"""What versions of Argo set the phase to."""
_CLEARED: Final = frozenset({"phase", "message", "startedAt", "finishedAt"})
_STORED_SPECS: Final = frozenset({"storedWorkflowTemplateSpec", "storedWorkflowSpec"})
_SPEC_CHANGES: Final = frozenset({"shutdown", "suspend", "activeDeadlineSeconds", "arguments"})
"""Parts of a stored spec that a retry resets."""
_CONDITIONS: Final = "conditions"
_CLAIMS: Final = "persistentVolumeClaims"
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_LIST: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)
_COMPLETED: Final = b'"Completed"'
_EMPTY: Final = frozenset({b"", b"null", b"[]"})
_SHOWN: Final = 63
"""Characters of the id of a node."""
_ABSENT: Final = msgspec.Raw(b"null")


def retry_faults(
    old: Parts | None, new: Parts | None, budget: Budget = UNBOUNDED, *, server: bool = False
) -> Iterator[Reason]:
    """Yield what is wrong with the status of a Workflow that is to run again, as `argo retry` leaves it.

    `server` says that argo-server sends it, which alone can put nodes into Argo's database.
    """
    before, after = old or {}, new or {}
    phase = phase_of(after)
    if phase in TERMINAL:
        message = f"still says {phase}, so Argo would not run it again: use argo retry"
        yield Reason(Code.FORGED_STATUS, "status.phase", message)
    elif phase not in _BEGUN_ANEW:
        yield Reason(Code.FORGED_STATUS, "status.phase", ADVICE)
    for name in sorted(changed(_beside_nodes(before), _beside_nodes(after), budget) - _CLEARED):
        if not _as_a_retry_leaves_it(name, before.get(name), after.get(name), budget):
            yield Reason(Code.FORGED_STATUS, f"status.{name}", ADVICE)
    yield from _node_faults(before, after, budget, server=server)


def _beside_nodes(status: Parts) -> Parts:
    """Return a status without its nodes, which may be a megabyte."""
    return {name: part for name, part in status.items() if name not in PLACES}


def _as_a_retry_leaves_it(
    name: str, old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget
) -> bool:
    if name in _STORED_SPECS:
        return _reset(old, new, budget)
    if name == _CLAIMS:
        return bytes(new or b"") in _EMPTY  # Argo makes them anew.
    return name == _CONDITIONS and _only_not_completed(old, new, budget)


def _reset(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Tell whether a stored spec changed no more than a retry changes it."""
    try:
        before, after = _PARTS.decode(old or _ABSENT), _PARTS.decode(new or _ABSENT)
    except msgspec.ValidationError:
        return False
    return before is not None and after is not None and changed(before, after, budget) <= _SPEC_CHANGES


def _only_not_completed(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Tell whether conditions say anything new but that the Workflow is not completed."""
    try:
        before, after = (
            [
                each
                for each in _LIST.decode(raw or _ABSENT) or ()
                if bytes(each.get("type", b"")) != _COMPLETED
            ]
            for raw in (old, new)
        )
    except msgspec.ValidationError:
        return False
    had, has = (
        [each for each in conditions if bytes(each.get("type", b"")) != _COMPLETED]
        for conditions in (before, after)
    )
    return len(had) == len(has) and not any(
        changed(one, other, budget) for one, other in zip(had, has, strict=True)
    )


def _node_faults(before: Parts, after: Parts, budget: Budget, *, server: bool) -> Iterator[Reason]:
    """Yield which node is none that a retry leaves.

    What is in Argo's database nobody but Argo has written there. A record that cannot be read was written by
    Argo, too, and is not compared; but none that can be may be replaced by one that cannot.
    """
    had = nodes_in(before)
    if had is None:
        return
    if is_offloaded(after):
        if not server:
            message = "says that the nodes are in Argo's database, where argo-server alone puts them"
            yield Reason(Code.FORGED_STATUS, f"status.{OFFLOADED}", message)
        return
    has = nodes_in(after)
    if has is None:
        message = (
            "cannot be compared with the nodes that were there: have argo-server compress them as it does by "
            "default (WORKFLOW_COMPRESSION_ALGORITHM)"
        )
        yield Reason(Code.FORGED_STATUS, "status.compressedNodes", message)
        return
    wrong = not_reset(had, has, budget)
    if wrong is not None:
        message = f"{ADVICE}; a retry removes nodes or has them run again, and changes nothing else of them"
        yield Reason(Code.FORGED_STATUS, f"status.{NODES}[{wrong[:_SHOWN]}]", message)
