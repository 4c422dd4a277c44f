"""Children: a Workflow that a live one creates and waits for runs under its parent's slot.

If it counted as well, parent and child could wait for each other for ever. But a rule that exempts is a way
around a limit, so all of this has to hold (docs/security.md):

- the parent is there with that very uid, runs, and was admitted by us;
- the Pods of the parent create the child: the user is one of the parent's own ServiceAccounts;
- the children of a parent have, all together, no more tasks than the parent was admitted with;
- there are at most MAX_DEPTH of them in one line.

A child is exempt from the quotas that its parent counts for, and from no others. One that is not exempt is no
fault: it counts for itself.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from policy.core import holding, marks
from policy.core.amounts import Amount
from policy.core.compiled_quotas import CompiledQuota
from policy.core.governing import governing
from policy.core.identities import SERVICE_ACCOUNT
from policy.core.relations import Related, accounts_of, is_live, metadata_of, owner_of
from policy.core.workflow import EMPTY_METADATA, Metadata, OwnerReference, Workflow

MAX_DEPTH: Final = 5
MAX_CHILDREN: Final = 50
"""Of a parent whose tasks have no bound."""


class Exemption(msgspec.Struct, frozen=True):
    """From which quotas a child is exempt, as which child of whom; or `why` it is not."""

    quotas: frozenset[str] = frozenset()
    parent: str = ""
    depth: int = 0
    why: str = ""


NOT_EXEMPT: Final = Exemption()


def exemption(
    metadata: Metadata,
    tasks: Amount,
    user: str,
    related: Related,
    quotas: Sequence[CompiledQuota],
) -> Exemption:
    """Return from which of the quotas of its namespace a new Workflow is exempt."""
    owner = owner_of(metadata, "Workflow")
    if owner is None:
        return NOT_EXEMPT
    parent = related.parent
    why = _why_not(parent, owner, tasks, user, related.children)
    if parent is None or why:
        return Exemption(why=why)
    above = metadata_of(parent)
    shared = governing(quotas, holding.original_labels(above))
    return Exemption(frozenset(quota.source for quota in shared), above.uid or "", depth_of(above) + 1)


def _why_not(
    parent: Workflow | None, owner: OwnerReference, tasks: Amount, user: str, children: Sequence[Metadata]
) -> str:
    """Return why a Workflow does not run under the slot of its owner, or nothing."""
    above = metadata_of(parent) if parent is not None else EMPTY_METADATA
    if parent is None or above.uid != owner.uid or not is_live(above):
        return "it does not run"
    if marks.TASKS not in (above.annotations or {}):
        return "it was not admitted under a quota"
    accounts = {f"{SERVICE_ACCOUNT}{above.namespace}:{name}" for name in accounts_of(parent)}
    if user not in accounts:
        return "who created this one is not a ServiceAccount of its Pods"
    if depth_of(above) >= MAX_DEPTH:
        return f"it is the {MAX_DEPTH}th in a line already"
    if not _fits(tasks, holding.weighed_of(above).tasks, children):
        return "its children have as many tasks already as it was admitted with"
    return ""


def _fits(tasks: Amount, bound: Amount, children: Sequence[Metadata]) -> bool:
    if bound.value is None:
        return len(children) < MAX_CHILDREN
    taken = [tasks, *(holding.weighed_of(each).tasks for each in children)]
    return sum(bound.value + 1 if each.value is None else each.value for each in taken) <= bound.value


def depth_of(metadata: Metadata) -> int:
    """Return how many Workflows above this one are parents, as it was admitted."""
    text = (metadata.annotations or {}).get(marks.DEPTH, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0


def counted_for(
    child: Sequence[CompiledQuota], parent: Sequence[CompiledQuota] | None
) -> tuple[CompiledQuota, ...]:
    """Return the quotas that a live child counts for: all but those that its live parent counts for.

    `parent` is None where the parent is not live any more; from then on the child counts like anybody else.
    """
    shared = {quota.source for quota in parent or ()}
    return tuple(quota for quota in child if quota.source not in shared)
