"""Guards the status of a Workflow, which Argo trusts: it decides what runs next, and what is completed.

Argo's kind has no status subresource, so every user who may write a Workflow may write its status. Argo's
command line does so under the user's own name to resume a suspended step and to retry; users may change
nothing else.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Final

import msgspec

from policy.core.admission.update_metadata import TERMINAL
from policy.core.decision.decision import Code, Reason
from policy.core.objects.identities import SERVICE_ACCOUNT
from policy.core.objects.semantic_equality import Parts, changed, value_of
from policy.core.objects.status_nodes import (
    NODES,
    OFFLOADED,
    PLACES,
    decoded,
    is_offloaded,
    nodes_in,
    not_reset,
)
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_RESUMED: Final = frozenset({"phase", "message", "finishedAt", "outputs", "progress", "displayName"})
"""Parts of a suspended step that `argo resume`, `argo stop` and `argo node set` change."""
_SUSPENDED: Final = b'"Suspend"'
_ADVICE: Final = "is written by Argo's controller alone: leave it as it is"
_STARTED_AGAIN: Final = frozenset({"", "Running"})
"""Phases that a retry sets, by the version of Argo."""
_CLEARED: Final = frozenset({"phase", "message", "startedAt", "finishedAt"})
_STORED_SPECS: Final = frozenset({"storedWorkflowTemplateSpec", "storedWorkflowSpec"})
_SPEC_CHANGES: Final = frozenset({"shutdown", "suspend", "activeDeadlineSeconds", "arguments"})
"""Parts of a stored spec that a retry resets."""
_CONDITIONS: Final = "conditions"
_VOLUME_CLAIMS: Final = "persistentVolumeClaims"
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_LIST: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)
_COMPLETED: Final = b'"Completed"'
_EMPTY: Final = frozenset({b"", b"null", b"[]"})
_SHOWN: Final = 63
"""Characters of the id of a node."""
_ABSENT: Final = msgspec.Raw(b"null")


def phase_of(status: Parts | None) -> str:
    """Return the phase of a status, or ""."""
    phase = value_of((status or {}).get("phase"))
    return phase if isinstance(phase, str) else ""


def status_faults(
    old: Parts | None, new: Parts | None, user: str, *, server: bool, budget: Budget
) -> Iterator[Reason]:
    """Yield the parts of a status that `user` may not change; `server` means that it is argo-server."""
    for name in sorted(changed(old, new, budget)):
        if server and name in PLACES:
            continue
        if name == NODES and _only_resumes((old or {}).get(name), (new or {}).get(name), budget):
            continue
        yield Reason(Code.FORGED_STATUS, f"status.{name}", _ADVICE + _hint(user))


def _hint(user: str) -> str:
    """Return what to do if this is Argo after all, which would otherwise stop without a message."""
    if not user.startswith(SERVICE_ACCOUNT):
        return ""
    account = user.removeprefix(SERVICE_ACCOUNT)
    return f". If {account} is your workflow-controller, set argo.controllerServiceAccount to it"


def _only_resumes(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Return whether of all nodes only suspended steps changed, and only as a resume changes them."""
    try:
        before, after = decoded(old), decoded(new)
    except msgspec.ValidationError:
        return False
    if before.keys() != after.keys():
        return False
    for name, node in paced(after.items(), budget, Part.COMPARING):
        if node == before[name]:
            continue
        if bytes(before[name].get("type", msgspec.Raw())) != _SUSPENDED:
            return False
        if not changed(before[name], node, budget) <= _RESUMED:
            return False
    return True


def retry_faults(
    old: Parts | None, new: Parts | None, budget: Budget = UNBOUNDED, *, server: bool = False
) -> Iterator[Reason]:
    """Yield what is wrong with the status of a Workflow that is to run again, as `argo retry` leaves it.

    `server` means that Argo itself sends it, which alone can put nodes into its database.
    """
    before, after = old or {}, new or {}
    phase = phase_of(after)
    if phase in TERMINAL:
        message = f"still says {phase}, so Argo would not run it again: use argo retry"
        yield Reason(Code.FORGED_STATUS, "status.phase", message)
    elif phase not in _STARTED_AGAIN:
        yield Reason(Code.FORGED_STATUS, "status.phase", _ADVICE)
    for name in sorted(changed(_beside_nodes(before), _beside_nodes(after), budget) - _CLEARED):
        if not _as_a_retry_leaves_it(name, before.get(name), after.get(name), budget):
            yield Reason(Code.FORGED_STATUS, f"status.{name}", _ADVICE)
    yield from _node_faults(before, after, budget, server=server)


def _beside_nodes(status: Parts) -> Parts:
    """Return a status without its nodes, which may be a megabyte."""
    return {name: part for name, part in status.items() if name not in PLACES}


def _as_a_retry_leaves_it(
    name: str, old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget
) -> bool:
    if name in _STORED_SPECS:
        return _reset(old, new, budget)
    if name == _VOLUME_CLAIMS:
        return bytes(new or b"") in _EMPTY  # Argo creates them again.
    return name == _CONDITIONS and _only_not_completed(old, new, budget)


def _reset(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Return whether a stored spec changed no more than a retry changes it."""
    try:
        before, after = _PARTS.decode(old or _ABSENT), _PARTS.decode(new or _ABSENT)
    except msgspec.ValidationError:
        return False
    return before is not None and after is not None and changed(before, after, budget) <= _SPEC_CHANGES


def _only_not_completed(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Return whether conditions change only in that the Workflow is not completed any more."""
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
    return len(before) == len(after) and not any(map(changed, before, after, repeat(budget)))


def _node_faults(before: Parts, after: Parts, budget: Budget, *, server: bool) -> Iterator[Reason]:
    """Yield the node that is not as a retry leaves it.

    What is in Argo's database was written by Argo alone. An old record that cannot be read was written by
    Argo, too, and is not compared; but one that can be read may not be replaced by one that cannot.
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
        message = f"{_ADVICE}; a retry removes nodes or has them run again, and changes nothing else of them"
        yield Reason(Code.FORGED_STATUS, f"status.{NODES}[{wrong[:_SHOWN]}]", message)
