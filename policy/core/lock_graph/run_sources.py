"""What a run of an object starts: the object, the one that its templates come from, and what runs first.

A Workflow with a workflowTemplateRef runs the spec that Argo merges from both (argo-workflows G): each field
is the Workflow's own where it has one, else the template's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from policy.core.lock_graph.references import Reference, Via, of_exit, of_hooks, without_exit
from policy.core.lock_model.block_locks import merged
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.template_keys import TEMPLATE_KINDS, ObjectKind, TemplateKey
from policy.core.objects.workflow import (
    Parameter,
    Parameters,
    Synchronization,
    Template,
    TemplateRef,
    WorkflowSpec,
)


class TemplateOwner(msgspec.Struct, frozen=True, eq=False):
    """An object whose templates call each other by name; `at` points to its WorkflowSpec."""

    kind: ObjectKind
    name: str
    spec: WorkflowSpec
    numbers: Mapping[str, int]
    at: str = "/spec"

    @property
    def locks_runs(self) -> bool:
        """Whether its whole runs, or all of their templates, take locks."""
        return self.spec.synchronization is not None or self.spec.default_locks is not None

    @property
    def is_template(self) -> bool:
        """Whether it is a template object, of which others may call any template."""
        return self.kind in TEMPLATE_KINDS

    def key(self, namespace: str) -> TemplateKey:
        """Return the key of a template object of a namespace, or of the cluster."""
        return TemplateKey("" if self.kind is ObjectKind.CLUSTER_WORKFLOW_TEMPLATE else namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}" if self.name else self.kind.value


FindOwner: TypeAlias = Callable[[TemplateRef], TemplateOwner | None]
"""Returns the object that a reference names; None where there is none."""


def template_owner(kind: ObjectKind, name: str, spec: WorkflowSpec, at: str = "/spec") -> TemplateOwner:
    """Return an object with its templates numbered by name; of two of one name the first counts."""
    templates = spec.templates or ()
    if isinstance(templates, SharedTemplates):
        return TemplateOwner(kind, name, spec, templates.once(_numbers, lambda: _numbers(templates)), at)
    return TemplateOwner(kind, name, spec, _numbers(templates), at)


def _numbers(templates: Iterable[Template]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for number, template in enumerate(templates):
        numbers.setdefault(template.name or "", number)
    return numbers


class RunSources(msgspec.Struct, frozen=True):
    """What is started: the object under review, then the one that its templates come from, if another.

    With `every`, each template of the object by itself, as a templateRef calls it: without what the object
    has for whole runs.
    """

    sources: tuple[TemplateOwner, ...]
    every: bool = False

    @property
    def owner(self) -> TemplateOwner:
        """The object under review."""
        return self.sources[0]

    @property
    def templates(self) -> TemplateOwner:
        """The object that names in the run's own fields are looked up in."""
        return self.sources[-1]

    def template_defaults(self) -> tuple[Synchronization | None, str]:
        """Return the locks that every template of the run gets by default, and where they are written."""
        return self._merged("templateDefaults/synchronization", lambda spec: spec.default_locks)

    def synchronization(self) -> tuple[Synchronization | None, str]:
        """Return the locks of the whole run, and where they are written."""
        return self._merged("synchronization", lambda spec: spec.synchronization)

    def _merged(
        self, field: str, block_of: Callable[[WorkflowSpec], Synchronization | None]
    ) -> tuple[Synchronization | None, str]:
        block, at = None, ""
        for owner in () if self.every else self.sources:
            own = block_of(owner.spec)
            if own is not None:
                block, at = merged(block, own), at or f"{owner.at}/{field}"
        return block, at

    def arguments(self) -> Parameters:
        """Return the arguments of the run, which its first template receives by name."""
        found: dict[str | None, Parameter] = {}
        for owner in self.sources:
            for each in (owner.spec.arguments.parameters if owner.spec.arguments is not None else None) or ():
                found.setdefault(each.name, each)
        return Parameters(tuple(found.values()))

    def entries(self) -> Iterator[Reference]:
        """Yield what is started first, at the end, and by hooks."""
        if self.every:
            for number, template in enumerate(self.owner.spec.templates or ()):
                where, name = f"{self.owner.at}/templates/{number}", template.name or ""
                yield Reference(Via.ROOT, name, where, name)
            return
        arguments = self.arguments()
        first = next((owner for owner in self.sources if owner.spec.entrypoint), None)
        if first is not None:
            at, entrypoint = f"{first.at}/entrypoint", first.spec.entrypoint
            yield Reference(Via.ENTRYPOINT, "entrypoint", at, entrypoint, arguments=arguments)
        last = next((owner for owner in self.sources if owner.spec.on_exit), None)
        if last is not None:
            yield from of_exit(last.spec.on_exit, f"{last.at}/onExit", arguments)
        seen: set[str] = set()
        for owner in self.sources:
            hooks = {event: hook for event, hook in (owner.spec.hooks or {}).items() if event not in seen}
            seen.update(hooks)
            yield from of_hooks(hooks if last is None else without_exit(hooks), owner.at)


def run_sources(owner: TemplateOwner, find: FindOwner, *, whole: bool = False) -> RunSources:
    """Return what an object runs; a workflowTemplateRef to what does not exist adds nothing.

    Of a template object that is each template, or with `whole` what a workflowTemplateRef runs.
    """
    if owner.is_template:
        return RunSources((owner,), every=not whole)
    ref = owner.spec.workflow_template_ref
    found = find(ref) if ref is not None else None
    return RunSources((owner,) if found is None else (owner, found))
