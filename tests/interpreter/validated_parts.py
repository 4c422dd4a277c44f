"""What Argo asks of the parts of a template, each by itself: names, inputs, arguments, items, tasks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.interpreter.running import Json, TemplateOwner, needs
from tests.interpreter.values import text

NOT_LEAVES: Final = {"steps", "dag", "suspend"}
RESULTS: Final = {
    "Succeeded",
    "Failed",
    "Errored",
    "Skipped",
    "Omitted",
    "Daemoned",
    "AnySucceeded",
    "AllFailed",
}
NAME: Final = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
"""A template, a task, a step."""
VALUE_NAME: Final = re.compile(r"[-a-zA-Z0-9_]+")
"""A parameter, an artifact."""
_RESULT: Final = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*\.([A-Z][a-zA-Z]+)")
_DEPENDED: Final = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9.]*")


class Refused(Exception):  # noqa: N818 - what Argo does
    """Argo does not take the object; the text is the reason."""


def owner_of(key: str, spec: Json) -> TemplateOwner:
    """Return the templates of a spec, under a key."""
    return TemplateOwner(key, {each.get("name", ""): each for each in spec.get("templates") or ()})


def outputs_of(template: Json, kind: str) -> Sequence[Json]:
    """Return the output parameters or artifacts of a template."""
    return (template.get("outputs") or {}).get(kind) or ()


def inputs_of(template: Json, kind: str) -> Sequence[Json]:
    """Return the input parameters or artifacts of a template."""
    return (template.get("inputs") or {}).get(kind) or ()


def check_names(things: Sequence[Json], where: str, form: re.Pattern[str]) -> None:
    """Check that each has a name of a form, and no two the same."""
    seen = set()
    for each in things:
        name = each.get("name") or ""
        if not form.fullmatch(name) or name in seen:
            raise Refused(f"{where}: name {name}")
        seen.add(name)


def checked_inputs(template: Json, type_: str) -> set[str]:
    """Check the inputs, and return what the template knows of them."""
    where = f"{template.get('name')}.inputs"
    for kind in ("parameters", "artifacts"):
        check_names(inputs_of(template, kind), f"{where}.{kind}", VALUE_NAME)
    scope = {f"inputs.parameters.{each['name']}" for each in inputs_of(template, "parameters")}
    if scope:
        scope.add("inputs.parameters")
    for each in inputs_of(template, "artifacts"):
        scope.add(f"inputs.artifacts.{each['name']}")
        if type_ not in NOT_LEAVES:
            if not each.get("path"):
                raise Refused(f"{where}: no path of {each['name']}")
            scope.add(f"inputs.artifacts.{each['name']}.path")
        elif each.get("path"):
            raise Refused(f"{where}: path of {each['name']}")
        if each.get("from"):
            raise Refused(f"{where}: from of {each['name']}")
    return scope


def check_arguments(arguments: Json, where: str, *, empty_allowed: bool = False) -> None:
    """Check that arguments have names and values."""
    for kind in ("parameters", "artifacts"):
        check_names(arguments.get(kind) or (), f"{where}.{kind}", VALUE_NAME)
    for each in arguments.get("parameters") or ():
        if not empty_allowed and each.get("value") is None and each.get("valueFrom") is None:
            raise Refused(f"{where}: value of {each['name']}")
    for each in arguments.get("artifacts") or ():
        if not each.keys() - {"name", "path", "mode", "optional", "archive", "fromExpression"}:
            raise Refused(f"{where}: from of {each['name']}")


def check_supplied(template: Json, arguments: Json | None) -> None:
    """Check that each input artifact is given, or says where it is; without arguments, all are given."""
    supplied = {each["name"] for each in (arguments or {}).get("artifacts") or ()}
    for each in inputs_of(template, "artifacts"):
        located = each.keys() - {"name", "path", "mode", "recurseMode", "optional", "archive"}
        if arguments is None or each.get("optional") or located or each["name"] in supplied:
            continue
        raise Refused(f"{template.get('name')}: input artifact {each['name']} was not supplied")


def argument_values(task: Json) -> Iterator[str]:
    """Yield what arguments of a task are taken from."""
    arguments = task.get("arguments") or {}
    for kind, field in (("parameters", "value"), ("artifacts", "from")):
        for each in arguments.get(kind) or ():
            yield text(each.get(field) or "")


def check_hooks(call: Json) -> None:
    """Check that each hook says when it runs."""
    for event, hook in (call.get("hooks") or {}).items():
        if event != "exit" and not hook.get("expression"):
            raise Refused(f"hook {event}: Expression required")


def has_exit_hook(call: Json) -> bool:
    """Tell whether something runs when a call ends."""
    return bool(call.get("onExit")) or "exit" in (call.get("hooks") or {})


def inline_inputs(call: Json) -> set[str]:
    """Return what the template that stands in a call knows of its inputs."""
    return {f"inputs.parameters.{each['name']}" for each in inputs_of(call.get("inline") or {}, "parameters")}


def is_many(call: Json) -> bool:
    """Tell whether a call runs once for each item."""
    return bool(call.get("withItems") or call.get("withParam"))


def add_items(call: Json, scope: set[str]) -> None:
    """Add what a loop knows of its items."""
    loops = [each for each in ("withItems", "withParam", "withSequence") if call.get(each)]
    if len(loops) > 1:
        raise Refused(f"{call['name']}: {loops}")
    if loops and loops != ["withItems"]:
        scope |= {"item", "item.*"} if loops == ["withParam"] else {"item"}
    for item in call.get("withItems") or () if loops == ["withItems"] else ():
        scope |= {f"item.{key}" for key in item} if isinstance(item, dict) else {"item"}


def check_task(task: Json, named: Mapping[str, Json], *, using_depends: bool) -> None:
    """Check what a task depends on."""
    if using_depends and (task.get("dependencies") or task.get("continueOn")):
        raise Refused(f"{task['name']}: depends with dependencies or continueOn")
    if (using_depends or task.get("dependencies")) and task["name"][0].isdigit():
        raise Refused(f"{task['name']}: begins with a digit")
    for result in _RESULT.findall(task.get("depends") or ""):
        if result not in RESULTS:
            raise Refused(f"{task['name']}: result {result}")
    for other in depended(task):
        if other not in named:
            raise Refused(f"{task['name']}: dependency {other} not defined")


def check_targets(target: str, named: Mapping[str, Json]) -> None:
    """Check that the tasks that a DAG is to reach are there, unless tags name them."""
    missing = [each for each in target.split() if each not in named and "{{" not in each]
    if missing:
        raise Refused(f"target {missing[0]}")


def depended(task: Json) -> list[str]:
    """Return the names that a task depends on, whether there are such tasks or not."""
    words = _DEPENDED.findall(task.get("depends") or "")
    return [word.split(".")[0] for word in words] or list(task.get("dependencies") or ())


def in_order_of_need(named: Mapping[str, Json]) -> list[str]:
    """Return the tasks, each after those that it depends on."""
    order: list[str] = []
    while len(order) < len(named):
        ready = [name for name in named if name not in order and set(needs(named[name], named)) <= {*order}]
        if not ready:
            raise Refused("a circle of tasks")
        order += ready
    return order


def ancestors(name: str, named: Mapping[str, Json]) -> list[str]:
    """Return all tasks that a task waits for, also by others."""
    found: dict[str, None] = {}
    waiting = depended(named[name])
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = None
            waiting += depended(named[each])
    return list(found)
