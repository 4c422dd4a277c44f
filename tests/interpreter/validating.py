"""Argo's validation in small: whether it takes an object, by names, arguments, references and dependencies.

Written from what Argo refuses, and not from our code, for it is what our code is tested with. What injection
cannot break is left out: images, metrics, volumes, schedules.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec

from tests.interpreter.running import Json, TemplateOwner
from tests.interpreter.validated_parts import (
    NAME,
    NOT_LEAVES,
    VALUE_NAME,
    Refused,
    add_items,
    ancestors,
    argument_values,
    check_arguments,
    check_hooks,
    check_names,
    check_supplied,
    check_targets,
    check_task,
    checked_inputs,
    has_exit_hook,
    in_order_of_need,
    inline_inputs,
    inputs_of,
    is_many,
    outputs_of,
    owner_of,
)
from tests.interpreter.values import text

TYPES: Final = (
    "container",
    "containerSet",
    "steps",
    "script",
    "resource",
    "dag",
    "suspend",
    "data",
    "http",
    "plugin",
)
PODS: Final = {"container", "containerSet", "script", "resource", "data"}
CHECKED: Final = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
"""What a tag may begin with that has to be known; others are left alone."""
AT_RUN_TIME: Final = (
    "outputs.",
    "workflow.creationTimestamp",
    "workflow.scheduledTime",
    "workflow.duration",
    "tasks.name",
    "steps.name",
    "node.name",
)
KNOWN: Final = (
    *(f"workflow.{each}" for each in ("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid")),
    *(f"workflow.{each}{json_}" for each in ("annotations", "labels") for json_ in ("", ".json")),
    "workflow.priority",
    "workflow.status",
)
RETRIES: Final = ("retries", *(f"lastRetry.{each}" for each in ("exitCode", "status", "duration", "message")))
OF_A_NODE: Final = ("id", "startedAt", "finishedAt", "hostNodeName")
_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PARAMETER: Final = re.compile(r"\{\{[-a-zA-Z0-9]+(\.[-a-zA-Z0-9_]+)*\}\}")
_PLACEHOLDER: Final = re.compile(r"__placeholder-\d+")
_VARIABLE: Final = re.compile(r"(?:inputs|workflow|tasks|steps)(?:\.[-\w]+)+|retries|lastRetry")


class _Results(msgspec.Struct, frozen=True):
    """Where what a call gives stands: `tasks` of a DAG or `steps`."""

    prefix: str

    def of(self, name: str, field: str) -> str:
        return f"{self.prefix}.{name}.{field}"


def refusal(obj: Json, stored: Mapping[tuple[str, str], Json]) -> str:
    """Return why Argo refuses an object, "" where it takes it; `stored` are the templates of the cluster."""
    try:
        Validator(obj, stored).validate()
    except Refused as refused:
        return str(refused)
    except KeyError as missing:
        return f"{missing} is required"
    return ""


class Validator:
    """Validates one object; each template is looked at once, as Argo does."""

    def __init__(self, obj: Json, stored: Mapping[tuple[str, str], Json]) -> None:
        self._is_template = obj["kind"] in {"WorkflowTemplate", "ClusterWorkflowTemplate"}
        self._spec: Json = obj["spec"].get("workflowSpec", obj["spec"])
        self._stored = dict(stored)
        if self._is_template:
            self._stored[obj["kind"], obj["metadata"].get("name", "")] = self._spec
        self._numbers = count()
        self._seen: set[str] = set()
        self._globals: Json = {name: self._placeholder() for name in KNOWN}
        metadata = obj.get("metadata") or {}
        for field in ("labels", "annotations"):
            self._globals |= dict.fromkeys(
                (f"workflow.{field}.{key}" for key in metadata.get(field) or ()), "x"
            )
        self._owner = owner_of("", self._spec)

    def validate(self) -> None:
        """Raise `Refused` where Argo refuses the object."""
        spec, owner = self._spec, self._owner
        ref = spec.get("workflowTemplateRef")
        if ref is not None:
            owner, spec = self._referred(ref), {**self._referred_spec(ref), **spec}
        check_names(spec.get("templates") or (), "templates", NAME)
        arguments = spec.get("arguments") or {}
        check_arguments(arguments, "arguments", empty_allowed=True)
        for each in arguments.get("parameters") or ():
            value = each.get("value")
            self._globals[f"workflow.parameters.{each['name']}"] = (
                self._placeholder() if value is None else text(value)
            )
        if arguments.get("parameters"):
            self._globals |= dict.fromkeys(("workflow.parameters", "workflow.parameters.json"), "[]")
        if spec.get("entrypoint"):
            self._called({"template": spec["entrypoint"]}, owner, None if self._is_template else arguments)
        elif not self._is_template:
            raise Refused("entrypoint is required")
        if spec.get("onExit"):
            self._globals["workflow.failures"] = "[]"
            if any(
                _PARAMETER.search(each.get("globalName") or "")
                for template in owner.templates.values()
                for each in outputs_of(template, "artifacts")
            ):
                self._globals["workflow.outputs.artifacts.*"] = ""
            self._called({"template": spec["onExit"]}, owner, arguments)
        check_hooks(spec)
        for name in owner.templates:
            self._called({"template": name}, owner, None)

    def _referred_spec(self, ref: Json) -> Json:
        kind = "ClusterWorkflowTemplate" if ref.get("clusterScope") else "WorkflowTemplate"
        found = self._stored.get((kind, ref["name"]))
        if found is None:
            raise Refused(f"{kind} {ref['name']} not found")
        return found

    def _referred(self, ref: Json) -> TemplateOwner:
        kind = "Cluster" if ref.get("clusterScope") else ""
        return owner_of(f"{kind}/{ref['name']}/", self._referred_spec(ref))

    def _placeholder(self) -> str:
        return f"__placeholder-{next(self._numbers)}"

    def _called(self, call: Json, owner: TemplateOwner, arguments: Json | None) -> Json | None:
        """Validate what a call runs, and return it; without arguments, any are taken to be given."""
        ref, name = call.get("templateRef"), call.get("template") or ""
        if call.get("inline") is not None:
            template: Json | None = call["inline"]
        elif ref is not None:
            if name:
                raise Refused("template and templateRef")
            if "{{" in json.dumps(ref):
                return None  # Known at run time.
            owner = self._referred(ref)
            template = owner.templates.get(ref.get("template") or "")
            if template is None and "__placeholder" in ref.get("template", ""):
                return None
        else:
            template = owner.templates.get(name)
        if template is None:
            raise Refused(f"template {name or ref} undefined")
        self._template(template, owner, arguments)
        return template

    def _template(self, template: Json, owner: TemplateOwner, arguments: Json | None) -> None:
        name = template.get("name") or ""
        types = [each for each in TYPES if template.get(each) is not None]
        if len(types) != 1:
            raise Refused(f"{name}: {len(types)} types")
        [type_] = types
        scope = checked_inputs(template, type_)
        local = [*(("pod.name",) if type_ in PODS else ()), *(RETRIES if "retryStrategy" in template else ())]
        scope.update(local)
        if type_ not in NOT_LEAVES:
            scope |= {
                f"outputs.artifacts.{each['name']}.path"
                for each in outputs_of(template, "artifacts")
                if each.get("path")
            }
            scope |= {
                f"outputs.parameters.{each['name']}.path"
                for each in outputs_of(template, "parameters")
                if (each.get("valueFrom") or {}).get("path")
            }
        filled = self._filled(template, arguments, local)
        for field in ("timeout", "pendingTimeout"):
            if filled.get(field) and type_ in NOT_LEAVES:
                raise Refused(f"{name}: {field} of {type_}")
        key = owner.key + name
        if key in self._seen:
            return
        self._seen.add(key)
        if type_ in {"steps", "dag"} and "activeDeadlineSeconds" in filled:
            raise Refused(f"{name}: activeDeadlineSeconds")
        if type_ == "steps":
            self._steps(filled, owner, scope)
        elif type_ == "dag":
            self._dag(filled, owner, scope)
        else:
            self._resolved(filled, scope, name)
            if type_ != "suspend" and "parallelism" in filled:
                raise Refused(f"{name}: parallelism")
        self._given(filled, type_, scope)

    def _filled(self, template: Json, arguments: Json | None, local: Sequence[str]) -> Json:
        """Return a template with the tags replaced whose values are known, as Argo does before it looks."""
        values = {**self._globals, **{each: self._placeholder() for each in local}}
        values |= {"inputs.parameters": "[]", **self._input_values(template, arguments)}
        check_supplied(template, arguments)
        for side in ("inputs", "outputs"):
            for each in (template.get(side) or {}).get("artifacts") or ():
                if each.get("path"):
                    values[f"{side}.artifacts.{each['name']}.path"] = each["path"]

        def value_of(found: re.Match[str]) -> str:
            inner = found[1]
            if inner.startswith("="):
                known = all(each in values for each in _VARIABLE.findall(inner))
                return self._placeholder() if known else found[0]
            value = values.get(inner.strip())
            return found[0] if value is None else json.dumps(value)[1:-1]

        filled: Json = json.loads(_TAG.sub(value_of, json.dumps(template)))
        return filled

    def _input_values(self, template: Json, arguments: Json | None) -> Json:
        found: Json = {}
        given = {each["name"]: each for each in (arguments or {}).get("parameters") or ()}
        for each in inputs_of(template, "parameters"):
            argument = given.get(each["name"], {})
            value = argument.get("value", each.get("value", each.get("default")))
            if arguments is None or (value is None and "valueFrom" in {**each, **argument}):
                value = self._placeholder()
            if value is None:
                raise Refused(f"{template.get('name')}: no value for input {each['name']}")
            found[f"inputs.parameters.{each['name']}"] = text(value)
        return found

    def _steps(self, template: Json, owner: TemplateOwner, scope: set[str]) -> None:
        results, seen = _Results("steps"), set[str]()
        for step in (step for group in template["steps"] for step in group):
            name = step.get("name") or ""
            where = f"{template.get('name')}.{name}"
            if name in seen or not NAME.fullmatch(_PLACEHOLDER.sub("x", name)):
                raise Refused(f"{where}: name")
            seen.add(name)
            scope.add(results.of(name, "status"))
            add_items(step, scope)
            check_arguments(step.get("arguments") or {}, where)
            called = self._called(step, owner, None)
            if has_exit_hook(step):
                self._outputs_of(called, results, name, scope)
            check_hooks(step)
            self._resolved(step, scope | inline_inputs(step), where)
            self._outputs_of(called, results, name, scope, many="withItems" in step or "withParam" in step)
            self._called(step, owner, step.get("arguments") or {})

    def _dag(self, template: Json, owner: TemplateOwner, scope: set[str]) -> None:
        results = _Results("tasks")
        written = template["dag"].get("tasks") or ()
        check_names(written, f"{template.get('name')}.tasks", NAME)
        if not written:
            raise Refused(f"{template.get('name')}: no task")
        named = {task["name"]: task for task in written}
        using_depends = any(task.get("depends") for task in written)
        for task in written:
            check_task(task, named, using_depends=using_depends)
        check_targets(template["dag"].get("target") or "", named)
        tasks = [named[name] for name in in_order_of_need(named)]
        called: dict[str, Json | None] = {}
        for task in tasks:
            called[task["name"]] = found = self._called(task, owner, None)
            self._outputs_of(found, results, task["name"], scope, many=is_many(task))
        self._resolved(template["dag"].get("target", ""), scope, "target")
        for task in tasks:
            name = task["name"]
            where = f"{template.get('name')}.{name}"
            if task.get("hooks") is not None:
                scope.add(results.of(name, "status"))
            self._outputs_of(called[name], results, name, scope)
            before = ancestors(name, named)
            inside = scope | inline_inputs(task)
            for each in before:
                inside.add(results.of(each, "status"))
                self._outputs_of(called[each], results, each, inside, many=is_many(named[each]))
            add_items(task, inside)
            self._resolved(task, inside, where)
            check_arguments(task.get("arguments") or {}, where)
            for value in argument_values(task):
                if value.startswith("{{tasks.") and value.split(".")[1] not in before:
                    raise Refused(f"{where}: missing dependency {value}")
            self._called(task, owner, task.get("arguments") or {})

    def _outputs_of(
        self,
        template: Json | None,
        results: _Results,
        name: str,
        scope: set[str],
        *,
        many: bool = False,
    ) -> None:
        """Add what others may use of a call, and the names under which the whole Workflow knows it."""
        scope |= {results.of(name, each) for each in OF_A_NODE}
        if template is None:
            return
        if template.get("daemon"):
            scope.add(results.of(name, "ip"))
        containers = (template.get("containerSet") or {}).get("containers") or ()
        has_result = any(template.get(each) is not None for each in ("container", "script", "data", "http"))
        if (
            has_result
            or "plugin" in template
            or any(each.get("name") == "main" for each in containers)
            or (many and "containerSet" in template)
        ):
            scope |= {results.of(name, "outputs.result"), results.of(name, "exitCode")}
        for kind in ("parameters", "artifacts"):
            for each in outputs_of(template, kind):
                scope.add(results.of(name, f"outputs.{kind}.{each['name']}"))
                known = each.get("globalName")
                if known and _PARAMETER.search(known):
                    scope.add(f"workflow.outputs.{kind}.*")
                elif known:
                    self._globals[f"workflow.outputs.{kind}.{known}"] = self._placeholder()
        if many:
            scope.add(results.of(name, "outputs.parameters"))

    def _given(self, template: Json, type_: str, scope: set[str]) -> None:
        """Check what a template gives: its names, and where the values come from."""
        name = template.get("name") or ""
        for kind in ("parameters", "artifacts"):
            check_names(outputs_of(template, kind), f"{name}.outputs.{kind}", VALUE_NAME)
        self._resolved(template.get("outputs") or {}, scope, f"{name}.outputs")
        for each in (*outputs_of(template, "parameters"), *outputs_of(template, "artifacts")):
            known = each.get("globalName")
            if known and not _PARAMETER.search(known) and not VALUE_NAME.fullmatch(known):
                raise Refused(f"{name}: globalName {known}")
        for each in outputs_of(template, "artifacts"):
            if bool(each.get("path")) != (type_ not in NOT_LEAVES):
                raise Refused(f"{name}: path of {each['name']}")
        for each in outputs_of(template, "parameters"):
            source = each.get("valueFrom")
            if (source is None) == (each.get("value") is None):
                raise Refused(f"{name}: value or valueFrom of {each['name']}")
            ways = {"path", "jqFilter", "jsonPath", "parameter", "expression", "supplied"}
            if source is not None and len(ways & source.keys()) != 1:
                raise Refused(f"{name}: valueFrom of {each['name']}")
            if (
                source is not None
                and type_ in {"dag", "steps"}
                and not {"parameter", "expression"} & source.keys()
            ):
                raise Refused(f"{name}: parameter or expression of {each['name']}")

    def _resolved(self, value: Any, scope: set[str], where: str) -> None:
        """Check that every tag in a JSON value is known."""
        written = json.dumps(value)
        if written.count("{{") > len(_TAG.findall(written)) and "}}" not in written.rpartition("{{")[2]:
            raise Refused(f"{where}: a tag without an end")
        for inner in _TAG.findall(written):
            tag = inner.strip()
            if inner.startswith("=") or not tag.startswith(CHECKED) or tag in scope or tag in self._globals:
                continue
            if tag.startswith(AT_RUN_TIME) or (self._is_template and tag.startswith("workflow.parameters")):
                continue
            any_of = [each[:-1] for each in (*scope, *self._globals) if each.endswith(".*")]
            if tag.startswith(tuple(any_of)) or (tag == "item" and "item." in any_of):
                continue
            raise Refused(f"{where}: failed to resolve {{{{{tag}}}}}")
