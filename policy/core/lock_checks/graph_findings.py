"""What only the template graph of an object shows: deadlocks, unknown references, names that parameters give.

Most objects have no lock above another and call only what exists and takes no lock; that is seen without a
graph. Injected locks count as if they were there already.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.lock_checks.parameterised_names import filled_faults
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_graph.deadlocks import TemplateDeadlock, analyse, deadlock_of_cycle
from policy.core.lock_graph.fast_path import needs_no_graph
from policy.core.lock_graph.lock_order import Nested
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import AddedLocks, Graph, UnknownReference, build_graph
from policy.core.lock_graph.template_library import Library
from policy.core.lock_model.block_locks import locks_in
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_model.semaphore_definitions import LimitOf, limit_lookup
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.json_patch import PatchOp, field_path
from policy.core.objects.workflow import Synchronization
from policy.core.policy_kinds.kinds import Severity

_OF_BLOCK: Final = re.compile(r"(.+)/synchronization(?:/(semaphores|mutexes)(/-)?)?")
_BLOCK: Final = "/synchronization"
_MAX_UNKNOWN: Final = 100
"""References to what does not exist that are reported of one object; a message shows ten."""
_STRICTNESS: Final = (Severity.IGNORE, Severity.WARN, Severity.DENY)


class Inspection(msgspec.Struct, frozen=True):
    """Reasons and warnings of an object."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()


class GraphFinding(msgspec.Struct, frozen=True):
    """One thing that the graph shows: what, where, in words, and whether every run comes to it.

    `mendable` tells that something created later may put it right. `severity` and `policy` are those of the
    strictest policy that speaks about it.
    """

    code: Code
    field: str
    message: str
    severity: Severity
    policy: str
    certain: bool = True
    mendable: bool = False

    @property
    def refused(self) -> bool:
        """Whether an object is refused for it."""
        return self.certain and self.severity is Severity.DENY


NOTHING: Final = Inspection()


def review_graph(
    owner: TemplateOwner,
    found: Sequence[TemplateBody],
    rulebook: Rulebook,
    library: Library,
    patch: Sequence[PatchOp] = (),
) -> Inspection:
    """Return what the graph of an object shows after a patch of its locks, as reasons and warnings."""
    changed = [operation.path.partition(_BLOCK)[0] for operation in patch]
    index = library.index(rulebook.locks.namespace, rulebook.budget)
    if needs_no_graph(owner, found, index, changed, rulebook.budget):
        return NOTHING
    shown, reasons = graph_findings(owner, found, rulebook, library, patch)
    refused = [Reason(each.code, each.field, each.message, each.policy) for each in shown if each.refused]
    warned = [f"lockkeeper: {each.field}: {each.message}" for each in shown if not each.refused]
    return Inspection((*refused, *reasons), tuple(warned))


def graph_findings(
    owner: TemplateOwner,
    found: Sequence[TemplateBody],
    rulebook: Rulebook,
    library: Library,
    patch: Sequence[PatchOp] = (),
) -> tuple[list[GraphFinding], list[Reason]]:
    """Return what the graph of an object shows, and what is wrong with names that parameters give.

    A patch that changes more than locks makes another graph; then the side that sees the result looks at it.
    """
    namespace, budget = rulebook.locks.namespace, rulebook.budget
    added = added_by(patch, namespace)
    if added is None:
        return [], []
    graphs = [build_graph(owner, library.find(namespace), namespace, added=added, budget=budget)]
    if owner.is_template and owner.locks_runs:
        whole = build_graph(owner, library.find(namespace), namespace, added=added, whole=True, budget=budget)
        graphs.append(whole)
    shown: list[GraphFinding] = []
    severity, policy = _strictest(rulebook, "unknown_references")
    if severity is not Severity.IGNORE:
        for field, message, local in islice(_unknown(graphs, owner, library), _MAX_UNKNOWN):
            finding = GraphFinding(
                Code.UNKNOWN_REFERENCE, field, message, severity, policy, mendable=not local
            )
            shown.append(finding)
    severity, policy = _strictest(rulebook, "deadlocks")
    if severity is not Severity.IGNORE:
        for field, message, certain in _deadlocks(graphs, owner, rulebook, library):
            shown.append(GraphFinding(Code.DEADLOCK, field, message, severity, policy, certain=certain))
    return shown, filled_faults(graphs, owner, found, rulebook)


def added_by(patch: Sequence[PatchOp], namespace: str) -> AddedLocks | None:
    """Return the names of the locks that a patch adds, by the body; None where it changes more than locks."""
    added: dict[str, tuple[str, ...]] = {}
    for operation in patch:
        match = _OF_BLOCK.fullmatch(operation.path)
        if match is None or isinstance(operation.value, msgspec.UnsetType):
            if operation.path.endswith(("/synchronization/semaphore", "/synchronization/mutex")):
                continue  # The single form is a list now, which another operation adds.
            return None
        body, kind, one = match.groups()
        value = operation.value
        block = value if kind is None else {kind: [value] if one else value}
        names = [lock.name for lock in locks_in(msgspec.convert(block, Synchronization), "", namespace, {})]
        added[body] = (*added.get(body, ()), *names)
    return added


def _strictest(rulebook: Rulebook, field: str) -> tuple[Severity, str]:
    """Return the strictest word of the policies on something, and whose it is."""
    policies: Sequence[CompiledLockPolicy] = rulebook.policies
    first = max(policies, key=lambda each: _STRICTNESS.index(getattr(each.validation, field)))
    return getattr(first.validation, field), first.source


_Found = tuple[str, str, bool]
"""A field, a message, and whether it is certain; of a reference, whether the object itself lacks it."""


def _unknown(graphs: Sequence[Graph], owner: TemplateOwner, library: Library) -> Iterator[_Found]:
    """Yield what an object itself refers to that does not exist; of others their own reviews tell."""
    seen: set[UnknownReference] = set()
    for graph in graphs:
        for each in graph.unknown:
            if each.owner is not owner or each in seen or not (each.local or library.templates):
                continue  # Without any template of the cluster, nobody knows which there are.
            seen.add(each)
            later = "" if each.local else "; if it is created later, do so before this runs"
            message = f"{each.what} does not exist, and Argo would end the Workflow with an error{later}"
            yield field_path(each.pointer), message, each.local


def _deadlocks(
    graphs: Sequence[Graph], owner: TemplateOwner, rulebook: Rulebook, library: Library
) -> Iterator[_Found]:
    namespace = rulebook.locks.namespace
    limit_of = limit_lookup(rulebook.locks.definitions, only=namespace if rulebook.closed_by else None)
    seen: set[tuple[str, str]] = set()
    nested: list[Nested] = []
    for graph in graphs:
        analysis = analyse(graph, limit_of, rulebook.budget, own=namespace)
        nested += analysis.nested
        for each in analysis.deadlocks:
            yield from _once(each, owner, seen)
        if not analysis.complete:
            yield field_path(owner.at), "has too many templates or locks to look for all deadlocks", False
    for deadlock in _circles(nested, owner, limit_of, rulebook, library):
        yield from _once(deadlock, owner, seen)


def _circles(
    nested: Sequence[Nested], owner: TemplateOwner, limit_of: LimitOf, rulebook: Rulebook, library: Library
) -> Iterator[TemplateDeadlock]:
    namespace, budget = rulebook.locks.namespace, rulebook.budget
    if nested:
        own = owner.key(namespace) if owner.is_template else None
        index = library.index(namespace, budget)
        for circle in index.cycles(nested, limit_of, without=own, budget=budget):
            yield deadlock_of_cycle(circle)


def _once(deadlock: TemplateDeadlock, owner: TemplateOwner, seen: set[tuple[str, str]]) -> Iterator[_Found]:
    place = field_path(deadlock.pointer)
    field, text = (
        (place, "") if deadlock.owner is owner else (field_path(owner.at), f"{deadlock.owner} {place}: ")
    )
    kind = "deadlock" if deadlock.certain else "possible deadlock"
    if (field, deadlock.message) not in seen:
        seen.add((field, deadlock.message))
        yield field, f"{kind}: {text}{deadlock.message}", deadlock.certain
