"""Which limits follow from the nodes: the capacity of the ready ones, and when a limit rises or falls to it.

A limit rises at once with the capacity. It falls only when the capacity stayed below it for the whole
stabilization time, and then to the highest capacity of that time; so a node that is absent for a short time
does not change it. A late fall does no harm: Pods without a node wait, and a lower limit stops no Workflow.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.objects.label_selectors import LabelSelector
from policy.core.objects.workflow import Read
from policy.core.values.amounts import Amount, Limits
from policy.core.values.prepared import prepare

_LEAVING: Final = frozenset(
    {"ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption"}
)
"""Taints by which autoscalers mark a node that is about to be removed."""
_READY: Final = "Ready"
_TRUE: Final = "True"
_MILLI: Final = 1000
_FORM: Final = re.compile(
    r"([+-]?)([0-9]{0,30})(?:\.([0-9]{0,30}))?(?:([eE][+-]?[0-9]{1,2})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?",
    re.ASCII,
)
_TENS: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_MILLI_DIGITS: Final = 3


class NodeMetadata(Read, frozen=True):
    """Name, labels, and whether the node is being deleted."""

    name: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: datetime | None = None


class Taint(Read, frozen=True):
    """A taint of which only the key matters."""

    key: str = ""


class NodeSpec(Read, frozen=True):
    """Whether the node takes Pods."""

    unschedulable: bool | None = None
    taints: tuple[Taint, ...] | None = None


class NodeCondition(Read, frozen=True):
    """One condition, as the kubelet or the node controller writes it."""

    type: str = ""
    status: str = ""


class NodeStatus(Read, frozen=True):
    """What the node can allocate, and its conditions."""

    allocatable: dict[str, str] | None = None
    conditions: tuple[NodeCondition, ...] | None = None


class Node(Read, frozen=True):
    """The fields of a node that its capacity depends on."""

    metadata: NodeMetadata = NodeMetadata()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


prepare(Node)


class CapacityRule(msgspec.Struct, frozen=True):
    """How limits are computed from nodes. A resource without a rate is not bounded."""

    selector: LabelSelector
    workflows_per_node: int | None
    tasks_per_node: int | None
    tasks_per_cpu: int | None
    lowest: Limits
    highest: Limits
    stabilization: timedelta

    @property
    def counts_tasks(self) -> bool:
        """Whether tasks follow nodes."""
        return self.tasks_per_node is not None or self.tasks_per_cpu is not None


class FollowingBound(msgspec.Struct, frozen=True):
    """A bound that follows a measure: its value, since when the measure is below, and its highest since."""

    value: int
    below_since: datetime | None = None
    most_since: int = 0


class Following(msgspec.Struct, frozen=True):
    """The state of a rule: a bound for each resource that it limits."""

    workflows: FollowingBound | None = None
    tasks: FollowingBound | None = None


START: Final = Following()


def takes_pods(node: Node) -> bool:
    """Return whether a node is ready and schedulable, and is not about to be removed."""
    if node.spec.unschedulable or node.metadata.deletion_timestamp is not None:
        return False
    if any(taint.key in _LEAVING for taint in node.spec.taints or ()):
        return False
    return any(each.type == _READY and each.status == _TRUE for each in node.status.conditions or ())


def measure(rule: CapacityRule, nodes: Iterable[Node]) -> Limits:
    """Return the limits by the nodes of a rule, within its bounds; a task does not span nodes."""
    counted = [
        node for node in nodes if takes_pods(node) and rule.selector.matches(node.metadata.labels or {})
    ]
    workflows = tasks = None
    if rule.workflows_per_node is not None:
        workflows = len(counted) * rule.workflows_per_node
        workflows = _within(workflows, rule.lowest.workflows, rule.highest.workflows)
    if rule.tasks_per_node is not None:
        tasks = len(counted) * rule.tasks_per_node
    elif rule.tasks_per_cpu is not None:
        tasks = sum(_cpu(node) * rule.tasks_per_cpu // _MILLI for node in counted)
    if tasks is not None:
        tasks = _within(tasks, rule.lowest.tasks, rule.highest.tasks)
    return Limits(Amount(workflows), Amount(tasks))


def follow(before: Following, measured: Limits, rule: CapacityRule, now: datetime) -> Following:
    """Return the state after a measurement; called when nodes or the rule change, and at `next_fall`.

    An edit of the bounds acts at once, unlike a change of the nodes.
    """
    workflows = _bounded(before.workflows, rule.lowest.workflows, rule.highest.workflows)
    tasks = _bounded(before.tasks, rule.lowest.tasks, rule.highest.tasks)
    return Following(
        workflows=_settle(workflows, measured.workflows.value, rule.stabilization, now),
        tasks=_settle(tasks, measured.tasks.value, rule.stabilization, now),
    )


def resumed(shown: Limits) -> Following:
    """Return the state of a new leader, which continues from the limits in the status."""
    return Following(
        workflows=None if shown.workflows.value is None else FollowingBound(shown.workflows.value),
        tasks=None if shown.tasks.value is None else FollowingBound(shown.tasks.value),
    )


def limits_of(state: Following) -> Limits:
    """Return the limits of a state; what is not bounded is unlimited."""
    workflows, tasks = (None if each is None else each.value for each in (state.workflows, state.tasks))
    return Limits(Amount(workflows), Amount(tasks))


def next_fall(state: Following, rule: CapacityRule) -> datetime | None:
    """Return when a limit falls if nothing changes until then, None if none will."""
    bounds = [each for each in (state.workflows, state.tasks) if each is not None]
    since = [each.below_since for each in bounds if each.below_since is not None]
    return min(since) + rule.stabilization if since else None


def _bounded(before: FollowingBound | None, lowest: Amount, highest: Amount) -> FollowingBound | None:
    if before is None:
        return None
    value = _within(before.value, lowest, highest)
    return before if value == before.value else FollowingBound(value)


def _settle(
    before: FollowingBound | None, measured: int | None, stabilization: timedelta, now: datetime
) -> FollowingBound | None:
    if measured is None:
        return None
    if before is None or measured >= before.value:
        return FollowingBound(measured)
    since = now if before.below_since is None else before.below_since
    most = measured if before.below_since is None else max(before.most_since, measured)
    if now - since < stabilization:
        return FollowingBound(before.value, since, most)
    return FollowingBound(most) if measured >= most else FollowingBound(most, now, measured)


def _cpu(node: Node) -> int:
    """Return a node's millicores; 0 if it has none, or text that is no quantity."""
    allocatable: Mapping[str, str] = node.status.allocatable or {}
    try:
        return millicores(allocatable.get("cpu", "0"))
    except ValueError:
        return 0


def _within(value: int, lowest: Amount, highest: Amount) -> int:
    floor = lowest.value or 0
    return max(floor, value if highest.value is None else min(value, highest.value))


def millicores(text: str) -> int:
    """Return a quantity of CPU in thousandths of a core, rounded down: of `4`, `3920m`, `0.5`, `1e3`, `1Ki`.

    Raises:
        ValueError: it is no quantity, or negative.
    """
    parts = _FORM.fullmatch(text)
    if parts is None or not (parts[2] or parts[3]) or parts[1] == "-":
        raise ValueError(f"{text!r} is no quantity of CPU")
    fraction = parts[3] or ""
    number = int((parts[2] or "") + fraction)
    exponent = _MILLI_DIGITS - len(fraction)
    suffix = parts[5]
    if suffix in _BINARY:
        number <<= 10 * (_BINARY.index(suffix) + 1)
    elif suffix is not None:
        exponent += _TENS[suffix]
    elif parts[4]:
        exponent += int(parts[4][1:])
    power: int = 10 ** abs(exponent)
    return number * power if exponent >= 0 else number // power
