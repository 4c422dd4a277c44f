"""Guarding the status of a Workflow, which Argo believes: it holds what runs next, and says what is over.

Argo's kind has no status subresource, so whoever may write a Workflow may write its status. Argo's command
line does so under the user's own name to resume a suspended step and to retry; nothing else is for people.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.budget import Budget, Part, paced
from policy.core.decision import Code, Reason
from policy.core.identities import SERVICE_ACCOUNT
from policy.core.recorded_nodes import NODES, PLACES, decoded
from policy.core.sameness import Parts, changed
from policy.core.unreadable import decoded as value_of

_RESUMED: Final = frozenset({"phase", "message", "finishedAt", "outputs", "progress", "displayName"})
"""Parts of a suspended step that `argo resume`, `argo stop` and `argo node set` change."""
_SUSPENDED: Final = b'"Suspend"'
ADVICE: Final = "is written by Argo's controller alone: leave it as it is"


def phase_of(status: Parts | None) -> str:
    """Return the phase of a status, or ""."""
    phase = value_of((status or {}).get("phase"))
    return phase if isinstance(phase, str) else ""


def status_faults(
    old: Parts | None, new: Parts | None, user: str, *, server: bool, budget: Budget
) -> Iterator[Reason]:
    """Yield the parts of a status that `user` forges; `server` says that it is argo-server."""
    for name in sorted(changed(old, new, budget)):
        if server and name in PLACES:
            continue
        if name == NODES and _only_resumes((old or {}).get(name), (new or {}).get(name), budget):
            continue
        yield Reason(Code.FORGED_STATUS, f"status.{name}", ADVICE + _hint(user))


def _hint(user: str) -> str:
    """Return what to do where this is Argo after all, which would otherwise stand still with no word why."""
    if not user.startswith(SERVICE_ACCOUNT):
        return ""
    account = user.removeprefix(SERVICE_ACCOUNT)
    return f". If {account} is your workflow-controller, set argo.controllerServiceAccount to it"


def _only_resumes(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Tell whether of all nodes only suspended steps changed, and only as a resume changes them."""
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
