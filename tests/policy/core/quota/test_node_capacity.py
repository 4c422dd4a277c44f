"""Limits that follow nodes: which count, how much they carry, and that a limit does not flap with them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.label_selectors import LabelSelector
from policy.core.quota.node_capacity import (
    START,
    CapacityRule,
    Following,
    Node,
    follow,
    limits_of,
    measure,
    millicores,
    next_fall,
    resumed,
    takes_pods,
)
from policy.core.values.amounts import UNLIMITED, Amount, Limits
from tests.policy.core.builders import NOW, limits

STABLE: Final = timedelta(minutes=5)
SUFFIXES = {
    "": Fraction(1),
    **{
        name: Fraction(10) ** power
        for name, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{name: Fraction(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def _node(
    cpu: str = "4", *, ready: str = "True", labels: JsonObject | None = None, **spec: JsonValue
) -> Node:
    metadata: JsonObject = {"name": "n", "labels": labels or {"pool": "batch"}}
    if spec.pop("deleted", None):
        metadata["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    status: JsonObject = {
        "allocatable": {"cpu": cpu, "memory": "16Gi"},
        "conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": ready}],
    }
    return msgspec.json.decode(
        msgspec.json.encode({"metadata": metadata, "spec": spec, "status": status}), type=Node
    )


def _rule(**given_fields: int | None) -> CapacityRule:
    fields: dict[str, int | None] = {
        "workflows_per_node": None,
        "tasks_per_node": None,
        "tasks_per_cpu": None,
    }
    fields.update(given_fields)
    return CapacityRule(
        selector=LabelSelector({"pool": "batch"}),
        lowest=Limits(Amount(1), Amount(2)),
        highest=Limits(Amount(50), Amount(100)),
        stabilization=STABLE,
        **fields,
    )


@pytest.mark.parametrize(
    ("node", "counts"),
    [
        (_node(), True),
        (_node(ready="False"), False),
        (_node(ready="Unknown"), False),
        (_node(unschedulable=True), False),
        (_node(deleted=True), False),
        (_node(taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]), False),
        (_node(taints=[{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]), False),
        (_node(taints=[{"key": "batch-only", "effect": "NoSchedule"}]), True),
        (Node(), False),
    ],
)
def test_a_node_counts_when_it_is_ready_and_stays(node: Node, counts: bool) -> None:  # noqa: FBT001 - a table
    """Cordoned, deleted and leaving nodes carry nothing new; other taints are the selector's business."""
    assert takes_pods(node) == counts


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (_rule(tasks_per_node=10), limits(None, 20)),
        (_rule(tasks_per_cpu=2), limits(None, 7 + 8)),  # A task does not span nodes: 3.92 cores carry 7.
        (_rule(workflows_per_node=3), limits(6, None)),
        (_rule(tasks_per_node=60, workflows_per_node=30), limits(50, 100)),
    ],
)
def test_the_nodes_that_are_selected_add_up_between_the_bounds(rule: CapacityRule, found: Limits) -> None:
    """Others are not seen, and min and max hold."""
    nodes = [_node("3920m"), _node("4"), _node("64", labels={"pool": "web"}), _node(ready="False")]
    assert measure(rule, nodes) == found
    assert measure(rule, [_node("much")]).tasks.value in (None, 2, 10, 60)


def test_without_nodes_the_least_is_left() -> None:
    """A cluster scaled to zero still lets something start, so that it scales up."""
    assert measure(_rule(tasks_per_cpu=2, workflows_per_node=1), []) == limits(1, 2)


def _run(rule: CapacityRule, steps: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return the limit on tasks after each step of seconds and measured tasks."""
    state, now, found = START, NOW, []
    for seconds, tasks in steps:
        now += timedelta(seconds=seconds)
        state = follow(state, limits(None, tasks), rule, now)
        found.append(limits_of(state).tasks.value)
    return found


def test_a_limit_rises_at_once_and_falls_when_it_was_low_long_enough() -> None:
    """To the most that was there meanwhile, and then on."""
    rule = _rule(tasks_per_node=10)
    steps = [(0, 50), (1, 80), (10, 40), (200, 60), (99, 30), (1, 30), (299, 30), (1, 30)]
    assert _run(rule, steps) == [50, 80, 80, 80, 80, 60, 60, 30]


@given(st.lists(st.tuples(st.integers(1, 299), st.booleans()), min_size=1, max_size=60))
def test_a_node_that_returns_in_time_changes_no_limit(flaps: list[tuple[int, bool]]) -> None:
    """However often it goes away, if never for five minutes, the limit stays."""
    steps = [(0, 40)]
    away = 0
    for seconds, there in flaps:
        away = 0 if there else away + seconds
        steps.append((seconds, 40 if there or away >= 299 else 30))
        away = 0 if steps[-1][1] == 40 else away
    assert set(_run(_rule(tasks_per_node=10), steps)) == {40}


measures = st.lists(st.tuples(st.integers(0, 400), st.integers(2, 100)), min_size=1, max_size=40)


@given(measures)
def test_a_limit_is_never_below_the_capacity_and_never_above_the_recent_capacity(
    steps: list[tuple[int, int]],
) -> None:
    """Capacity is used at once, and lost capacity is noticed within twice the stabilization time."""
    rule, now, state = _rule(tasks_per_node=10), NOW, START
    seen: list[tuple[datetime, int]] = []
    for seconds, tasks in steps:
        # Call at the due moments as well, as the leader does.
        target = now + timedelta(seconds=seconds)
        while (due := next_fall(state, rule)) is not None and due <= target:
            state = follow(state, limits(None, seen[-1][1]), rule, due)
            seen.append((due, seen[-1][1]))
        now = target
        state = follow(state, limits(None, tasks), rule, now)
        seen.append((now, tasks))
        found = limits_of(state).tasks.value
        assert found is not None
        assert found >= tasks
        recent = [value for at, value in seen if now - at <= 2 * STABLE]
        before = [value for at, value in seen if now - at > 2 * STABLE]
        assert found <= max([*recent, *before[-1:]])


@given(measures)
def test_steps_of_falling_are_stable_apart(steps: list[tuple[int, int]]) -> None:
    """A limit does not fall twice within the stabilization time."""
    now, falls, before = NOW, [], None
    for (seconds, _), found in zip(steps, _run(_rule(tasks_per_node=10), steps), strict=True):
        now += timedelta(seconds=seconds)
        if before is not None and found is not None and found < before:
            falls.append(now)
        before = found
    assert all(later - earlier >= STABLE for earlier, later in pairwise(falls))


def test_an_edit_of_the_bounds_acts_at_once() -> None:
    """Only nodes are waited for, not people."""
    rule = _rule(tasks_per_node=10)
    state = follow(START, limits(None, 80), rule, NOW)
    lowered = msgspec.structs.replace(rule, highest=Limits(Amount(50), Amount(20)))
    assert limits_of(follow(state, limits(None, 20), lowered, NOW)).tasks == Amount(20)


def test_a_new_leader_continues_from_the_limits_in_the_status() -> None:
    """A change of leader while nodes are away lowers nothing at once."""
    rule = _rule(tasks_per_node=10)
    state = follow(resumed(limits(None, 70)), limits(None, 30), rule, NOW)
    assert limits_of(state) == Limits(UNLIMITED, Amount(70))
    assert next_fall(state, rule) == NOW + STABLE
    assert limits_of(follow(state, limits(None, 30), rule, NOW + STABLE)).tasks == Amount(30)
    assert next_fall(START, rule) is None


def test_what_a_rule_gives_no_rate_for_is_not_bounded() -> None:
    """Also where it was bounded before the edit."""
    assert limits_of(follow(resumed(limits(3, 4)), limits(5, None), _rule(), NOW)) == limits(5, None)
    assert limits_of(Following()) == Limits()


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("4", 4000),
        ("3920m", 3920),
        ("0.5", 500),
        (".5", 500),
        ("2.", 2000),
        ("1e3", 1_000_000),
        ("1E-1", 100),
        ("2k", 2_000_000),
        ("1500u", 1),
        ("999999n", 0),
        ("1Ki", 1_024_000),
        ("+1", 1000),
        ("0", 0),
    ],
)
def test_a_quantity_reads_as_kubernetes_reads_it(text: str, thousandths: int) -> None:
    """Whole cores, thousandths, fractions, exponents and suffixes."""
    assert millicores(text) == thousandths


@given(st.integers(0, 10**9), st.integers(0, 9999), st.sampled_from(sorted(SUFFIXES)))
def test_the_number_is_exact_and_rounded_down(whole: int, fraction: int, suffix: str) -> None:
    """No float is in between, however large or small it is."""
    exact = Fraction(f"{whole}.{fraction:04}") * SUFFIXES[suffix] * 1000
    assert millicores(f"{whole}.{fraction:04}{suffix}") == exact.__floor__()


@pytest.mark.parametrize(
    "text", ["", ".", "m", "-1", "1 m", "1x", "1e", "1mm", "\uff11", "1e999", "0x10", "NaN"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """A node with such text has no capacity; nothing is guessed."""
    with pytest.raises(ValueError, match="is no quantity of CPU"):
        millicores(text)
