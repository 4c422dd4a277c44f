"""Which locks the existing Workflows have used, from when to when: the input of a replay.

A node records when it began to wait for its lock (`startedAt` includes the wait, argo-workflows F.1) and when
it finished, but not when it acquired the lock. A Workflow that waits as a whole has no `startedAt` before it
holds its lock. Locks of a node are those of its template; a name with parameters is unknown afterwards.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Final

import msgspec

from policy.core.lock_model.lock_names import NO_BLOCK, lock_name, parameterised, refs_in
from policy.core.lock_queues.live_workflow import LiveSpec, LiveTemplate, LiveWorkflow, WorkflowNode
from policy.core.lock_queues.trace import nodes_of
from policy.core.objects.workflow import Synchronization, TemplateRef

_HOLDING: Final = frozenset({"Pod", "Retry", "DAG", "Steps", "Suspend", "HTTP", "Plugin"})
"""Types of node that take the locks of their template; groups of items and of steps take none."""


class _LeftOut(Enum):
    """Why a use is left out: its lock is worked out at run time, or a daemon had it until it was ready."""

    UNKNOWN = auto()
    DAEMON = auto()


class Use(msgspec.Struct, frozen=True):
    """One use of a lock; `began` is None where that is not recorded, `ended` where it is not finished."""

    lock: str
    arrived: datetime
    began: datetime | None
    ended: datetime | None
    priority: int
    created: datetime


class LockUses(msgspec.Struct, frozen=True):
    """The uses of some Workflows, how many are unknown because the name has parameters, and those of daemons.

    Argo frees the lock of a daemon when it is ready, which is not recorded.
    """

    uses: tuple[Use, ...]
    unknown: int
    of_daemons: int = 0


def lock_uses(workflows: Iterable[LiveWorkflow]) -> LockUses:
    """Return all uses of locks by Workflows, finished and running ones."""
    uses: list[Use] = []
    left_out = Counter[_LeftOut]()
    for workflow in workflows:
        for use in _of_one(workflow):
            if isinstance(use, Use):
                uses.append(use)
            else:
                left_out[use] += 1
    return LockUses(tuple(uses), left_out[_LeftOut.UNKNOWN], left_out[_LeftOut.DAEMON])


def _of_one(workflow: LiveWorkflow) -> Iterator[Use | _LeftOut]:
    """Yield the uses of one Workflow, or why one is left out."""
    metadata, spec, status = workflow.metadata, workflow.spec, workflow.status
    created = metadata.creation_timestamp
    if created is None:
        return
    namespace, priority = metadata.namespace or "", spec.priority or 0
    stored = status.stored_workflow_template_spec
    whole = spec.synchronization or (stored.synchronization if stored is not None else None)
    for lock in _locks(whole, namespace):
        use = (created, status.started_at, status.finished_at, priority, created)
        yield Use(lock, *use) if lock is not None else _LeftOut.UNKNOWN
    nodes = nodes_of(status) or {}
    below_retries = {
        child for node in nodes.values() if node.type == "Retry" for child in node.children or ()
    }
    templates = _templates(spec, stored, status.stored_templates or {})
    for node_id, node in nodes.items():
        if node.type not in _HOLDING or node_id in below_retries or node.started_at is None:
            continue
        template = templates.get(_template_of(node))
        for lock in _locks(template.synchronization if template is not None else None, namespace):
            use = (node.started_at, None, node.finished_at, priority, created)
            if template is not None and template.daemon:
                yield _LeftOut.DAEMON
            else:
                yield Use(lock, *use) if lock is not None else _LeftOut.UNKNOWN


def _templates(
    spec: LiveSpec, stored: LiveSpec | None, elsewhere: Mapping[str, LiveTemplate]
) -> Mapping[str, LiveTemplate]:
    """Return templates by the reference that nodes have to them: `name`, or `scope/object/name`."""
    found = dict(elsewhere)
    for each in (*((stored.templates or ()) if stored is not None else ()), *(spec.templates or ())):
        found[each.name or ""] = each
    return found


def _template_of(node: WorkflowNode) -> str:
    ref: TemplateRef | None = node.template_ref
    if ref is not None and ref.name:
        scope = "cluster" if ref.cluster_scope else "namespaced"
        return f"{scope}/{ref.name}/{ref.template or ''}"
    scope, name = node.template_scope or "", node.template_name or ""
    return name if not scope or scope.startswith("local/") else f"{scope}/{name}"


def _locks(block: Synchronization | None, namespace: str) -> Iterator[str | None]:
    """Yield the locks of a block, None for one whose name has parameters."""
    for name in dict.fromkeys(lock_name(ref, namespace) for _, ref in refs_in(block or NO_BLOCK)):
        yield None if parameterised(name) else name
