"""Children: a Workflow that a running one creates and waits for runs under the slot of its root Workflow.

If it counted as well, parent and child could wait for each other for ever. But a rule that exempts is a way
around a limit, so all of this has to hold (docs/security.md):

- the parent is there with that very uid, runs, and was admitted by us;
- so does the root: the Workflow under whose slot the parent runs, or the parent itself where it has its own;
- the Pods of the parent create the child: the user is one of the parent's own ServiceAccounts;
- all that run under the root, on whatever level, have together no more tasks than the root was admitted with,
  and there are at most MAX_CHILDREN of them;
- at most MAX_DEPTH of them are each the child of the one before.

A child is exempt from the quotas that its root counts for, and from no others. One that is not exempt is no
fault: it counts for itself. Where only capacity is missing, and a quota queues, it waits for a slot of its
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
from policy.core.policies.governing import governing
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import Amount

MAX_DEPTH: Final = 5
MAX_CHILDREN: Final = 50
"""How many may run under one slot, on all levels together and whatever their tasks are."""
MAX_LINE: Final = 100
"""How many may run or wait under one slot; a later one waits for a slot of its own alone."""
NO_SLOT: Final = "the slot that this runs under is not known any more"


class Exemption(msgspec.Struct, frozen=True):
    """From which quotas a child is exempt, and under whose slot it runs; `why` it is not, in part or at all.

    `root` is the uid of that Workflow and `name` its name. One that is exempt from no quota and has a root
    may run under it when there is capacity.
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


class Newcomer(msgspec.Struct, frozen=True):
    """A Workflow that is to run: who makes it run, and how many tasks it may have at once.

    `admitted` is the uid of the root that the mutating side has charged it to, and `held` whether it is held.
    The validating side does not check the capacity again: another child may have been created or ended
    in between, and the leader counts whatever is too much.
    """

    metadata: Metadata
    tasks: Amount
    user: str
    admitted: str = ""
    held: bool = False


def exemption(newcomer: Newcomer, related: Related, quotas: Sequence[CompiledQuota]) -> Exemption:
    """Return from which of the quotas that govern it a Workflow is exempt."""
    owner = owner_of(newcomer.metadata, "Workflow")
    if owner is None:
        return NOT_EXEMPT
    parent, root = related.parent, related.root
    why = _why_no_child(newcomer, parent, owner)
    if parent is not None and not why:
        why = _why_no_slot(metadata_of(parent), root)
    if parent is None or root is None or why:
        return Exemption(why=why)
    shared = governing(quotas, hold.original_labels(root))
    if not shared:
        return NOT_EXEMPT  # They do not wait for each other; it is a root Workflow itself.
    above = metadata_of(parent)
    exempt = frozenset(quota.source for quota in shared)
    apart = _apart(quotas, exempt, above, root)
    found = Exemption(exempt, root.uid or "", root.name or "", _depth_of(above) + 1, apart)
    if newcomer.admitted == root.uid:
        return msgspec.structs.replace(found, quotas=frozenset()) if newcomer.held else found
    return _with_room(found, newcomer.tasks, root, related.descendants)


def _with_room(found: Exemption, tasks: Amount, root: Metadata, line: Sequence[Metadata]) -> Exemption:
    """Return the exemption where there is capacity, else to wait for it, or nothing if it never fits."""
    why = _why_no_room(tasks, root, line)
    if not why:
        return found
    if len(line) >= MAX_LINE or not all(within(hold.quota_marks_of(root).tasks, [tasks])):
        return Exemption(why=why)
    return msgspec.structs.replace(found, quotas=frozenset(), why=why)


def _why_no_child(newcomer: Newcomer, parent: Workflow | None, owner: OwnerReference) -> str:
    """Return why a Workflow is not the child of its owner, or nothing."""
    above = metadata_of(parent) if parent is not None else EMPTY_METADATA
    if parent is None or above.uid != owner.uid or not is_running(above):
        return f"{owner.name} does not run, and has no slot to share"
    if well_known.TASKS not in (above.annotations or {}):
        return f"{owner.name} was not admitted under a quota, and has no slot to share"
    accounts = {f"{SERVICE_ACCOUNT}{above.namespace}:{name}" for name in accounts_of(parent)}
    if newcomer.user not in accounts:
        return "who created this one is not a ServiceAccount of its Pods: let a step of it create this one"
    if _depth_of(above) >= MAX_DEPTH:
        return f"it is the {MAX_DEPTH}th in a line already: do not wait for this one"
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


def _why_no_room(tasks: Amount, root: Metadata, line: Sequence[Metadata]) -> str:
    """Return why a child does not fit under a root with those that run there already, or nothing."""
    if len(line) >= MAX_CHILDREN:
        return (
            f"{len(line)} run under the slot of {root.name} already, and the most is {MAX_CHILDREN}: "
            "run fewer at once"
        )
    bound = hold.quota_marks_of(root).tasks
    if bound.value is None:
        return ""
    if tasks.value is None:
        return f"its tasks have no bound, and {root.name} was admitted with {bound}: give it spec.parallelism"
    taken = [hold.quota_marks_of(each).tasks.value for each in line]
    used = sum(bound.value if each is None else each for each in taken)
    if used + tasks.value <= bound.value:
        return ""
    return (
        f"those under the slot of {root.name} have {used} tasks, and {tasks} more exceed the {bound} that it "
        f"was admitted with: run fewer at once, or create {root.name} with a higher spec.parallelism"
    )


def _apart(quotas: Sequence[CompiledQuota], exempt: frozenset[str], parent: Metadata, root: Metadata) -> str:
    """Return what a child counts for although its parent does too: the root of both does not."""
    if parent.uid == root.uid:
        return ""
    both = governing(quotas, hold.original_labels(parent))
    named = [quota.source for quota in both if quota.source not in exempt]
    if not named:
        return ""
    return (
        f"{' and '.join(named)} governs both and not {root.name}, under whose slot they run: let it select "
        "all of them or one of them"
    )


def _depth_of(metadata: Metadata) -> int:
    """Return how many Workflows above this one are parents, as it was admitted."""
    text = (metadata.annotations or {}).get(well_known.DEPTH, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0


def within(bound: Amount, line: Iterable[Amount]) -> Iterator[bool]:
    """Return for each of a list whether it may run under the slot of a root with these tasks, in that order.

    Admission checks before it admits a child. The leader checks all the time: several may have been created
    in the same instant, and a root that is retried may be admitted with less than before.
    """
    number, used = 0, 0
    for tasks in line:
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
    shared = {quota.source for quota in root or ()}
    return tuple(quota for quota in child if quota.source not in shared)
