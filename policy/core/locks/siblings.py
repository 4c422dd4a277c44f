"""Siblings of templates: copies with the locks that policies want, for Workflows that carry no templates.

A Workflow with a workflowTemplateRef alone has no place for a lock. Under a policy with `referenced: Sibling`
it is led to a copy of its template that has the locks. What the copy is follows from the template and the
policies, so the webhook, which leads to it, and the leader, which makes it, need not talk to each other.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import msgspec

from policy.core.decision import Code, ObjectKind, Reason
from policy.core.kinds import MatchedKind, Referenced
from policy.core.locks.finding import finder
from policy.core.locks.policies import LockPolicies
from policy.core.locks.putting import Put, put_locks
from policy.core.locks.rules import CompiledLockPolicy
from policy.core.locks.scene import Scene
from policy.core.locks.sibling_names import Origin, Sibling, is_sibling, mark_of, name_of
from policy.core.patched import patched
from policy.core.selectors import EVERYTHING, LabelSelector
from policy.core.snapshot import Snapshot

FIELD: Final = "spec.workflowTemplateRef"
MOST_SELECTORS: Final = 3
"""Selectors of Workflows in a namespace that siblings are made for: each doubles how many there may be."""


def serving(active: Sequence[CompiledLockPolicy]) -> tuple[CompiledLockPolicy, ...]:
    """Return those of the policies of a Workflow that lead it to siblings."""
    return tuple(each for each in active if each.referenced is Referenced.SIBLING)


def sibling_for(
    origin: Origin, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    """Return the sibling of a template under the policies that serve a Workflow; None where nothing lacks.

    It is worked out once for the same template and policies.
    """
    key = (*origin.key, tuple(each.source for each in active))
    return locks.found_out.siblings.get_or(
        key, lambda: _work_out(origin, active, locks, snapshot) if active else None
    )


def found_for(
    origin: Origin, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    """Return the sibling of a template that can be made, None where nothing lacks or none can."""
    found = sibling_for(origin, active, locks, snapshot)
    return None if found is None or found.faults else found


def is_wanted(key: tuple[str, str], origin: Origin, text: str, snapshot: Snapshot) -> bool:
    """Tell whether a template of a namespace is, to the letter, a sibling that is wanted of this origin."""
    namespace, name = key
    locks = snapshot.policies(namespace).locks
    if locks is None or is_sibling(snapshot.header(origin.key)):
        return False
    candidates = (found_for(origin, active, locks, snapshot) for active in together(locks))
    return any(each is not None and each.name == name and each.text == same(text) for each in candidates)


def same(text: str) -> str:
    """Return a JSON text in the one way of writing that equal texts have in common."""
    value: Any = msgspec.json.decode(text) if text else None
    return msgspec.json.encode(value, order="deterministic").decode()


def together(locks: LockPolicies) -> Iterator[tuple[CompiledLockPolicy, ...]]:
    """Yield the sets of policies that may serve one Workflow: by its labels it has some of the selectors."""
    policies = [each for each in serving(locks.policies) if MatchedKind.WORKFLOW in each.kinds]
    selectors = _selectors(policies)
    if len(selectors) > MOST_SELECTORS:
        return
    for number in range(len(selectors) + 1):
        for chosen in combinations(selectors, number):
            some = tuple(each for each in policies if each.workflows in (EVERYTHING, *chosen))
            if some:
                yield some


def _selectors(policies: Sequence[CompiledLockPolicy]) -> list[LabelSelector]:
    found: list[LabelSelector] = []
    for each in policies:
        if each.workflows != EVERYTHING and each.workflows not in found:
            found.append(each.workflows)
    return found


def _work_out(
    origin: Origin, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    spec, text = snapshot.templates.get(origin.key), snapshot.texts.get(origin.key, "")
    if spec is None:
        return None
    raw = msgspec.Raw(b'{"spec":' + (text or "null").encode() + b"}")
    view = locks.view(spec)
    scene = Scene(
        kind=ObjectKind.WORKFLOW_TEMPLATE,
        raw=raw,
        find=finder(locks, snapshot, view),
        name=origin.name,
        view=view,
        library=snapshot.library,
    )
    put = put_locks(spec, locks, active, scene)
    faults = put.injected.faults or _impossible(put, text, locks)
    if faults:
        told = tuple(_told(each, origin) for each in faults)
        return Sibling(locks.namespace, origin, _sources(active), faults=told)
    if not put.patch:
        return None
    whole: Any = patched(msgspec.json.decode(raw), put.patch)
    made_of = msgspec.json.encode(whole["spec"], order="deterministic").decode()
    mark = mark_of(origin, snapshot.header(origin.key).uid or "", made_of)
    key = (locks.namespace, name_of(origin, mark))
    return Sibling(
        locks.namespace,
        origin,
        _sources(active),
        name=key[1],
        mark=mark,
        text=made_of,
        made=is_sibling(snapshot.header(key)) and same(snapshot.texts.get(key, "")) == made_of,
        injected=put.injected.locks,
        note=put.injected.note,
    )


def _sources(active: Sequence[CompiledLockPolicy]) -> tuple[str, ...]:
    return tuple(each.source for each in active)


def _impossible(put: Put, text: str, locks: LockPolicies) -> tuple[Reason, ...]:
    """Return why no sibling is made though nothing is wrong with the locks themselves."""
    if not put.patch:
        return ()
    if not text:
        return (Reason(Code.LOCK_CONFLICT, FIELD, "lacks locks, and its text is not known"),)
    selectors = _selectors(serving(locks.policies))
    if len(selectors) > MOST_SELECTORS:
        message = (
            f"lacks locks, and no sibling is made of it, because policies with referenced: Sibling have "
            f"{len(selectors)} different match.workflows here, and {MOST_SELECTORS} are the most"
        )
        return (Reason(Code.LOCK_CONFLICT, FIELD, message, put.injected.locks[0].policy),)
    return ()


def _told(reason: Reason, origin: Origin) -> Reason:
    """Return a reason as it is told of the Workflow that refers to the template."""
    if reason.field == FIELD:
        return msgspec.structs.replace(reason, message=f"{origin.kind} {origin.name} {reason.message}")
    message = f"{origin.kind} {origin.name} {reason.field}: {reason.message}"
    return msgspec.structs.replace(reason, field=FIELD, message=message)
