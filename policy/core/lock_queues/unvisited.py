"""Nodes that Argo does not come to: until a hook is over, or never again.

A node that is over gives its locks back only when Argo comes to it. A hook that is not over keeps it from all
below the DAG task of the hook, the exit hook of an item from the items after it, and the hook of a step from
the hooks of the steps after it. To the items of a DAG task that is over, and their exit hooks, Argo never
comes back (seen on Argo 4.1.2). Nodes are told apart by their names, as Argo makes them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Final

import msgspec

from policy.core.lock_queues.live_workflow import WorkflowNode

_HOOK: Final = re.compile(r"(?P<of>.+)(?:\.hooks\.[^.\[(]+|(?P<exit>\.onExit))", re.DOTALL)
_END: Final = re.compile(r"[.\[(]")
_STEP_GROUP: Final = "StepGroup"
_TASK_GROUP: Final = "TaskGroup"
_DAG: Final = "DAG"


class _Hook(msgspec.Struct, frozen=True):
    """A hook that is not over, the node that it belongs to, and whether it is before the nodes of others."""

    node: str
    of: str
    behind_others: bool


class Unvisited:
    """What of one Workflow Argo does not come to; found out only where it is asked for."""

    def __init__(self, nodes: Mapping[str, WorkflowNode]) -> None:
        self._nodes = nodes

    def is_left(self, node: str) -> bool:
        """Return whether Argo never comes back to a node: an item of a task that is over, or below one."""
        return not self._left.isdisjoint(_outer(self._name(node)))

    def hooks_before(self, node: str) -> Iterator[str]:
        """Yield the hooks that have to be over before Argo comes to a node."""
        name = self._name(node)
        for outer in _outer(name):
            for hook in self._before.get(outer, ()):
                if not name.startswith(f"{self._name(hook.of)}.hooks.") or hook.behind_others:
                    yield hook.node

    def _name(self, node: str) -> str:
        return self._nodes[node].name or "" if node in self._nodes else ""

    @cached_property
    def _left(self) -> frozenset[str]:
        return frozenset(
            item
            for node in self._nodes.values()
            if node.type == _TASK_GROUP and not node.active
            for item in self._items(node)
        )

    @cached_property
    def _before(self) -> Mapping[str, Sequence[_Hook]]:
        """The hooks before the nodes of these names, and before all below them."""
        by_name = {node.name: node_id for node_id, node in self._nodes.items()}
        groups = {
            child: node
            for node in self._nodes.values()
            if node.type in (_STEP_GROUP, _TASK_GROUP)
            for child in node.children or ()
        }
        found: dict[str, list[_Hook]] = {}
        for node_id, node in self._nodes.items():
            match = _HOOK.fullmatch(node.name or "") if node.active else None
            if match is None or match["of"] not in by_name:
                continue
            of = by_name[match["of"]]
            group = groups.get(of)
            for name, others in self._behind(of, group, is_exit=match["exit"] is not None):
                found.setdefault(name, []).append(_Hook(node_id, of, behind_others=others))
        return found

    def _behind(self, of: str, group: WorkflowNode | None, *, is_exit: bool) -> Iterator[tuple[str, bool]]:
        """Yield the names of what Argo comes to only after a hook, and whether these are others' nodes."""
        node = self._nodes[of]
        if group is not None and group.type == _STEP_GROUP:
            for name in self._after(group.children or (), of) if not is_exit else ():
                yield f"{name}.hooks", True
                yield f"{name}.onExit", True
        elif is_exit:
            if group is not None and group.active:
                for name in self._after(group.children or (), of):
                    yield name, True
        elif (boundary := self._nodes.get(node.boundary_id or "")) is not None and boundary.type == _DAG:
            yield node.name or "", False
            for name in self._items(node) if node.type == _TASK_GROUP else ():
                yield name, True

    def _after(self, children: Sequence[str], node: str) -> list[str]:
        return [self._name(each) for each in islice(children, children.index(node) + 1, None)]

    def _items(self, group: WorkflowNode) -> Iterator[str]:
        for child in group.children or ():
            name = self._name(child)
            if name.startswith(f"{group.name}("):
                yield name


def _outer(name: str) -> list[str]:
    """Return the names of a node and of those that it may be below."""
    return [name, *(name[: match.start()] for match in _END.finditer(name))]
