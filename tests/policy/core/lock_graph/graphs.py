"""Short ways to write objects with templates and to build their graphs, and an outline of a graph."""

from typing import Final

from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_graph.template_graph import AddedLocks, Graph, TemplateNode, build_graph
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import NAMESPACE, snapshot, spec_of

LEAF: Final[JsonObject] = {"container": {"image": "a"}}


def leaf(name: str, *mutexes: str, **more: JsonValue) -> JsonObject:
    """Return a container template that holds mutexes."""
    return {"name": name, **LEAF, **_held(mutexes), **more}


def dag(name: str, *tasks: JsonObject, mutexes: tuple[str, ...] = (), **more: JsonValue) -> JsonObject:
    """Return a DAG template that holds mutexes."""
    return {"name": name, "dag": {"tasks": list(tasks)}, **_held(mutexes), **more}


def steps(name: str, *groups: list[JsonValue], **more: JsonValue) -> JsonObject:
    """Return a steps template."""
    return {"name": name, "steps": list(groups), **more}


def calling(template: str, name: str = "", **more: JsonValue) -> JsonObject:
    """Return a task or step that calls a template of its object."""
    return {"name": name or f"call-{template}", "template": template, **more}


def calling_other(owner: str, template: str, *, cluster: bool = False, **more: JsonValue) -> JsonObject:
    """Return a task or step that calls a template of another object."""
    ref: JsonObject = {"name": owner, "template": template}
    if cluster:
        ref["clusterScope"] = True
    return {"name": f"call-{owner}", "templateRef": ref, **more}


def arguments(**values: JsonValue) -> JsonObject:
    """Return `arguments` with these parameters."""
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def inputs(*names: str, **defaults: JsonValue) -> JsonObject:
    """Return `inputs` with these parameters, some with a default."""
    given: list[JsonValue] = [{"name": name} for name in names]
    return {"parameters": given + [{"name": name, "default": each} for name, each in defaults.items()]}


def mutexes(*names: str) -> JsonObject:
    """Return a `synchronization` block of mutexes."""
    return {"mutexes": [{"name": name} for name in names]}


def graph_of(
    spec: JsonObject,
    *documents: Document,
    kind: ObjectKind = ObjectKind.WORKFLOW,
    added: AddedLocks | None = None,
) -> Graph:
    """Return the graph of an object with other templates of the cluster beside it."""
    find = snapshot(*documents).library.find(NAMESPACE)
    return build_graph(template_owner(kind, "it", spec_of(spec)), find, NAMESPACE, added=added or {})


def outline(graph: Graph) -> list[str]:
    """Return every call of a graph as a line: caller, kind of call and name, callee, `?` where unsure."""
    found = []
    for node in (graph.root, *graph.nodes):
        for edge in node.calls:
            target = _label(edge.target) if edge.target is not None else "nothing"
            unsure = "" if edge.reference.certain else "?"
            found.append(
                f"{_label(node)} -{edge.reference.via.value} {edge.reference.name}{unsure}-> {target}"
            )
    return sorted(found)


def held(graph: Graph) -> dict[str, list[str]]:
    """Return the names of the locks of each node that has some, without the namespace."""
    return {
        _label(node): sorted(lock.name.removeprefix(f"{NAMESPACE}/") for lock in node.locks)
        for node in (graph.root, *graph.nodes)
        if node.locks
    }


def _label(node: TemplateNode) -> str:
    if not node.template.name:
        return "run" if "/templates/" not in node.pointer else node.pointer
    prefix = "" if node.owner.name == "it" else f"{node.owner.name}."
    values = ",".join(node.values.values())
    return f"{prefix}{node.template.name}" + (f"[{values}]" if values else "")


def _held(names: tuple[str, ...]) -> JsonObject:
    return {"synchronization": mutexes(*names)} if names else {}
