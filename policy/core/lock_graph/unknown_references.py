"""What an object refers to that does not exist: templates of its own or of others, tasks, containers.

Argo validates every template of an object before it starts a Workflow of it, also those that no run reaches
(validate.go `Workflow`), and ends the Workflow if one name is unknown. So all that is written is looked at.
Names with parameters are known only at run time, and are not judged. Nor is what other objects refer to: they
have their own reviews.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Final

import msgspec

from policy.core.lock_graph.certain_tasks import tasks_named_in
from policy.core.lock_graph.references import Reference, Via, of_call, of_exit, of_hooks
from policy.core.lock_graph.run_sources import FindOwner, TemplateOwner
from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.template_bodies import TemplateBody, calls, calls_none
from policy.core.objects.template_keys import TemplateKey, described, key_of, known_key
from policy.core.objects.workflow import Call, Dag, Template, TemplateRef
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part, paced


class Missing(StrEnum):
    """What is missing: a name in the object itself, a template in another one that exists, or that object."""

    NAME = "name"
    TEMPLATE = "template"
    OBJECT = "object"


class UnknownReference(msgspec.Struct, frozen=True):
    """A reference to what does not exist: where it is written, and in words what is missing.

    `name` is what was looked up, and `known` are the names that there are, to find the one that was meant;
    `key` is the object that is missing, if that is what is.
    """

    pointer: str
    what: str
    missing: Missing
    name: str = ""
    known: Sequence[str] = ()
    key: TemplateKey | None = None


class _Open(Enum):
    """An object that cannot be looked up: only a run has its name, or its namespace."""

    OPEN = "open"


_OPEN: Final = _Open.OPEN
_Found = TemplateOwner | _Open | None


def unknown_references(
    owner: TemplateOwner,
    bodies: Sequence[TemplateBody],
    find: FindOwner,
    namespace: str,
    budget: Budget = UNBOUNDED,
) -> Iterator[UnknownReference]:
    """Yield everything that an object refers to and that does not exist; `bodies` are those that call."""
    walk = _ReferenceWalk(owner, find, namespace)
    yield from walk.of_run()
    for body in paced(bodies, budget, Part.GRAPH):
        if not calls_none(body.template):
            yield from walk.of_body(body, budget)
    yield from unknown_names(owner, bodies, budget)


def unknown_names(
    owner: TemplateOwner, bodies: Sequence[TemplateBody], budget: Budget = UNBOUNDED
) -> Iterator[UnknownReference]:
    """Yield the tasks that DAGs wait for or have as their target, and that they do not have.

    So it does with the containers of sets, of which `bodies` need not have any but those that stand inline.
    """
    for number, template in enumerate(paced(owner.spec.templates or (), budget, Part.GRAPH)):
        if template.container_set is not None:
            yield from _unknown_containers_of(template, f"{owner.at}/templates/{number}", budget)
    for body in paced(bodies, budget, Part.GRAPH):
        if body.template.container_set is not None and body.pointer.endswith("/inline"):
            yield from _unknown_containers_of(body.template, body.pointer, budget)
    for body in paced(bodies, budget, Part.GRAPH):
        dag = body.template.dag
        if (
            dag is not None
            and dag.tasks
            and (dag.target or any(task.dependencies or task.depends for task in dag.tasks))
        ):
            yield from _unknown_tasks_of(dag, f"{body.pointer}/dag", body.template.name or "", budget)


class _ReferenceWalk:
    """Looks up the templates that an object names."""

    def __init__(self, owner: TemplateOwner, find: FindOwner, namespace: str) -> None:
        self._owner, self._find, self._namespace = owner, find, namespace
        ref = owner.spec.workflow_template_ref
        # Argo looks up a run's names in the template that a Workflow refers to.
        self._run: _Found = owner if ref is None else self._object(ref)

    def of_run(self) -> Iterator[UnknownReference]:
        """Yield what the fields of the run refer to: the first template, the last one, hooks."""
        owner, spec, at = self._owner, self._owner.spec, self._owner.at
        if self._run is None and spec.workflow_template_ref is not None:
            yield self._no_object(spec.workflow_template_ref, f"{at}/workflowTemplateRef")
        entries = [Reference(Via.ENTRYPOINT, "entrypoint", f"{at}/entrypoint", spec.entrypoint)]
        entries += of_exit(spec.on_exit, f"{at}/onExit")
        entries += of_hooks(spec.hooks, owner.at)
        for each in entries:
            yield from self._unknown(each, self._run)

    def of_body(self, body: TemplateBody, budget: Budget) -> Iterator[UnknownReference]:
        """Yield what the calls of a template body refer to."""
        names = self._owner.numbers
        # Argo refuses a Workflow that has templates beside the ones that it refers to.
        written = self._owner if self._owner.spec.workflow_template_ref is None else _OPEN
        if not _has_other_calls(body.template, names, budget):
            return
        via = Via.STEP if body.template.dag is None else Via.TASK
        for number, (call, where) in enumerate(calls(body.template, body.pointer), 1):
            if not number % STEPS:
                budget.check(Part.GRAPH)
            for each in of_call(call, via, where, certain=True):
                yield from self._unknown(each, written)

    def _unknown(self, reference: Reference, named: _Found) -> Iterator[UnknownReference]:
        """Yield a reference that leads nowhere; `named` has the templates that it names."""
        name, ref = reference.template, reference.ref
        if reference.inline is not None:
            return
        if ref is not None:
            name, named = ref.template, self._object(ref)
            if named is None:
                yield self._no_object(ref, f"{reference.pointer}/templateRef")
        if not name or parameterised(name) or not isinstance(named, TemplateOwner) or name in named.numbers:
            return
        yield UnknownReference(
            pointer=_where_named(reference),
            what=f'template "{name}" of {named}',
            missing=Missing.NAME if named is self._owner else Missing.TEMPLATE,
            name=name,
            known=tuple(named.numbers),
        )

    def _no_object(self, ref: TemplateRef, pointer: str) -> UnknownReference:
        key = key_of(ref, self._namespace)
        return UnknownReference(pointer, described(ref), Missing.OBJECT, key=key)

    def _object(self, ref: TemplateRef) -> _Found:
        """Return the object that a reference names, None where there is none."""
        if not ref.name or parameterised(ref.name) or known_key(ref, self._namespace) is None:
            return _OPEN
        owner = self._owner
        if owner.is_template and key_of(ref, self._namespace) == owner.key(self._namespace):
            return owner  # As it is about to be stored, not as it was before.
        return self._find(ref)


def _has_other_calls(template: Template, names: Mapping[str, int], budget: Budget) -> bool:
    """Return whether a call is not just of one template that exists, as nearly all are."""
    tasks: Sequence[Call] = (template.dag.tasks if template.dag is not None else None) or ()
    for group in (tasks, *(template.steps or ())):
        for call in paced(group, budget, Part.GRAPH):
            if call.template not in names or call.template_ref is not None:
                return True
            if call.hooks is not None or call.on_exit or call.inline is not None:
                return True
    return False


def _where_named(reference: Reference) -> str:
    """Return the pointer to the name that a reference gives."""
    if reference.ref is not None:
        return f"{reference.pointer}/templateRef/template"
    if reference.via is Via.ENTRYPOINT or reference.name == "onExit":
        return reference.pointer  # These fields are the name itself.
    return f"{reference.pointer}/template"


def _unknown_tasks_of(dag: Dag, pointer: str, template: str, budget: Budget) -> Iterator[UnknownReference]:
    tasks = dag.tasks or ()
    names: Mapping[str, None] = dict.fromkeys([task.name or "" for task in tasks])
    known = tuple(names)
    for index, task in enumerate(tasks):
        if not index % STEPS:
            budget.check(Part.GRAPH)
        for number, name in enumerate(task.dependencies or ()):
            if name not in names and not parameterised(name):
                where = f"{pointer}/tasks/{index}/dependencies/{number}"
                yield _unknown_task(where, name, template, known)
        if task.depends and not parameterised(task.depends):
            for name in dict.fromkeys(tasks_named_in(task.depends)):
                if name not in names:
                    yield _unknown_task(f"{pointer}/tasks/{index}/depends", name, template, known)
    for name in (dag.target or "").split():
        if name not in names and not parameterised(dag.target):
            yield _unknown_task(f"{pointer}/target", name, template, known)


def _unknown_containers_of(template: Template, pointer: str, budget: Budget) -> Iterator[UnknownReference]:
    containers = (template.container_set.containers if template.container_set is not None else None) or ()
    if not any(each.dependencies for each in containers):
        return
    known = tuple(dict.fromkeys(each.name or "" for each in containers))
    names = frozenset(known)
    of = f" of {template.name}" if template.name else ""
    for index, each in enumerate(paced(containers, budget, Part.GRAPH)):
        for number, name in enumerate(each.dependencies or ()):
            if name not in names and not parameterised(name):
                where = f"{pointer}/containerSet/containers/{index}/dependencies/{number}"
                yield UnknownReference(where, f'container "{name}"{of}', Missing.NAME, name, known)


def _unknown_task(pointer: str, name: str, template: str, known: Sequence[str]) -> UnknownReference:
    of = f" of {template}" if template else ""
    return UnknownReference(pointer, f'task "{name}"{of}', Missing.NAME, name, known)
