"""Which templates a Workflow runs, one after another.

Every call of steps and DAGs happens once, in the order in which it is written: there are no conditions, no
loops and nothing runs side by side. A template that calls itself, directly or not, is not entered again.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from typing import TypeAlias

import msgspec

from policy.cluster.protocol import CLUSTER_WORKFLOW_TEMPLATES, WORKFLOW_TEMPLATES, Resource
from policy.core.patches import JsonObject
from policy.core.prepared import prepare
from tests.e2e.argo.shapes import Anything, Call, Spec, Template, TemplateRef, Workflow, as_json

Fetch: TypeAlias = Callable[[Resource, str], JsonObject | None]
"""Returns a template object by kind and name, or None."""


class PlanError(Exception):
    """A Workflow that cannot be run; the text goes into its status."""


class Moment(Enum):
    """What a step of the plan is: work to be done, or the begin or end of steps or a DAG."""

    WORK = auto()
    ENTER = auto()
    LEAVE = auto()


class Step(msgspec.Struct, frozen=True):
    """One step: the name of its node, what is shown for it, and the template."""

    moment: Moment
    node: str
    shown: str
    template: Template

    @property
    def node_type(self) -> str:
        """What Argo calls the node."""
        if self.template.steps is not None:
            return "Steps"
        return "DAG" if self.template.dag is not None else "Pod"

    @property
    def makes_pod(self) -> bool:
        """Whether a Pod does it; the rest (suspend, http, plugin) is taken as done at once."""
        bodies = (
            self.template.container,
            self.template.script,
            self.template.container_set,
            self.template.resource,
            self.template.data,
        )
        return any(body is not None for body in bodies)


class TemplateObject(msgspec.Struct, frozen=True):
    """A WorkflowTemplate or ClusterWorkflowTemplate; the spec stays raw where it is merged."""

    spec: Anything


class Scope(msgspec.Struct, frozen=True):
    """The templates that a name refers to where a call stands, and what tells this scope from others."""

    origin: str
    templates: Mapping[str, Template]


def resolve(spec: JsonObject, fetch: Fetch) -> JsonObject:
    """Return a spec with the WorkflowTemplate under it that it refers to, field over field.

    Raises:
        PlanError: there is no such template.
    """
    ref = msgspec.convert(spec, Spec).workflow_template_ref
    if ref is None:
        return spec
    own = {name: value for name, value in spec.items() if name != "workflowTemplateRef"}
    return {**as_json(_fetched(ref, fetch).spec), **own}


def plan(workflow: Workflow, spec: Spec, fetch: Fetch) -> tuple[Step, ...]:
    """Return the steps of a Workflow with this resolved spec.

    Raises:
        PlanError: a template that is named is nowhere.
    """
    scope = _scope("", spec)
    entry = scope.templates.get(spec.entrypoint or "")
    if entry is None:
        raise PlanError(f"invalid spec: template name '{spec.entrypoint or ''}' undefined")
    name = workflow.metadata.name
    return tuple(_walk(Call(name=name), name, (entry, scope), fetch, frozenset()))


def _walk(
    call: Call, node: str, target: tuple[Template, Scope], fetch: Fetch, above: frozenset[tuple[str, str]]
) -> Iterator[Step]:
    """Yield the steps of one call and of those below it; `above` are the templates that are under way."""
    template, scope = target
    calls = _calls(template)
    if calls is None:
        yield Step(Moment.WORK, node, call.name, template)
        return
    yield Step(Moment.ENTER, node, call.name, template)
    here = above | {(scope.origin, template.name)}
    for place, each in calls:
        below, its_scope = _called(each, scope, fetch)
        if (its_scope.origin, below.name) not in here or each.inline is not None:
            yield from _walk(each, f"{node}{place}.{each.name}", (below, its_scope), fetch, here)
    yield Step(Moment.LEAVE, node, call.name, template)


def _calls(template: Template) -> list[tuple[str, Call]] | None:
    """Return the calls of steps or a DAG, each with its place in the name of its node; None for others."""
    if template.dag is not None:
        return [("", task) for task in template.dag.tasks or ()]
    if template.steps is not None:
        return [(f"[{number}]", step) for number, group in enumerate(template.steps) for step in group]
    return None


def _called(call: Call, scope: Scope, fetch: Fetch) -> tuple[Template, Scope]:
    """Return the template of a call, and the scope in which its own calls are resolved."""
    if call.inline is not None:
        return call.inline, scope
    name = call.template or ""
    if call.template_ref is not None:
        ref = call.template_ref
        spec = msgspec.convert(_fetched(ref, fetch).spec, Spec)
        scope, name = _scope(f"{bool(ref.cluster_scope)}/{ref.name}", spec), ref.template
    found = scope.templates.get(name)
    if found is None:
        raise PlanError(f"invalid spec: template name '{name}' undefined")
    return found, scope


def _scope(origin: str, spec: Spec) -> Scope:
    return Scope(origin, {template.name: template for template in spec.templates or ()})


def _fetched(ref: TemplateRef, fetch: Fetch) -> TemplateObject:
    resource = CLUSTER_WORKFLOW_TEMPLATES if ref.cluster_scope else WORKFLOW_TEMPLATES
    obj = fetch(resource, ref.name)
    if obj is None:
        raise PlanError(f'{resource.plural}.{resource.group} "{ref.name}" not found')
    return msgspec.convert(obj, TemplateObject)


prepare(TemplateObject, Spec)
