"""Every mistake in the parts of a quota is reported with its field path."""

from collections.abc import Iterable
from typing import Final

import msgspec

from policy.core.policies.quota_part_checks import (
    MAX_WINDOWS,
    borrowing_problems,
    elastic_problems,
    fair_share_problems,
    queue_problems,
    reserve_problems,
    window_problems,
)
from policy.core.policy_kinds.quota_parts import (
    BorrowingSpec,
    ElasticSpec,
    FairShareSpec,
    QueueSpec,
    QueueStrategy,
    QuotaLimits,
    ReserveSpec,
    ShareSpec,
    WindowSpec,
)
from policy.core.values.problems import Problem


def _paths(problems: Iterable[Problem]) -> list[str]:
    return [each.path for each in problems]


def test_the_fields_are_those_of_the_design() -> None:
    """As people write them: camelCase, and CPU in capitals."""
    queue = msgspec.convert(
        {"strategy": "StrictFIFO", "maxLength": 500, "maxWait": "6h", "aging": "10m"}, QueueSpec
    )
    assert queue == QueueSpec(QueueStrategy.STRICT_FIFO, 500, "6h", "10m")
    elastic = msgspec.convert(
        {"source": "Nodes", "tasksPerCPU": 2, "min": {"tasks": 4}, "max": {"tasks": 400}}, ElasticSpec
    )
    assert elastic.tasks_per_cpu == 2
    window = msgspec.convert(
        {
            "name": "night",
            "schedule": "0 20 * * *",
            "duration": "10h",
            "timeZone": "Europe/Berlin",
            "limits": {"workflows": 40},
        },
        WindowSpec,
    )
    assert window.time_zone == "Europe/Berlin"
    assert not list(queue_problems(queue, "q"))
    assert not list(elastic_problems(elastic, "e"))


def test_defaults_have_no_problems() -> None:
    """What is left out is right."""
    assert not list(queue_problems(QueueSpec(), "q"))
    assert not list(borrowing_problems(BorrowingSpec(), "b"))
    assert not list(fair_share_problems(FairShareSpec(), "f"))
    assert not list(reserve_problems((), QuotaLimits(), "r"))


def test_wrong_values_of_a_queue_are_reported() -> None:
    """Lengths and times."""
    wrong = QueueSpec(max_length=-1, max_wait="soon", aging="1s")
    assert _paths(queue_problems(wrong, "q")) == ["q.maxLength", "q.maxWait", "q.aging"]


def test_a_reserve_is_a_part_of_a_limit_that_is_set() -> None:
    """Not more than all of it, not of nothing, and not nothing."""
    bounds = QuotaLimits(workflows=3)
    wrong = [
        ReserveSpec(0),
        ReserveSpec(0, workflows=-1),
        ReserveSpec(0, tasks=2),
        ReserveSpec(0, workflows=4),
    ]
    assert _paths(reserve_problems(wrong, bounds, "r")) == ["r[0]", "r[1].workflows", "r[2].tasks", "r"]
    assert not list(reserve_problems([ReserveSpec(0, workflows=3)], bounds, "r"))


def test_wrong_bounds_of_borrowing_are_reported() -> None:
    """Each by its field."""
    wrong = BorrowingSpec(borrowing_limit=QuotaLimits(tasks=-1), lending_limit=QuotaLimits(workflows=-2))
    assert _paths(borrowing_problems(wrong, "b")) == ["b.borrowingLimit.tasks", "b.lendingLimit.workflows"]


def test_wrong_shares_are_reported() -> None:
    """Nothing, less than nothing, and of what is no namespace."""
    shares = {"a": ShareSpec(), "b": ShareSpec(workflows=-1), "C": ShareSpec(tasks=2**63), "d": ShareSpec(0)}
    assert _paths(borrowing_problems(BorrowingSpec(shares=shares), "b")) == [
        "b.shares",
        "b.shares.C.tasks",
        "b.shares.a",
        "b.shares.b.workflows",
    ]


def test_wrong_weights_are_reported() -> None:
    """A weight of 0 would stop a namespace for ever."""
    wrong = FairShareSpec(weights={"a": 0, "b": 1, "c": 1001}, half_life="0s")
    assert _paths(fair_share_problems(wrong, "f")) == ["f.weights.a", "f.weights.c", "f.halfLife"]


def test_limits_that_follow_nodes_follow_one_thing_between_bounds() -> None:
    """Nothing to follow, both rates, and bounds upside down."""
    assert _paths(elastic_problems(ElasticSpec(), "e")) == ["e"]
    wrong = ElasticSpec(
        tasks_per_node=0,
        tasks_per_cpu=1,
        workflows_per_node=1,
        min=QuotaLimits(tasks=9, workflows=-1),
        max=QuotaLimits(tasks=8),
        stabilization="x",
    )
    assert _paths(elastic_problems(wrong, "e")) == [
        "e",
        "e.tasksPerNode",
        "e.min.workflows",
        "e.min.tasks",
        "e.stabilization",
    ]


def test_a_limit_that_follows_nodes_needs_a_minimum() -> None:
    """A forgotten least would be none, and an autoscaler never sees what is not let go."""
    found = list(elastic_problems(ElasticSpec(tasks_per_cpu=2), "e"))
    assert found == [
        Problem("e.min.tasks", "is needed with tasksPerCPU, as a number: what may run where no node is ready")
    ]
    unlimited = ElasticSpec(workflows_per_node=2, min=QuotaLimits(workflows="Unlimited"))
    assert _paths(elastic_problems(unlimited, "e")) == ["e.min.workflows"]
    assert not list(elastic_problems(ElasticSpec(tasks_per_cpu=2, min=QuotaLimits(tasks=0)), "e"))


def test_a_bound_of_what_does_not_follow_nodes_is_reported() -> None:
    """It would bound nothing."""
    spec = ElasticSpec(
        tasks_per_node=2, min=QuotaLimits(workflows=1, tasks=1), max=QuotaLimits(workflows="Unlimited")
    )
    assert _paths(elastic_problems(spec, "e")) == ["e.min.workflows", "e.max.workflows"]


def test_a_reserve_is_for_a_priority_that_a_workflow_can_have() -> None:
    """They have 32 bits, and none is above the highest."""
    levels = (-(2**31) - 1, -(2**31), 2**31 - 2, 2**31 - 1)
    specs = [ReserveSpec(level, workflows=1) for level in levels]
    assert _paths(reserve_problems(specs, QuotaLimits(workflows=9), "r")) == [
        "r[0].abovePriority",
        "r[3].abovePriority",
    ]


def test_weights_are_given_to_names_that_a_namespace_can_have() -> None:
    """Another name would have no effect."""
    spec = FairShareSpec(weights={"team-a": 2, "Team_B": 2, "a" * 64: 2, "a" * 63: 2})
    assert [each.message for each in fair_share_problems(spec, "f")] == [
        "'Team_B' is no name of a namespace",
        f"'{'a' * 64}' is no name of a namespace",
    ]


NIGHT: Final = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(workflows=40), "Europe/Berlin")
REPAIR: Final = WindowSpec("repair", "0 1 * * 0", "1h", QuotaLimits(workflows=0, tasks=5), "Europe/Berlin")


def test_every_mistake_is_reported_with_its_place() -> None:
    """Name, zone, schedule, duration and limits, all at once."""
    wrong = [
        WindowSpec("", "0 20 * *", "10", QuotaLimits(), "Mars/Phobos"),
        WindowSpec("a", "0 20 * * *", "30s", QuotaLimits(1)),
        WindowSpec("a", "0 0 30 2 *", "1h", QuotaLimits(1)),
    ]
    assert [each.path for each in window_problems(wrong, "spec.windows")] == [
        "spec.windows[0].name",
        "spec.windows[0].timeZone",
        "spec.windows[0].schedule",
        "spec.windows[0].duration",
        "spec.windows[0].limits",
        "spec.windows[1].duration",
        "spec.windows[2].name",
        "spec.windows[2].schedule",
    ]
    assert not list(window_problems([NIGHT, REPAIR], "spec.windows"))


def test_too_many_windows_are_refused() -> None:
    """The bound of the CRD."""
    many = [WindowSpec(str(number), "0 8 * * *", "1h", QuotaLimits(1)) for number in range(MAX_WINDOWS + 1)]
    assert [each.path for each in window_problems(many, "w")] == ["w"]
