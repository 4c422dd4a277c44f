"""Small random Workflows whose templates take few locks, so that many of them deadlock and many do not."""

from random import Random
from typing import Any, Final

from tests.policy.core.builders import NAMESPACE

LIMITS: Final = {
    f"{NAMESPACE}/Mutex/a": 1,
    f"{NAMESPACE}/Mutex/b": 1,
    f"{NAMESPACE}/ConfigMap/limits/one": 1,
    f"{NAMESPACE}/ConfigMap/limits/two": 2,
    f"{NAMESPACE}/ConfigMap/limits/three": 3,
}
OUTCOMES: Final = ("", "", "", ".Succeeded", ".Skipped", ".Failed", ".Omitted")
JOINTS: Final = (" && ", " && ", " || ")


def random_workflow(random: Random, *, hooks: bool = False) -> dict[str, Any]:
    """Return the spec of a Workflow; each template calls later ones, and seldom an earlier one or itself.

    With `hooks`, many of its calls have hooks, and some have items.
    """
    names = [f"t{number}" for number in range(random.randint(2, 5))]
    templates = [_template(random, names, number) for number in range(len(names))]
    spec: dict[str, Any] = {"entrypoint": "t0", "templates": templates}
    _sometimes(random, 0.25, spec, "synchronization", _block(random))
    _sometimes(random, 0.06, spec, "templateDefaults", {"synchronization": _block(random)})
    _sometimes(random, 0.15, spec, "onExit", random.choice(names[1:]))
    if random.random() < 0.15:
        spec["hooks"] = _hooks(random, names[1:])
    if hooks:
        leaves = {each["name"] for each in templates if "container" in each}
        for template in templates:
            _with_hooks(random, template, names, leaves)
    return spec


def _with_hooks(random: Random, template: dict[str, Any], names: list[str], leaves: set[str]) -> None:
    """Give calls of a template hooks that start while they run or when they are over, and items.

    The exit hook of a DAG task with items is a Pod: of steps or a DAG Argo never sees the end, locks or not.
    """
    later = [name for name in names if name > template["name"]]
    kind = "tasks" if "dag" in template else "steps"
    groups = [template["dag"]["tasks"]] if "dag" in template else template.get("steps", [])
    for call in (call for group in groups for call in group if later):
        if random.random() < 0.5:
            over = f'{kind}.{call["name"]}.status == "Succeeded"'
            event, text = random.choice((("exit", ""), ("exit", "maybe"), ("hook", "maybe"), ("hook", over)))
            hook = {"template": random.choice(later), **({"expression": text} if text else {})}
            call.setdefault("hooks", {})[event] = hook
        last = call.get("onExit") or call.get("hooks", {}).get("exit", {}).get("template")
        if "when" not in call and (kind == "steps" or last in (None, *leaves)):
            _sometimes(random, 0.3, call, "withItems", list(range(random.randint(1, 3))))


def _template(random: Random, names: list[str], number: int) -> dict[str, Any]:
    template: dict[str, Any] = {"name": names[number]}
    _sometimes(random, 0.5, template, "synchronization", _block(random))
    later = names[number + 1 :]
    if not later or random.random() < 0.15:
        return {**template, "container": {"image": "a"}}
    back = names[: number + 1] if random.random() < 0.08 else []
    if random.random() < 0.5:
        calls = [_call(random, f"c{index}", later) for index in range(random.randint(1, 3))]
        for index, call in enumerate(calls[1:], start=1):
            _waiting(random, call, [each["name"] for each in calls[:index]])
        template["dag"] = {"tasks": calls}
    else:
        groups = [
            [_call(random, f"c{group}{index}", later) for index in range(random.randint(1, 2))]
            for group in range(random.randint(1, 2))
        ]
        template["steps"] = groups
        calls = [call for group in groups for call in group]
    if back:
        again = random.choice(calls)
        again.pop("inline", None)
        again["template"] = random.choice(back)
        if "synchronization" not in template or again["template"] != names[number] or random.random() < 0.5:
            again["when"] = "maybe"  # Else a run that takes no lock would go on for ever.
    return template


def _call(random: Random, name: str, templates: list[str]) -> dict[str, Any]:
    call: dict[str, Any] = {"name": name}
    if random.random() < 0.1:
        inline: dict[str, Any] = {"steps": [[{"name": "in", "template": random.choice(templates)}]]}
        _sometimes(random, 0.5, inline, "synchronization", _block(random))
        call["inline"] = inline
    else:
        call["template"] = random.choice(templates)
    _sometimes(random, 0.2, call, "when", "maybe")
    _sometimes(random, 0.06, call, "onExit", random.choice(templates))
    if random.random() < 0.06:
        call["hooks"] = _hooks(random, templates)
    return call


def _waiting(random: Random, call: dict[str, Any], before: list[str]) -> None:
    """Let a task wait for earlier ones, in either form."""
    if random.random() < 0.25:
        call["dependencies"] = random.sample(before, random.randint(1, len(before)))
    elif random.random() < 0.3:
        chosen = random.sample(before, random.randint(1, len(before)))
        parts = [f"{'!' * (random.random() < 0.15)}{name}{random.choice(OUTCOMES)}" for name in chosen]
        text = parts[0]
        for part in parts[1:]:
            text = f"({text}){random.choice(JOINTS)}{part}"
        call["depends"] = text


def _hooks(random: Random, templates: list[str]) -> dict[str, Any]:
    hook: dict[str, Any] = {"template": random.choice(templates)}
    event = random.choice(("exit", "exit", "running"))
    if event == "running" or random.random() < 0.4:
        hook["expression"] = "maybe"
    return {event: hook}


def _block(random: Random) -> dict[str, Any]:
    names = random.sample(["a", "b", "one", "two", "three"], random.choice((1, 1, 1, 2)))
    block: dict[str, Any] = {}
    for name in names:
        if name in ("a", "b"):
            block.setdefault("mutexes", []).append({"name": name})
        else:
            item = {"configMapKeyRef": {"name": "limits", "key": name}}
            block.setdefault("semaphores", []).append(item)
    return block


def _sometimes(random: Random, chance: float, target: dict[str, Any], field: str, value: object) -> None:
    if random.random() < chance:
        target[field] = value
