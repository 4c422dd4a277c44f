"""What a Workflow runs: a tree of steps, with parameters filled in and conditions told.

Tasks of a DAG and steps of one group stand side by side. A template that calls itself, directly or not, is
not entered again. Of loops only a literal `withItems` is gone through; what depends on results of other tasks
stays as it is written.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from policy.cluster.protocol import CLUSTER_WORKFLOW_TEMPLATES, WORKFLOW_TEMPLATES, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare
from tests.e2e.argo.expressions import UnknownError, evaluated, filled, holds
from tests.e2e.argo.shapes import Anything, Call, Spec, Template, TemplateRef, Workflow, as_json

Fetch: TypeAlias = Callable[[Resource, str], JsonObject | None]
"""Returns a template object by kind and name, or None."""
Values: TypeAlias = Mapping[str, str]
_NAMED: Final = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_]*(?:\.[A-Za-z]+)?")
_OPEN: Final = "{{"


class PlanError(Exception):
    """A Workflow that cannot be run; the text goes into its status."""


class Step(msgspec.Struct, frozen=True):
    """One step: the name of its node, what is shown for it, and the template."""

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


class Branch(msgspec.Struct, frozen=True):
    """A step and what it calls, group after group; None for what does the work itself.

    `runs` says whether its `when` holds. `after` are the nodes that it waits for, and `depends` the condition
    on what became of them, empty for all of them.
    """

    step: Step
    groups: tuple[tuple["Branch", ...], ...] | None = None
    runs: bool = True
    after: Mapping[str, str] = {}
    depends: str = ""

    def wanted(self, outcomes: Mapping[str, str]) -> bool:
        """Tell whether it runs after what became of the tasks that it waits for, by their names."""

        def told(name: re.Match[str]) -> str:
            task, _, state = name[0].partition(".")
            outcome = outcomes.get(task, "")
            good = outcome == state if state else outcome in ("Succeeded", "Skipped")
            return "true" if good else "false"

        condition = self.depends or " && ".join(self.after) or "true"
        if condition == "true":
            return True
        try:
            return evaluated(_NAMED.sub(told, condition), {}) is True
        except UnknownError:
            return True


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


def known_of(workflow: Workflow, spec: Spec) -> Values:
    """Return what every template of a Workflow knows."""
    metadata = workflow.metadata
    return {
        "workflow.name": metadata.name,
        "workflow.namespace": metadata.namespace,
        "workflow.uid": metadata.uid,
        **_parameters(spec.arguments, "workflow.parameters", {}),
    }


def plan(workflow: Workflow, spec: Spec, fetch: Fetch) -> Branch:
    """Return the tree of a Workflow with this resolved spec.

    Raises:
        PlanError: a template that is named is nowhere.
    """
    scope = _scope("", spec)
    entry = scope.templates.get(spec.entrypoint or "")
    if entry is None:
        raise PlanError(f"invalid spec: template name '{spec.entrypoint or ''}' undefined")
    name = workflow.metadata.name
    call = Call(name=name, arguments=spec.arguments)
    return Planner(known_of(workflow, spec), fetch).branch(call, name, (entry, scope), {}, frozenset())


class Inside(msgspec.Struct, frozen=True):
    """Where calls stand: what their names refer to, what is known, what is under way, the nodes of a DAG."""

    scope: Scope
    values: Values
    above: frozenset[tuple[str, str]]
    names: Mapping[str, str]


class Planner:
    """Builds the tree of one Workflow."""

    def __init__(self, known: Values, fetch: Fetch) -> None:
        self._known = known
        self._fetch = fetch

    def branch(
        self,
        call: Call,
        node: str,
        target: tuple[Template, Scope],
        around: Values,
        above: frozenset[tuple[str, str]],
    ) -> Branch:
        """Return one call and what is below it; `above` are the templates that are under way."""
        template, scope = target
        given = _parameters(call.arguments, "inputs.parameters", {**self._known, **around})
        values = {**self._known, **_parameters(template.inputs, "inputs.parameters", self._known), **given}
        own = _with(template, values)
        step = Step(node, call.name, own)
        here = above | {(scope.origin, template.name)}
        if own.dag is not None:
            tasks = [(each, f"{node}.{each.name}") for each in own.dag.tasks or ()]
            inside = Inside(scope, values, here, {each.name: name for each, name in tasks})
            dag = tuple(part for each, name in tasks for part in self._parts(each, name, inside))
            return Branch(step, (dag,))
        if own.steps is not None:
            inside = Inside(scope, values, here, {})
            groups = tuple(
                tuple(
                    part
                    for each in group
                    for part in self._parts(each, f"{node}[{index}].{each.name}", inside)
                )
                for index, group in enumerate(own.steps)
            )
            return Branch(step, groups)
        return Branch(step)

    def _parts(self, call: Call, node: str, inside: Inside) -> Iterator[Branch]:
        """Yield the branches of a call: one, or one for each literal item."""
        below, its_scope = _called(call, inside.scope, self._fetch)
        if (its_scope.origin, below.name) in inside.above and call.inline is None:
            return
        waits_for = _waits_for(call, inside.names)
        items = call.with_items if isinstance(call.with_items, list) else [None]
        for index, item in enumerate(items):
            known = inside.values if item is None else {**inside.values, "item": _text(item)}
            name = node if item is None else f"{node}({index}:{known['item']})"
            made = self.branch(call, name, (below, its_scope), known, inside.above)
            runs = holds(call.when, known) if call.when else True
            yield msgspec.structs.replace(made, runs=runs, after=waits_for, depends=call.depends or "")


def _waits_for(call: Call, names: Mapping[str, str]) -> Mapping[str, str]:
    named = [each.partition(".")[0] for each in _NAMED.findall(call.depends or "")]
    named += call.dependencies or ()
    return {name: names[name] for name in named if name in names}


def _parameters(block: Anything | None, prefix: str, values: Values) -> dict[str, str]:
    """Return the values of a block of arguments or inputs, filled in."""
    listed = (block or {}).get("parameters")
    found: dict[str, str] = {}
    for each in listed if isinstance(listed, list) else ():
        value = each.get("value", each.get("default")) if isinstance(each, dict) else None
        if value is not None:
            found[f"{prefix}.{each['name']}"] = filled(_text(value), values)
    return found


def _with(template: Template, values: Values) -> Template:
    """Return a template with its tags filled in; what its calls say stays, they have values of their own."""
    raw = as_json(template)
    if _OPEN not in _json(raw):
        return template
    return msgspec.convert(
        {
            name: value if name in ("inputs", "steps", "dag") else _filled(value, values)
            for name, value in raw.items()
        },
        Template,
    )


def _filled(value: JsonValue, values: Values) -> JsonValue:
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


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
