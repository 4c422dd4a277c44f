"""Which locks a running Workflow holds, waits for and may still request: the record made of it.

For which fields can be trusted see argo-workflows C.6: holders in `status.synchronization`, waiters in nodes
(template level) and in the Workflow's own message (workflow level). `status.synchronization.*.waiting` is
outdated at times and is not read.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from sys import intern
from typing import Final

import msgspec

from policy.core.lock_model.lock_names import NO_BLOCK, lock_name, parameterised, refs_in
from policy.core.lock_queues.live_workflow import (
    LiveCall,
    LiveSpec,
    LiveStatus,
    LiveTemplate,
    LiveWorkflow,
    LockHold,
    LockStatus,
    LockWait,
    Traced,
    WorkflowNode,
    WorkflowNodes,
)
from policy.core.lock_queues.unvisited import Unvisited
from policy.core.objects.workflow import Synchronization

_MOST_NODES_BYTES: Final = 64 * 1024 * 1024
"""Bytes of decompressed nodes that are read; more count as unknown."""
_WAITING: Final = re.compile(
    r"Waiting for (?P<busy>.+) lock\. Lock status: |Failed to get semaphore limit for (?P<lost>.+)"
)
_POISONED: Final = re.compile(r"lock (?P<lock>.+?) is in a poisoned state: (?P<why>.{0,300})", re.DOTALL)
"""What Argo writes of a lock that it could not set up when it started (3.7.15 and 4.0.6 on)."""
_GROUPS: Final = frozenset({"DAG", "Steps", "StepGroup", "TaskGroup", "Retry"})
_GZIP: Final = 31
"""Window bits by which zlib reads gzip."""


def trace(workflow: LiveWorkflow, *, unborn: datetime) -> Traced:
    """Return the record of a Workflow; `unborn` is used where the creation time is missing."""
    metadata, spec, status = workflow.metadata, workflow.spec, workflow.status
    namespace = intern(metadata.namespace or "")
    created = metadata.creation_timestamp or unborn
    nodes = nodes_of(status)
    unvisited = Unvisited({} if _is_ending_or_suspended(workflow) else nodes or {})
    holds = tuple(_holds(workflow, nodes, unvisited))
    named, indexed, open_ended = _named(spec, status.stored_workflow_template_spec, namespace)
    return Traced(
        namespace=namespace,
        name=metadata.name or "",
        uid=metadata.uid or "",
        created=created,
        priority=spec.priority or 0,
        deadline=_deadline(spec, status),
        holds=holds,
        waits=tuple(_waits(status, nodes or {}, holds, created, unvisited)),
        named=named,
        indexed=indexed,
        open_ended=open_ended,
    )


def nodes_of(status: LiveStatus) -> Mapping[str, WorkflowNode] | None:
    """Return the nodes, decompressed where they are compressed; None where they are stored elsewhere."""
    if status.nodes is not None:
        return status.nodes
    if status.compressed_nodes:
        return _decompressed(status.compressed_nodes)
    return None if status.offload_node_status_version else {}


def _decompressed(text: str) -> Mapping[str, WorkflowNode] | None:
    try:
        unzipper = zlib.decompressobj(_GZIP)
        raw = unzipper.decompress(base64.b64decode(text, validate=True), _MOST_NODES_BYTES)
        return None if unzipper.unconsumed_tail else msgspec.json.decode(raw, type=WorkflowNodes)
    except (binascii.Error, zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _deadline(spec: LiveSpec, status: LiveStatus) -> datetime | None:
    try:
        seconds = int(spec.active_deadline_seconds or 0)
        if seconds <= 0 or status.started_at is None:
            return None
        return status.started_at + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


def _holds(
    workflow: LiveWorkflow, nodes: Mapping[str, WorkflowNode] | None, unvisited: Unvisited
) -> Iterator[LockHold]:
    waiting = nodes is not None and any(node.waits_for for node in nodes.values())
    known = nodes if waiting and not _is_ending_or_suspended(workflow) else None
    block = workflow.status.synchronization or LockStatus()
    for listed in (block.semaphore, block.mutex):
        for each in (listed.holding if listed is not None else None) or ():
            lock = intern(each.semaphore or each.mutex or "")
            for key in each.holders or ((each.holder,) if each.holder else ()):
                node = _node_of(key, nodes or {})
                if known is None:
                    yield LockHold(lock, node, ())
                else:
                    stuck_on = _stuck_on(node, known, unvisited)
                    yield LockHold(lock, node, stuck_on, unvisited.is_left(node))


def _is_ending_or_suspended(workflow: LiveWorkflow) -> bool:
    """Return whether a Workflow waits for a user or ends anyway: suspended, shut down or being deleted."""
    spec = workflow.spec
    return bool(spec.suspend or spec.shutdown) or workflow.metadata.deletion_timestamp is not None


def _node_of(key: str, nodes: Mapping[str, WorkflowNode]) -> str:
    """Return the node of a holder key: `namespace/workflow/node`, or before Argo 3.5 the node alone."""
    parts = key.split("/", 2)
    if len(parts) == 3:  # noqa: PLR2004 - the form above
        return parts[2]
    return key if len(parts) == 1 and key in nodes else ""


def _stuck_on(holder: str, nodes: Mapping[str, WorkflowNode], unvisited: Unvisited) -> tuple[str, ...]:
    """Return the nodes of which one has to continue before Argo gives the lock of a holder back.

    These wait below it, or below a hook that keeps Argo from coming to it; of a holder that Argo never comes
    back to they may be anywhere. Nothing is returned where another node is active.
    """
    if not holder or unvisited.is_left(holder):
        return _waiting(nodes, nodes, unvisited)[0]
    waiting, idle = _waiting(_descendants(holder, nodes), nodes, unvisited)
    for hook in unvisited.hooks_before(holder) if idle and not waiting else ():
        waiting, _ = _waiting(_descendants(hook, nodes), nodes, unvisited)
        if waiting:
            return waiting
    return waiting


def _waiting(
    below: Iterable[str], nodes: Mapping[str, WorkflowNode], unvisited: Unvisited
) -> tuple[tuple[str, ...], bool]:
    """Return the nodes that wait where nothing else is active, and whether no Pod is active in any case.

    A group (DAG, steps, retry) below which nothing is active is about to start a node, or backs off.
    """
    waiting: list[str] = []
    about_to_start = False
    for node_id in below:
        node = nodes[node_id]
        if not node.active or node.serves:
            continue
        if node.waits_for:
            waiting.append(node_id)
        elif node.type not in _GROUPS:
            return (), False
        elif not unvisited.is_left(node_id) and not any(
            nodes[each].active and not nodes[each].serves
            for each in _descendants(node_id, nodes)
            if each != node_id
        ):
            about_to_start = True
    return () if about_to_start else tuple(waiting), True


def _descendants(node_id: str, nodes: Mapping[str, WorkflowNode]) -> list[str]:
    """Return a node and its known descendants, each once."""
    found: dict[str, None] = {}
    stack = [node_id]
    while stack:
        each = stack.pop()
        if each in nodes and each not in found:
            found[each] = None
            stack.extend(nodes[each].children or ())
    return list(found)


def _waits(
    status: LiveStatus,
    nodes: Mapping[str, WorkflowNode],
    holds: Iterable[LockHold],
    created: datetime,
    unvisited: Unvisited,
) -> Iterator[LockWait]:
    own, poisoned = _own_wait(status.message or "")
    # Argo does not clear the message of one that got its lock while it is suspended (argo-verified 1).
    if own and (poisoned or not any(each.lock == own and not each.node for each in holds)):
        yield LockWait(intern(own), "", created, poisoned)
    for node_id, node in nodes.items():
        if node.waits_for:
            _, poisoned = _own_wait(node.message or "")
            since, left = node.started_at or created, unvisited.is_left(node_id)
            yield LockWait(intern(node.waits_for), node_id, since, poisoned, left)


def _own_wait(message: str) -> tuple[str, str]:
    """Return the lock that Argo's message names as missing, and why it is poisoned if it is."""
    found = _WAITING.match(message)
    if found is not None:
        return found["busy"] or found["lost"], ""
    found = _POISONED.match(message)
    if found is None:
        return "", ""
    return found["lock"], intern(found["why"].removesuffix("; manual intervention required"))


def _named(
    spec: LiveSpec, stored: LiveSpec | None, namespace: str
) -> tuple[frozenset[str], frozenset[str], bool]:
    """Return the locks that specs name, those that are in Argo's index, and whether there may be others."""
    named: set[str] = set()
    indexed: set[str] = set()
    open_ended = spec.workflow_template_ref is not None and stored is None
    for each in (spec, *((stored,) if stored is not None else ())):
        blocks = [(each.synchronization, True), *_blocks(each.templates or ())]
        open_ended = open_ended or any(_calls_other_objects(one) for one in each.templates or ())
        for block, found_by_argo in blocks:
            for _, ref in refs_in(block or NO_BLOCK):
                lock = lock_name(ref, namespace)
                if parameterised(lock):
                    open_ended = True
                    continue
                named.add(intern(lock))
                if found_by_argo and ref.namespace in (None, "", namespace):
                    indexed.add(intern(lock))
    return frozenset(named), frozenset(indexed), open_ended


def _blocks(templates: Iterable[LiveTemplate]) -> Iterator[tuple[Synchronization | None, bool]]:
    """Yield every block of locks of templates, and whether Argo's index has it: not that of inline ones."""
    for template in templates:
        yield template.synchronization, True
        for call in _calls(template):
            if call.inline is not None:
                yield from ((block, False) for block, _ in _blocks((call.inline,)))


def _calls(template: LiveTemplate) -> Iterator[LiveCall]:
    if template.dag is not None:
        yield from template.dag.tasks or ()
    for group in template.steps or ():
        yield from group


def _calls_other_objects(template: LiveTemplate) -> bool:
    return any(
        call.template_ref is not None or (call.inline is not None and _calls_other_objects(call.inline))
        for call in _calls(template)
    )
