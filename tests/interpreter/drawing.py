"""Workflows drawn at random with what matters to locks: shared templates, outputs, failures, conditions."""

from typing import Any, Final

from hypothesis import strategies as st

from tests.interpreter.running import Json

LEAVES: Final = ("load", "save", "load-all")
CALLERS: Final = ("main", "inner", "last")
STORED: Final = "lib"
FOREIGN: Final = ("load", "ship", "both")
TASKS: Final = ("a", "load-b", "c", "d")
CONDITIONS: Final = (
    None,
    None,
    "{{workflow.parameters.env}} == prod",
    "{{workflow.parameters.env}} != prod",
    "inputs.parameters.p == 'x'",
    "{{workflow.parameters.missing}} == prod",
)
LOCKS: Final[tuple[Json, ...]] = (
    {"semaphore": {"configMap": "limits", "key": "db"}},
    {"semaphore": {"configMap": "limits", "key": "gpu"}},
    {"mutex": "m1"},
    {"database": "lab"},
)
BLOCKS: Final[tuple[Json, ...]] = (
    {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]},
    {"mutexes": [{"name": "m1"}]},
    {"mutexes": [{"name": "own"}]},
)
SELECTORS: Final[tuple[Json, ...]] = (
    {"names": ["load*"]},
    {"names": ["load"]},
    {"names": ["save", "ship"]},
    {"images": ["db:*"]},
    {"labels": {"lock": "yes"}},
    {"types": ["dag"]},
    {"types": ["steps", "script"]},
    {"names": ["*"]},
    {"tasks": ["load-*"]},
    {"tasks": ["*a*", "free"]},
    {"tasks": ["a", "c"], "images": ["db:*"]},
    {"serviceAccounts": ["etl"]},
    {"volumes": ["data*"]},
)


@st.composite
def rules(draw: st.DrawFn, *, lists: bool = True) -> list[Json]:
    """Draw the rules of a policy."""
    found: list[Json] = []
    for number in range(draw(st.integers(1, 3))):
        rule: Json = {
            "name": f"r{number}",
            "templates": draw(st.sampled_from(SELECTORS)),
            "lock": draw(st.sampled_from(LOCKS if lists else LOCKS[:3])),
        }
        when = draw(st.sampled_from(CONDITIONS))
        rule["strategy"] = draw(st.sampled_from(("Auto", "Auto", "Direct", "Clone", "Wrapper")))
        if when is not None:
            rule["when"] = when
            if rule["strategy"] == "Direct":
                rule["strategy"] = "Auto"
        found.append(rule)
    return found


@st.composite
def leaf(draw: st.DrawFn, name: str) -> Json:
    """Draw a template that does work itself."""
    image = draw(st.sampled_from(("db:1", "web:1")))
    body: Json = {
        "name": name,
        "inputs": {"parameters": [{"name": "p", "default": "x"}]},
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]},
    }
    work: Json = {"image": image, "args": [f"{name} {{{{inputs.parameters.p}}}}"]}
    if draw(st.integers(0, 5)) == 0:
        work["args"].append(draw(st.sampled_from(("{{tasks.name}}", "{{workflow.name}}", "{{node.name}}"))))
    if draw(st.integers(0, 3)) == 0:
        work["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
        body["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "data-1"}}]
    body[draw(st.sampled_from(("container", "container", "script")))] = work
    if draw(st.integers(0, 2)) == 0:
        body["metadata"] = {"labels": {"lock": "yes"}}
    if draw(st.integers(0, 4)) == 0:
        body["retryStrategy"] = {"limit": draw(st.sampled_from((1, "2")))}
    if draw(st.integers(0, 4)) == 0:
        body["serviceAccountName"] = "etl"
    if draw(st.integers(0, 5)) == 0:
        body["synchronization"] = draw(st.sampled_from(BLOCKS))
    return body


@st.composite
def _call(draw: st.DrawFn, name: str, before: list[str], targets: list[Json], kind: str) -> Json:
    task: Json = {"name": name, **draw(st.sampled_from(targets))}
    value = draw(st.sampled_from(("x", "y", "{{workflow.parameters.env}}")))
    if before and draw(st.integers(0, 1)) == 0:
        field = draw(
            st.sampled_from(("outputs.parameters.o", "outputs.parameters.o", "outputs.result", "status"))
        )
        value = f"{{{{{kind}.{draw(st.sampled_from(before))}.{field}}}}}"
    if draw(st.integers(0, 3)):
        task["arguments"] = {"parameters": [{"name": "p", "value": value}]}
    match draw(st.integers(0, 7)):
        case 0:
            task["withItems"] = ["1", "2"]
        case 1:
            task["when"] = "{{workflow.parameters.env}} == prod"
        case 2:
            task["continueOn"] = {"failed": True}
        case 3 if before:
            task["when"] = f"{{{{{kind}.{before[0]}.status}}}} == Succeeded"
    return task


@st.composite
def caller(draw: st.DrawFn, name: str, targets: list[Json]) -> Json:
    """Draw a DAG or steps that call some of these."""
    names = list(TASKS[: draw(st.integers(1, 4))])
    body: Json = {
        "name": name,
        "inputs": {"parameters": [{"name": "p", "default": "x"}]},
    }
    if draw(st.booleans()):
        tasks = []
        for number, each in enumerate(names):
            before = names[:number]
            task = draw(_call(each, before, targets, "tasks"))
            if before and "continueOn" not in task and draw(st.booleans()):
                one = draw(st.sampled_from(before))
                task["depends"] = draw(
                    st.sampled_from(
                        (one, f"{one}.Failed || {one}.Succeeded", f"{one} && !{before[0]}.Failed")
                    )
                )
            elif before:
                task["dependencies"] = before
            tasks.append(task)
        body["dag"] = {"tasks": tasks}
        kind = "tasks"
    else:
        body["steps"] = [
            [draw(_call(each, names[:number], targets, "steps"))] for number, each in enumerate(names)
        ]
        kind = "steps"
    body["outputs"] = {
        "parameters": [
            {"name": "o", "valueFrom": {"parameter": f"{{{{{kind}.{names[0]}.outputs.parameters.o}}}}"}}
        ]
    }
    if draw(st.integers(0, 5)) == 0:
        body["synchronization"] = draw(st.sampled_from(BLOCKS))
    return body


@st.composite
def library(draw: st.DrawFn) -> Json:
    """Draw the spec of a WorkflowTemplate."""
    leaves = [draw(leaf(name)) for name in FOREIGN[:2]]
    both = draw(caller(FOREIGN[2], [{"template": name} for name in FOREIGN[:2]]))
    return {"templates": [*leaves, both]}


@st.composite
def workflows(draw: st.DrawFn) -> Json:
    """Draw a Workflow; templates call those that come after them, and those of a library."""
    leaves = [draw(leaf(name)) for name in LEAVES]
    targets: list[Json] = [{"template": name} for name in LEAVES]
    targets += [{"templateRef": {"name": STORED, "template": name}} for name in FOREIGN]
    targets.append({"inline": {"container": {"image": "db:1", "args": ["inline"]}}})
    callers: list[Json] = []
    for name in reversed(CALLERS):
        callers.append(draw(caller(name, list(targets))))
        targets.append({"template": name})
    spec: Json = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "env", "value": draw(st.sampled_from(("prod", "dev")))}]},
        "templates": [*reversed(callers), *leaves],
    }
    if draw(st.integers(0, 3)) == 0:
        spec["onExit"] = "save"
    if draw(st.integers(0, 4)) == 0:
        spec["retryStrategy"] = {"limit": "1"}
    if draw(st.integers(0, 7)) == 0:
        spec["synchronization"] = draw(st.sampled_from(BLOCKS))
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w", "namespace": "team"},
        "spec": spec,
    }


def policies_with(found: list[Json]) -> dict[str, Any]:
    """Return the spec of a policy with these rules and everything that they name defined."""
    semaphores = [{"configMap": "limits", "key": key, "limit": 2} for key in ("db", "gpu")]
    # Rules drawn at random make deadlocks; those are looked for elsewhere.
    return {"semaphores": semaphores, "inject": found, "validate": {"deadlocks": "Ignore"}}
