"""A Workflow that creates another and waits for it, while it holds what that one needs: a slot or a lock.

A resource template with a `successCondition` waits until the Workflow of its manifest is over. A child that
belongs to its parent runs under the slot of that (`child_exemption`); one that does not needs a slot of its
own. A lock is taken twice in any case. So it is a warning: what is fixed in the manifest is read, and what
only the run gives is not guessed at.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from policy.core.lock_graph.held_above import HeldAbove, bits, held_in
from policy.core.lock_graph.run_sources import TemplateOwner, template_owner
from policy.core.lock_graph.template_graph import TemplateNode, build_graph
from policy.core.lock_model.created_workflows import (
    UNKNOWN,
    CreatedWorkflow,
    created_workflows,
    waits_for_workflow,
)
from policy.core.lock_model.lock_names import LockName, parameterised
from policy.core.lock_model.parameters import TagValues, workflow_values
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects.json_patch import field_path
from policy.core.objects.label_selectors import Labels
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import WorkflowSpec
from policy.core.policies.governing_quotas import governing
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import Limits
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced
from policy.core.values.problems import Problem

_WAITS: Final = re.compile(rb'Condition"')
"""What only one that waits has in its bytes, and few others; a plain text is found ten times as fast."""
_MOST: Final = 10
"""Warnings of one object."""
_MOST_READ: Final = 100_000
"""Characters of manifests that are read for one object."""
_UNLIMITED: Final = 10_000
"""A limit that is never used up."""


class WaitingParent(msgspec.Struct, frozen=True):
    """An object of which Workflows may wait for others: what it runs, and the labels that its quotas see.

    `limit_of` has the limits of locks, None where locks are not looked at.
    """

    owner: TemplateOwner
    namespace: str
    labels: Labels
    limit_of: LimitOf | None = None


def may_wait(
    spec: WorkflowSpec,
    raw: msgspec.Raw,
    namespace: str,
    snapshot: Snapshot,
    *,
    rest: msgspec.Raw | None = None,
) -> bool:
    """Return whether a template of an object may wait for a Workflow.

    Most objects have none, and pay for no more than a search in their bytes, which are `raw`. In shared
    templates it is made once, and then in the `rest` of the object.
    """
    if not namespace:
        return False  # A template of the cluster runs in many, with the quotas of each.
    if _says_that_it_waits(spec, raw, rest) and any(
        waits_for_workflow(body.template) for body in all_bodies(spec)
    ):
        return True
    ref = spec.workflow_template_ref
    other = snapshot.library.find(namespace)(ref) if ref is not None else None
    return other is not None and any(map(waits_for_workflow, other.spec.templates or ()))


def _says_that_it_waits(spec: WorkflowSpec, raw: msgspec.Raw, rest: msgspec.Raw | None) -> bool:
    templates = spec.templates
    if rest is None or not isinstance(templates, SharedTemplates):
        return bool(_WAITS.search(raw))
    text = templates.text
    return templates.once(_WAITS, lambda: bool(_WAITS.search(text))) or bool(_WAITS.search(rest))


def waiting_parents(
    parent: WaitingParent, snapshot: Snapshot, budget: Budget = UNBOUNDED
) -> Iterator[Problem]:
    """Yield where an object waits for a Workflow that may wait for it, with the fix."""
    owner = parent.owner
    find = snapshot.library.find(parent.namespace)
    graphs = [build_graph(owner, find, parent.namespace, budget=budget)]
    if owner.is_template and owner.locks_runs:
        graphs.append(build_graph(owner, find, parent.namespace, whole=True, budget=budget))
    given = () if owner.is_template else (owner.spec.arguments,)
    children = _Children(snapshot, workflow_values(given, parent.namespace))
    found: dict[Problem, None] = {}
    for graph in graphs:
        held: HeldAbove | None = None
        for node in paced(graph.nodes, budget, Part.DEADLOCKS):
            for child in children.of(node):
                held = held or held_in(graph, budget)
                for message in _messages(parent, held, node, child, snapshot, budget=budget):
                    found.setdefault(_problem(owner, node, message))
            if len(found) >= _MOST:
                break
    yield from islice(found, _MOST)


class _Children:
    """Reads what templates create, each manifest once, up to a bound for all together."""

    def __init__(self, snapshot: Snapshot, values: TagValues) -> None:
        self._read, self._values = snapshot.read_manifest, values
        self._found: dict[tuple[int, str], tuple[CreatedWorkflow, ...]] = {}
        self._left = _MOST_READ

    def of(self, node: TemplateNode) -> tuple[CreatedWorkflow, ...]:
        """Return the Workflows that a template creates and waits for."""
        if not waits_for_workflow(node.template):
            return ()
        key = (id(node.owner), node.pointer)
        if key not in self._found:
            resource = node.template.resource
            self._left -= len((resource.manifest if resource is not None else None) or "")
            read = self._left >= 0
            children = created_workflows(node.template, self._read, self._values) if read else ()
            self._found[key] = tuple(children)
        return self._found[key]


def _problem(owner: TemplateOwner, node: TemplateNode, message: str) -> Problem:
    place = f"{field_path(node.pointer)}.resource"
    if node.owner is owner:
        return Problem(place, message)
    return Problem(field_path(owner.at), f"{node.owner} {place}: {message}")


def _messages(
    parent: WaitingParent,
    held: HeldAbove,
    node: TemplateNode,
    child: CreatedWorkflow,
    snapshot: Snapshot,
    *,
    budget: Budget,
) -> Iterator[str]:
    namespace = child.namespace or parent.namespace
    near = namespace == parent.namespace
    if not (child.owned and near):
        both = _shared_quota(parent, namespace, child.labels, snapshot)
        if both is not None:
            yield _of_quota(both, near=near)
    above = held.own[node] | held.some.get(node, 0)
    if parent.limit_of is None or not above:
        return
    taken = _taken_by(child, namespace, snapshot, budget)
    for name in (held.names[number] for number in bits(above)):
        if name not in taken or parameterised(name) or UNKNOWN in name:
            continue
        limit = parent.limit_of(name)
        if (limit or 0) < _UNLIMITED:
            own = LockName.parse(name).namespace == parent.namespace
            yield _of_lock(name, limit if own else None)


def _shared_quota(
    parent: WaitingParent, namespace: str, labels: Labels, snapshot: Snapshot
) -> CompiledQuota | None:
    """Return the first quota that counts both and has an end; one that only warns lets both run."""
    own = governing(snapshot.policies(parent.namespace).quotas, parent.labels)
    theirs = {each.account for each in governing(snapshot.policies(namespace).quotas, labels)}
    return next(
        (
            each
            for each in own
            if each.account in theirs and each.on_exceed is not OnExceed.WARN and each.highest != Limits()
        ),
        None,
    )


def _of_quota(quota: CompiledQuota, *, near: bool) -> str:
    """Return the sentence about a child under the same quota; only one that is `near` can have an owner."""
    limit = quota.highest.workflows.value
    when = (
        "it allows one Workflow, so that both wait for ever"
        if limit == 1
        else "once such as this have all its places, all wait for ever"
    )
    kind = "deadlock" if limit == 1 else "possible deadlock"
    fix = "Set setOwnerReference: true, so that it runs under the slot of this one"
    if not near:
        fix = "An owner is of the same namespace: create it there, with setOwnerReference: true"
    return (
        f"{kind}: this waits for the Workflow that it creates, which {quota.source} counts beside this one: "
        f"{when}. {fix}"
    )


def _taken_by(child: CreatedWorkflow, namespace: str, snapshot: Snapshot, budget: Budget) -> frozenset[str]:
    """Return the names of all locks that a Workflow may take, with what it refers to."""
    owner = template_owner(ObjectKind.WORKFLOW, "", child.spec)
    graph = build_graph(owner, snapshot.library.find(namespace), namespace, budget=budget)
    return frozenset(lock.name for node in (graph.root, *graph.nodes) for lock in node.locks)


def _of_lock(name: str, limit: int | None) -> str:
    if limit == 1:
        kind, when = "deadlock", "where it takes it, both wait for ever"
    elif limit is None:
        kind, when = "possible deadlock", "with a limit of 1, or with enough at once, all wait for ever"
    else:
        kind, when = "possible deadlock", f"once {limit} hold it so, all wait for ever"
    return (
        f"{kind}: {name} is held here while this waits for the Workflow that it creates, which takes it as "
        f"well: {when}. Take it in one of the two only"
    )
