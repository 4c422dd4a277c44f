"""Argo's scheduling in small: what a Workflow runs, in which order, with which inputs, and under which locks.

One thing runs at a time, and whether it succeeds and what it gives is drawn from what it is: so a run depends
on the object alone. Daemons, memoization and the time that things take are left out.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from tests.interpreter.values import Env, Unknown, evaluate, fill, text

Json = dict[str, Any]
LAYER_TASKS: Final = frozenset({"base", "locked", "free"})
MARK: Final = "-lk"
CALLERS: Final = ("dag", "steps")
PLUMBING: Final = frozenset({"name", "synchronization", "inputs", "retryStrategy", "metadata"})
"""What is no part of what a leaf does."""
DEEPEST: Final = 40


class Node(msgspec.Struct):
    """What became of one call: its phase, and what it gives. `failing` phases are Failed and Error."""

    phase: str
    parameters: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    result: str | None = None
    exit_code: str | None = None

    @property
    def failing(self) -> bool:
        """Whether it ended badly."""
        return self.phase in {"Failed", "Error"}


class Leaf(msgspec.Struct, frozen=True):
    """One thing that ran: what it was, how it ended, and the locks held around it."""

    content: str
    phase: str
    locks: frozenset[str]


class Run(msgspec.Struct):
    """Everything that an observer of a run sees, without the layers that hold locks."""

    phase: str = ""
    leaves: list[Leaf] = []
    tasks: list[tuple[str, str, str]] = []
    twice: set[str] = set()

    @property
    def seen(self) -> tuple[Any, ...]:
        """All but the locks."""
        return self.phase, [(leaf.content, leaf.phase) for leaf in self.leaves], self.tasks


class TemplateOwner(msgspec.Struct, frozen=True):
    """An object whose templates call each other by name."""

    key: str
    templates: Mapping[str, Json]


class Call(msgspec.Struct, frozen=True):
    """A template about to run: where its names are looked up, its name as a task, and what it is given."""

    template: Json
    owner: TemplateOwner
    task: str | None
    kind: str
    path: str
    inputs: Json
    held: frozenset[str]
    depth: int
    caller: str


Wanted = Callable[[Call, Env], frozenset[str]]
"""Locks that a template should be run under besides its own."""


def nothing_wanted(call: Call, env: Env) -> frozenset[str]:
    """Want nothing."""
    del call, env
    return frozenset()


class Interpreter:
    """Runs one Workflow; `stored` are the templates of the cluster by kind and name."""

    def __init__(
        self,
        obj: Json,
        stored: Mapping[tuple[str, str], Json],
        *,
        luck: int = 0,
        wanted: Wanted = nothing_wanted,
    ) -> None:
        self._spec = obj["spec"]
        self._stored, self._luck, self._wanted = stored, luck, wanted
        self._counts: Counter[str] = Counter()
        self._run = Run(leaves=[], tasks=[], twice=set())
        self._owner = TemplateOwner(
            "", {each.get("name", ""): each for each in self._spec.get("templates") or ()}
        )
        self._arguments = self._spec.get("arguments") or {}
        self._workflow = {
            "workflow.name": "w",
            "workflow.namespace": "team",
            "workflow.uid": "u",
            **{
                f"workflow.parameters.{each['name']}": each.get("value", "")
                for each in self._arguments.get("parameters") or ()
            },
        }

    def run(self) -> Run:
        """Run all of it."""
        held = locks_in(self._spec.get("synchronization"), self._workflow)
        first = {"template": self._spec.get("entrypoint", ""), "arguments": self._arguments}
        node = self._called(first, self._owner, held, "", self._workflow, None)
        last: list[Json] = []
        if self._spec.get("onExit"):
            last.append({"template": self._spec["onExit"], "arguments": self._arguments})
        exits = (self._spec.get("hooks") or {}).get("exit")
        last += [exits] if exits else []
        for number, call in enumerate(last):
            self._called(call, self._owner, held, f"/exit{number}", self._workflow, None)
        self._run.phase = node.phase
        return self._run

    def _called(  # noqa: PLR0917 - a call has that many parts
        self,
        call: Json,
        owner: TemplateOwner,
        held: frozenset[str],
        path: str,
        env: Env,
        task: str | None,
        depth: int = 0,
    ) -> Node:
        """Run what a task, step, hook or the spec names."""
        found = self._template(call, owner)
        if found is None or depth > DEEPEST:
            return Node("Error")
        template, its_owner = found
        arguments = fill(call.get("arguments") or {}, env)
        inputs = self._inputs(template, arguments)
        return self._retried(Call(template, its_owner, task, "task", path, inputs, held, depth, owner.key))

    def _template(self, call: Json, owner: TemplateOwner) -> tuple[Json, TemplateOwner] | None:
        if call.get("inline") is not None:
            return call["inline"], owner
        ref = call.get("templateRef")
        if ref:
            kind = "ClusterWorkflowTemplate" if ref.get("clusterScope") else "WorkflowTemplate"
            spec = self._stored.get((kind, ref["name"]))
            if spec is None:
                return None
            owner = TemplateOwner(
                f"{kind}/{ref['name']}", {each["name"]: each for each in spec.get("templates") or ()}
            )
        name = ref["template"] if ref else call.get("template", "")
        template = owner.templates.get(name)
        return (template, owner) if template is not None else None

    def _inputs(self, template: Json, arguments: Json) -> Json:
        """Return parameters and artifacts: what is given, else what the template says."""
        inputs: Json = {}
        for kind, field in (("parameters", "value"), ("artifacts", "from")):
            given = {each["name"]: each for each in arguments.get(kind) or ()}
            for each in (template.get("inputs") or {}).get(kind) or ():
                source = given.get(each["name"], {})
                value = source.get(field, each.get("value", each.get("default")))
                if value is None and kind == "artifacts" and source.get("raw"):
                    value = source["raw"]["data"]
                inputs[f"inputs.{kind}.{each['name']}"] = f"?{each['name']}" if value is None else value
        return inputs

    def _retried(self, call: Call) -> Node:
        defaults = self._spec.get("templateDefaults") or {}
        strategy = (
            call.template.get("retryStrategy")
            or self._spec.get("retryStrategy")
            or defaults.get("retryStrategy")
        )
        attempts = 1 + min(int(text((strategy or {}).get("limit", 0)) or 0), 5)
        node = Node("Error")
        for _ in range(attempts):
            node = self._executed(call)
            if not node.failing:
                break
        return node

    def _executed(self, call: Call) -> Node:
        env: Json = {**self._workflow, **call.inputs, "node.name": call.path}
        if call.task is not None:
            env["tasks.name"] = call.task
        body = {key: call.template[key] for key in call.template if key not in CALLERS}
        block = (self._spec.get("templateDefaults") or {}).get("synchronization") or {}
        block = {
            **block,
            **{key: value for key, value in (body.get("synchronization") or {}).items() if value},
        }
        own = locks_in(block, env)
        self._run.twice |= own & call.held
        held = call.held | own | self._wanted(call, env)
        if "dag" in call.template or "steps" in call.template:
            inside = msgspec.structs.replace(call, held=held)
            node, scope = self._dag(inside, env) if "dag" in call.template else self._steps(inside, env)
            return self._gathered(call.template, node, {**env, **scope})
        return self._leaf(call, body, env, held)

    def _leaf(self, call: Call, body: Json, env: Env, held: frozenset[str]) -> Node:
        done = fill({key: value for key, value in body.items() if key not in PLUMBING | {"outputs"}}, env)
        artifacts = sorted(value for key, value in call.inputs.items() if key.startswith("inputs.artifacts."))
        content = json.dumps([done, artifacts], sort_keys=True)
        self._counts[content] += 1
        drawn = hashlib.blake2b(
            f"{self._luck}/{content}/{self._counts[content]}".encode(), digest_size=4
        ).hexdigest()
        number = int(drawn, 16) % 8
        phase = {0: "Failed", 1: "Error"}.get(number, "Succeeded")
        self._run.leaves.append(Leaf(content, phase, held))
        outputs = body.get("outputs") or {}
        return Node(
            phase,
            {each["name"]: f"{each['name']}={drawn}" for each in outputs.get("parameters") or ()},
            {each["name"]: f"{each['name']}@{drawn}" for each in outputs.get("artifacts") or ()},
            drawn,
            "0" if phase == "Succeeded" else "1",
        )

    def _gathered(self, template: Json, node: Node, env: Env) -> Node:
        """Return the outputs of a DAG or steps, which only has them when it succeeded."""
        if node.failing:
            return node
        outputs = template.get("outputs") or {}
        for each in outputs.get("parameters") or ():
            source = each.get("valueFrom") or {}
            try:
                value = (
                    evaluate(source["expression"], env)
                    if "expression" in source
                    else fill(source.get("parameter", ""), env)
                )
            except Unknown:
                return Node("Error")
            node.parameters[each["name"]] = value
        for each in outputs.get("artifacts") or ():
            try:
                node.artifacts[each["name"]] = (
                    evaluate(each["fromExpression"], env)
                    if "fromExpression" in each
                    else fill(each.get("from", ""), env)
                )
            except Unknown:
                return Node("Error")
        return node

    def _steps(self, call: Call, env: Json) -> tuple[Node, Json]:
        scope: Json = {}
        for group in call.template["steps"]:
            failed = False
            for step in group:
                node = self._one(step, call, {**env, **scope}, "steps")
                scope |= outputs_of(f"steps.{step['name']}", node)
                failed |= node.failing and not goes_on(step, node)
            if failed:
                return Node("Failed", parameters={}, artifacts={}), scope
        return Node("Succeeded", parameters={}, artifacts={}), scope

    def _dag(self, call: Call, env: Json) -> tuple[Node, Json]:
        tasks = {task["name"]: task for task in call.template["dag"].get("tasks") or ()}
        nodes: dict[str, Node] = {}
        branch: dict[str, str] = {}
        scope: Json = {}
        for name in in_order(tasks):
            task = tasks[name]
            before = needs(task, tasks)
            if fulfilled(task, before, tasks, nodes):
                node = self._one(task, call, {**env, **scope}, "tasks")
            else:
                node = Node("Omitted")
                self._seen(call, task, node)
            nodes[name] = node
            scope |= outputs_of(f"tasks.{name}", node)
            inherited = [branch[each] for each in before if each in branch]
            worst = next((each for each in inherited if each in {"Failed", "Error"}), "Succeeded")
            completed = node.phase in {"Succeeded", "Failed", "Error"}
            branch[name] = node.phase if completed else worst
            if node.failing and goes_on(task, node):
                branch[name] = "Succeeded"
        used = {each for task in tasks.values() for each in needs(task, tasks)}
        ends = [name for name in tasks if name not in used]
        phase = next((branch[name] for name in ends if branch[name] in {"Failed", "Error"}), "Succeeded")
        return Node(phase, parameters={}, artifacts={}), scope

    def _one(self, task: Json, call: Call, env: Json, kind: str) -> Node:
        """Run a task or step, once for each item, and its hooks."""
        del kind
        items = items_of(task, env)
        if items is None:
            node = self._single(task, task["name"], call, env)
        else:
            every = [
                self._single(task, f"{task['name']}({number}:{text(item)})", call, {**env, **item_env(item)})
                for number, item in enumerate(items)
            ]
            bad = next((each.phase for each in every if each.failing), None)
            done = [each for each in every if each.phase != "Skipped"]
            names = {name for each in done for name in each.parameters}
            node = Node(
                bad or ("Succeeded" if done or not every else "Skipped"),
                {name: json.dumps([each.parameters.get(name) for each in done]) for name in sorted(names)},
                {},
                json.dumps([each.result for each in done if each.result is not None]),
            )
        return node

    def _single(self, task: Json, name: str, call: Call, env: Json) -> Node:
        condition = fill(task.get("when", ""), env)
        try:
            runs = not condition or bool(evaluate(condition, env, bare=True))
        except (Unknown, ValueError):
            node = Node("Error")
            self._seen(call, task, node)
            return node
        if not runs:
            node = Node("Skipped")
        else:
            path = call.path if is_layer_task(task, call.template) else f"{call.path}/{name}"
            node = self._called(task, call.owner, call.held, path, env, task["name"], call.depth + 1)
            self._hooks(task, call, node, env, path)
        self._seen(call, task, node, name)
        return node

    def _hooks(self, task: Json, call: Call, node: Node, env: Json, path: str) -> None:
        scope = {
            **env,
            **outputs_of(f"tasks.{task['name']}", node),
            **outputs_of(f"steps.{task['name']}", node),
        }
        exits = (task.get("hooks") or {}).get("exit")
        for hook in [exits] if exits else []:
            self._called(hook, call.owner, call.held, f"{path}/hook", scope, None, call.depth + 1)
        if task.get("onExit"):
            self._called({"template": task["onExit"]}, call.owner, call.held, f"{path}/onExit", scope, None)

    def _seen(self, call: Call, task: Json, node: Node, name: str = "") -> None:
        if not is_layer_task(task, call.template):
            # What a failed one gave shows where somebody uses it.
            given = "" if node.failing else json.dumps([node.parameters, node.artifacts], sort_keys=True)
            self._run.tasks.append((f"{call.path}/{name or task['name']}", node.phase, given))


def is_layer_task(task: Json, template: Json) -> bool:
    """Tell whether a task stands in a template that was made to hold a lock."""
    target = task.get("template") or (task.get("templateRef") or {}).get("template") or ""
    return task.get("name") in LAYER_TASKS and (MARK in target or MARK in template.get("name", ""))


def outputs_of(prefix: str, node: Node) -> Json:
    """Return what others may ask of a task."""
    scope: Json = {f"{prefix}.status": node.phase}
    scope |= {f"{prefix}.outputs.parameters.{name}": value for name, value in node.parameters.items()}
    scope |= {f"{prefix}.outputs.artifacts.{name}": value for name, value in node.artifacts.items()}
    if node.result is not None:
        scope[f"{prefix}.outputs.result"] = node.result
    if node.exit_code is not None:
        scope[f"{prefix}.exitCode"] = node.exit_code
    return scope


def locks_in(block: Json | None, env: Env) -> frozenset[str]:
    """Return the locks of a block as Argo takes them; what stands for no limit is none."""
    found = set()
    block = fill(block or {}, env)
    singular = [("semaphores", "semaphore"), ("mutexes", "mutex")]
    for field, one in singular:
        for lock in [*(block.get(field) or ()), *([block[one]] if block.get(one) else [])]:
            name = lock_key(lock)
            if not name.endswith("-unlimited"):
                found.add(name)
    return frozenset(found)


def lock_key(lock: Json) -> str:
    """Return a name for one lock."""
    if "configMapKeyRef" in lock:
        ref = lock["configMapKeyRef"]
        return f"semaphore {lock.get('namespace', 'team')}/{ref['name']}/{ref['key']}"
    if isinstance(lock.get("database"), dict):
        return f"database {lock.get('namespace', 'team')}/{lock['database']['key']}"
    return f"mutex {lock.get('namespace', 'team')}/{lock.get('name')}"


def goes_on(task: Json, node: Node) -> bool:
    """Tell whether the rest goes on although this ended badly."""
    allowed = task.get("continueOn") or {}
    return bool(allowed.get("failed" if node.phase == "Failed" else "error"))


def needs(task: Json, tasks: Mapping[str, Json]) -> list[str]:
    """Return the tasks that a task waits for."""
    if task.get("dependencies"):
        return list(task["dependencies"])
    words = [word.split(".")[0] for word in _words(task.get("depends") or "")]
    return [word for word in dict.fromkeys(words) if word in tasks]


def _words(depends: str) -> Iterator[str]:
    for sign in ("&&", "||", "!", "(", ")"):
        depends = depends.replace(sign, " ")
    yield from depends.split()


def in_order(tasks: Mapping[str, Json]) -> list[str]:
    """Return the tasks, each after those that it waits for, otherwise as they are written."""
    order: list[str] = []
    while len(order) < len(tasks):
        ready = [name for name in tasks if name not in order and set(needs(tasks[name], tasks)) <= set(order)]
        if not ready:
            return order  # A circle, which Argo refuses.
        order.append(ready[0])
    return order


def fulfilled(task: Json, before: list[str], tasks: Mapping[str, Json], nodes: Mapping[str, Node]) -> bool:
    """Tell whether what a task depends on became true."""
    env: Json = {}
    for name in before:
        node = nodes[name]
        went_on = node.failing and goes_on(tasks[name], node)
        env[name] = node.phase in {"Succeeded", "Skipped"} or went_on
        for word, phase in (
            ("Succeeded", "Succeeded"),
            ("Failed", "Failed"),
            ("Errored", "Error"),
            ("Skipped", "Skipped"),
            ("Omitted", "Omitted"),
        ):
            env[f"{name}.{word}"] = node.phase == phase
    expression = task.get("depends") or " && ".join(before)
    return not expression or bool(evaluate(expression, env))


def items_of(task: Json, env: Env) -> list[Any] | None:
    """Return what a task is run for, or None where it is run once."""
    if "withItems" in task:
        return list(fill(task["withItems"], env))
    if "withParam" in task:
        try:
            found = json.loads(fill(task["withParam"], env))
        except ValueError:
            return ["?"]
        return found if isinstance(found, list) else ["?"]
    if "withSequence" in task:
        try:
            count = int(fill(text(task["withSequence"].get("count", 2)), env))
        except ValueError:
            count = 2
        return [str(number) for number in range(min(count, 3))]
    return None


def item_env(item: Any) -> Json:
    """Return the variables of one item."""
    env: Json = {"item": item}
    if isinstance(item, dict):
        env |= {f"item.{key}": value for key, value in item.items()}
    return env
