"""Locks of another object's spec, which hold for whole runs of it, not for one of its templates by itself.

Argo takes the locks of a spec, and adds those of its `templateDefaults`, for what it runs by that spec: by
`workflowTemplateRef`, too. A call by `templateRef` runs a template without either.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from policy.core.lock_graph.template_library import Library
from policy.core.lock_model.lock_names import NO_LOCKS, held_locks
from policy.core.lock_model.template_bodies import TemplateBody, calls
from policy.core.objects.json_patch import field_path
from policy.core.objects.json_patch import pointer as escaped
from policy.core.objects.template_keys import TemplateKey, known_key
from policy.core.objects.workflow import Call, TemplateRef, WorkflowSpec
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced
from policy.core.values.problems import Problem

_MOST: Final = 10
"""Warnings of one object; each further call of the same object would say the same."""
_SHOWN: Final = 3
"""Locks that a warning names."""


def unheld_locks(
    spec: WorkflowSpec,
    at: str,
    found: Sequence[TemplateBody],
    library: Library,
    namespace: str,
    *,
    ruled: frozenset[str] = NO_LOCKS,
    budget: Budget = UNBOUNDED,
) -> Iterator[Problem]:
    """Yield the first calls of templates whose objects have locks that do not hold for them.

    A lock that the object under review takes itself, or that rules put (`ruled`), is no matter of the other's
    spec.
    """
    if library.locking:
        looking = _ForeignLocks(ruled | _taken(spec, found, namespace), namespace, library)
        problems = (looking.problem(ref, pointer) for ref, pointer in _refs(spec, at, found, budget))
        yield from islice((each for each in problems if each is not None), _MOST)


def _taken(spec: WorkflowSpec, found: Sequence[TemplateBody], namespace: str) -> frozenset[str]:
    blocks = (spec.synchronization, spec.default_locks, *(each.template.synchronization for each in found))
    return NO_LOCKS.union(*(held_locks(block, namespace) for block in blocks if block is not None))


class _ForeignLocks:
    """The locks of other objects' specs besides those that are `taken`; each template is looked at once."""

    def __init__(self, taken: frozenset[str], namespace: str, library: Library) -> None:
        self._taken, self._namespace, self._library = taken, namespace, library
        self._lost: dict[tuple[TemplateKey, str | None], str] = {}

    def problem(self, ref: TemplateRef, pointer: str) -> Problem | None:
        """Return what is wrong with a call, if anything."""
        key = known_key(ref, self._namespace)
        if key is None or key not in self._library.locking:
            return None
        lost = self._lost.get((key, ref.template))
        if lost is None:
            lost = self._lost[key, ref.template] = self._look(key, ref.template)
        return Problem(field_path(pointer), lost) if lost else None

    def _look(self, key: TemplateKey, name: str | None) -> str:
        owner = self._library.owner(key)
        number = owner.numbers.get(name or "") if owner is not None else None
        if owner is None or owner.spec.templates is None or number is None:
            return ""
        taken = self._taken | held_locks(owner.spec.templates[number].synchronization, self._namespace)
        names = held_locks(owner.spec.synchronization, self._namespace) - taken
        place = "its spec"
        if not names:
            names = held_locks(owner.spec.default_locks, self._namespace) - taken
            place = "its templateDefaults"
        if not names:
            return ""
        return (
            f"{owner} has {_shown(names)} at {place}, which Argo takes for runs of the whole object, and not "
            "for a template that is called by templateRef: it runs unlocked here. Write the lock into that "
            "template, or into the one that calls it"
        )


def _shown(names: frozenset[str]) -> str:
    first = sorted(names)[:_SHOWN]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return f"{', '.join(first)}{more}"


def _refs(
    spec: WorkflowSpec, at: str, found: Sequence[TemplateBody], budget: Budget
) -> Iterator[tuple[TemplateRef, str]]:
    """Yield each templateRef of an object, and the pointer to it."""
    for event, hook in (spec.hooks or {}).items():
        if hook.template_ref is not None:
            yield hook.template_ref, f"{at}/hooks{escaped(event)}/templateRef"
    for place in found:
        for call, pointer in paced(list(calls(place.template, place.pointer)), budget, Part.LOCKS):
            yield from _of_call(call, pointer)


def _of_call(call: Call, pointer: str) -> Iterator[tuple[TemplateRef, str]]:
    if call.template_ref is not None:
        yield call.template_ref, f"{pointer}/templateRef"
    for event, hook in (call.hooks or {}).items():
        if hook.template_ref is not None:
            yield hook.template_ref, f"{pointer}/hooks{escaped(event)}/templateRef"
