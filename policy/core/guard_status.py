"""Guarding the status of a Workflow, which Argo believes: it holds what runs next, and says what is over.

Argo's kind has no status subresource, so whoever may write a Workflow may write its status. Argo's command
line does so under the user's own name to resume a suspended step and to retry; nothing else is for people.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from policy.core.budget import Budget, Part, paced
from policy.core.decision import Code, Reason
from policy.core.guard_marks import TERMINAL
from policy.core.identities import SERVICE_ACCOUNT
from policy.core.prepared import prepare
from policy.core.sameness import Parts, changed
from policy.core.unreadable import decoded
from policy.core.workflow import Read

EXECUTABLE: Final = frozenset({"storedTemplates", "storedWorkflowTemplateSpec", "storedWorkflowSpec"})
"""What Argo runs in place of the spec."""
_RETRY_CHANGES: Final = frozenset({"shutdown", "suspend", "activeDeadlineSeconds", "arguments"})
"""Parts of a stored spec that `argo retry` resets (`FormulateRetryWorkflow`, workflow/util/util.go)."""
_RESUMED: Final = frozenset({"phase", "message", "finishedAt", "outputs", "progress", "displayName"})
"""Parts of a suspended step that `argo resume`, `argo stop` and `argo node set` change."""
_SERVERS: Final = frozenset({"nodes", "compressedNodes", "offloadNodeStatusVersion"})
_SUSPENDED: Final = b'"Suspend"'
_ADVICE: Final = "is written by Argo's controller alone: leave it as it is"


class StoredSpec(Read, frozen=True):
    """The parts of a spec, unread."""

    spec: dict[str, msgspec.Raw] | None = None


_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_NODES: Final = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]] | None)
prepare(StoredSpec)


def phase_of(status: Parts | None) -> str:
    """Return the phase of a status, or ""."""
    phase = decoded((status or {}).get("phase"))
    return phase if isinstance(phase, str) else ""


def status_faults(
    old: Parts | None, new: Parts | None, user: str, *, server: bool, budget: Budget
) -> Iterator[Reason]:
    """Yield the parts of a status that `user` forges; `server` says that it is argo-server."""
    for name in sorted(changed(old, new, budget)):
        if server and name in _SERVERS:
            continue
        if name == "nodes" and _only_resumes((old or {}).get(name), (new or {}).get(name), budget):
            continue
        yield Reason(Code.FORGED_STATUS, f"status.{name}", _ADVICE + _hint(user))


def _hint(user: str) -> str:
    """Return what to do where this is Argo after all, which would otherwise stand still with no word why."""
    if not user.startswith(SERVICE_ACCOUNT):
        return ""
    account = user.removeprefix(SERVICE_ACCOUNT)
    return f". If {account} is your workflow-controller, set argo.controllerServiceAccount to it"


def retry_faults(old: Parts | None, new: Parts | None, budget: Budget) -> Iterator[Reason]:
    """Yield what is wrong with the status of a Workflow that is to run again, as `argo retry` leaves it."""
    before, after = old or {}, new or {}
    if phase_of(after) in TERMINAL:
        message = f"still says {phase_of(after)}, so Argo would not run it again: use argo retry"
        yield Reason(Code.FORGED_STATUS, "status.phase", message)
    for name in sorted(EXECUTABLE & changed(before, after, budget)):
        if name == "storedTemplates" or not _reset(before.get(name), after.get(name), budget):
            yield Reason(Code.FORGED_STATUS, f"status.{name}", _ADVICE)


def _reset(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Tell whether a stored spec changed no more than a retry changes it."""
    before, after = _parts(old), _parts(new)
    return before is not None and after is not None and changed(before, after, budget) <= _RETRY_CHANGES


def _parts(raw: msgspec.Raw | None) -> Parts | None:
    try:
        return _PARTS.decode(raw) if raw is not None else None
    except msgspec.ValidationError:
        return None


def _only_resumes(old: msgspec.Raw | None, new: msgspec.Raw | None, budget: Budget) -> bool:
    """Tell whether of all nodes only suspended steps changed, and only as a resume changes them."""
    try:
        before, after = _nodes(old), _nodes(new)
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


def _nodes(raw: msgspec.Raw | None) -> Mapping[str, Parts]:
    return (_NODES.decode(raw) if raw is not None else None) or {}
