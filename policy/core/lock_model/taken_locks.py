"""Which locks a Workflow takes as it runs: those of the whole, and those of each of its templates.

Of parameters only the Workflow's own are filled in. A lock on a condition is taken as if that held, and one
whose name is not known in full is not taken at all.
"""

from collections.abc import Mapping

import msgspec

from policy.core.lock_model.block_locks import locks_in, merged
from policy.core.lock_model.lock_names import NO_LOCKS
from policy.core.lock_model.parameters import TagValues, workflow_values
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects.workflow import Synchronization, WorkflowSpec


class TakenLocks(msgspec.Struct, frozen=True):
    """The locks of a whole Workflow, and by the names of its templates those that each takes."""

    whole: frozenset[str] = NO_LOCKS
    by_template: Mapping[str, frozenset[str]] = {}


def taken_locks(spec: WorkflowSpec, namespace: str) -> TakenLocks:
    """Return the locks of a spec in a namespace."""
    values = workflow_values([spec.arguments], namespace)
    by_template = {}
    for place in all_bodies(spec):
        block = merged(place.template.synchronization, spec.default_locks)
        if block is not None and (found := locks_of_block(block, namespace, values)):
            by_template[place.template.name or "inline"] = found
    return TakenLocks(locks_of_block(spec.synchronization, namespace, values), by_template)


def locks_of_block(block: Synchronization | None, namespace: str, values: TagValues) -> frozenset[str]:
    """Return the locks that a block takes: of those on a condition the first."""
    first: dict[str, str] = {}
    for lock in locks_in(block, "", namespace, values):
        if lock.known:
            first.setdefault(lock.pointer, lock.name)
    return frozenset(first.values())
