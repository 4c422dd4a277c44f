"""Which children run under the slot of their root Workflow, and are exempt from its quotas.

A running Workflow may create another and wait for it. If that child counted as well, parent and child could
wait for each other for ever. But a rule that exempts is a way around a limit, so all of this has to hold
(docs/security.md):

- the parent exists with that very uid, runs, and was admitted by us;
- so does the root: the Workflow under whose slot the parent runs, or the parent itself if it has its own;
- the Pods of the parent create the child: the user is one of the parent's own ServiceAccounts;
- all descendants that run under the root have together no more tasks than the root was admitted with, and
  there are at most MAX_CHILDREN of them;
- at most MAX_DEPTH of them are each the child of the one before.

A child is exempt from the quotas that its root counts for, and from no others. A child that is not exempt is
not refused: it counts for itself. If only capacity is missing, and a quota queues, it waits for a slot of its
own or for capacity under the root, whichever is first: the root may wait for it, and would block both for
ever.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from policy.core.objects import hold, well_known
from policy.core.objects.identities import SERVICE_ACCOUNT
from policy.core.objects.owners import Related, accounts_of, is_running, metadata_of, owner_of
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, OwnerReference, Workflow
from policy.core.policies.governing_quotas import governing
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import Amount

MAX_DEPTH: Final = 5
MAX_CHILDREN: Final = 50
"""Descendants that may run under one slot, however many tasks they have."""
MAX_DESCENDANTS: Final = 100
"""Descendants that may run or wait under one slot; a later one waits only for a slot of its own."""
NO_SLOT: Final = "the slot that this runs under is not known any more"


class Exemption(msgspec.Struct, frozen=True):
    """From which quotas a child is exempt, and under whose slot it runs; `why` it is not, in part or at all.

    `root` is the uid of that Workflow and `name` its name. A child with a root that is exempt from no quota
    may run under the root when there is capacity.
    """

    quotas: frozenset[str] = frozenset()
    root: str = ""
    name: str = ""
    depth: int = 0
    why: str = ""

    @property
    def waits(self) -> bool:
        """Whether it may wait for capacity under its root."""
        return bool(self.root) and not self.quotas


NOT_EXEMPT: Final = Exemption()


class ChildCandidate(msgspec.Struct, frozen=True):
    """A Workflow that is to run and may be a child: which user runs it, with how many tasks at once.

    `admitted` is the uid of the root that the mutating side has charged it to, and `held` whether it is held.
    The validating side does not check the capacity again: another child may have been created or ended
    in between, and the leader counts those that are too many.
    """

    metadata: Metadata
    tasks: Amount
    user: str
    admitted: str = ""
    held: bool = False


def exemption(child: ChildCandidate, related: Related, quotas: Sequence[CompiledQuota]) -> Exemption:
    """Return from which of the quotas that govern it a Workflow is exempt."""
    owner = owner_of(child.metadata, "Workflow")
    if owner is None:
        return NOT_EXEMPT
    parent, root = related.parent, related.root
    why = _why_no_child(child, parent, owner)
    if parent is not None and not why:
        why = _why_no_slot(metadata_of(parent), root)
    if parent is None or root is None or why:
        return Exemption(why=why)
    shared = governing(quotas, hold.original_labels(root))
    if not shared:
        return NOT_EXEMPT  # Root and child do not wait for each other; the child is a root Workflow itself.
    above = metadata_of(parent)
    exempt = frozenset(quota.scope for quota in shared)
    still = _why_still_counted(quotas, exempt, above, root)
    found = Exemption(exempt, root.uid or "", root.name or "", _depth_of(above) + 1, still)
    if child.admitted == root.uid:
        return msgspec.structs.replace(found, quotas=frozenset()) if child.held else found
    return _if_capacity(found, child.tasks, root, related.descendants)


def _if_capacity(
    found: Exemption, tasks: Amount, root: Metadata, descendants: Sequence[Metadata]
) -> Exemption:
    """Return the exemption if there is capacity, else one to wait for it, or none if it never fits."""
    why = _why_no_capacity(tasks, root, descendants)
    if not why:
        return found
    if len(descendants) >= MAX_DESCENDANTS or not all(
        fit_under_root(hold.quota_marks_of(root).tasks, [tasks])
    ):
        return Exemption(why=why)
    return msgspec.structs.replace(found, quotas=frozenset(), why=why)


def _why_no_child(child: ChildCandidate, parent: Workflow | None, owner: OwnerReference) -> str:
    """Return why a Workflow is not the child of its owner, or nothing."""
    above = metadata_of(parent) if parent is not None else EMPTY_METADATA
    if parent is None or above.uid != owner.uid or not is_running(above):
        return f"{owner.name} does not run, and has no slot to share"
    if well_known.TASKS not in (above.annotations or {}):
        return f"{owner.name} was not admitted under a quota, and has no slot to share"
    accounts = {f"{SERVICE_ACCOUNT}{above.namespace}:{name}" for name in accounts_of(parent)}
    if child.user not in accounts:
        return "who created this one is not a ServiceAccount of its Pods: let a step of it create this one"
    if _depth_of(above) >= MAX_DEPTH:
        return f"it is the {MAX_DEPTH}th in a chain of Workflows already: do not wait for this one"
    return ""


def _why_no_slot(parent: Metadata, root: Metadata | None) -> str:
    """Return why there is no slot above a parent that runs, or nothing."""
    if root is None:
        return NO_SLOT
    if root.uid == parent.uid:
        return ""
    if not is_running(root):
        return f"{root.name}, under whose slot it runs, is being deleted"
    if well_known.TASKS not in (root.annotations or {}):
        return f"{root.name}, under whose slot it runs, was not admitted under a quota"
    return ""


def _why_no_capacity(tasks: Amount, root: Metadata, descendants: Sequence[Metadata]) -> str:
    """Return why a child does not fit under a root with those that run there already, or nothing."""
    if len(descendants) >= MAX_CHILDREN:
        return (
            f"{len(descendants)} run under the slot of {root.name} already, and the most is {MAX_CHILDREN}: "
            "run fewer at once"
        )
    bound = hold.quota_marks_of(root).tasks
    if bound.value is None:
        return ""
    if tasks.value is None:
        return f"its tasks have no bound, and {root.name} was admitted with {bound}: give it spec.parallelism"
    counts = [hold.quota_marks_of(each).tasks.value for each in descendants]
    used = sum(bound.value if each is None else each for each in counts)
    if used + tasks.value <= bound.value:
        return ""
    return (
        f"those under the slot of {root.name} have {used} tasks, and {tasks} more exceed the {bound} that it "
        f"was admitted with: run fewer at once, or create {root.name} with a higher spec.parallelism"
    )


def _why_still_counted(
    quotas: Sequence[CompiledQuota], exempt: frozenset[str], parent: Metadata, root: Metadata
) -> str:
    """Return which quotas a child counts for although its parent does too: those the root does not."""
    if parent.uid == root.uid:
        return ""
    both = governing(quotas, hold.original_labels(parent))
    named = [quota.source for quota in both if quota.scope not in exempt]
    if not named:
        return ""
    return (
        f"{' and '.join(named)} governs both and not {root.name}, under whose slot they run: let it select "
        "all of them or one of them"
    )


def _depth_of(metadata: Metadata) -> int:
    """Return how many ancestors a Workflow had when it was admitted."""
    text = (metadata.annotations or {}).get(well_known.DEPTH, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0


def fit_under_root(bound: Amount, descendants: Iterable[Amount]) -> Iterator[bool]:
    """Yield for each descendant, by its tasks and in order, whether it may run under the slot of a root.

    `bound` is the number of tasks of the root. Admission checks before it admits a child. The leader checks
    all the time: several may have been created in the same instant, and a root that is retried may be
    admitted with less than before.
    """
    number, used = 0, 0
    for tasks in descendants:
        fits = number < MAX_CHILDREN and (
            bound.value is None or (tasks.value is not None and used + tasks.value <= bound.value)
        )
        if fits:
            number += 1
            used += tasks.value or 0
        yield fits


def counted_for(
    child: Sequence[CompiledQuota], root: Sequence[CompiledQuota] | None
) -> tuple[CompiledQuota, ...]:
    """Return the quotas that a running child counts for: all but those that its root Workflow counts for.

    `root` is None where it has no slot any more; from then on the child counts like any other.
    """
    shared = {quota.scope for quota in root or ()}
    return tuple(quota for quota in child if quota.scope not in shared)
