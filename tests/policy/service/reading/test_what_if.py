"""What is said to help does help: each option is carried out, and the leader does what was said."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from policy.core.cluster_view.options import Option, OptionKind, options
from policy.core.cluster_view.story import StoryState
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    GroupSpec,
    PerWorkflow,
    QuotaLimits,
    WindowSpec,
    WorkflowQuotaSpec,
)
from policy.core.queue.positions import positions
from policy.service.reading.queued_story import story_of_queued
from policy.service.reading.what_if import WorkflowWhatIf
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import complete, member, pool, quota


def offered(scene: Scene, name: str, namespace: str = "a") -> dict[OptionKind, Option]:
    """Return what is said to help a Workflow that waits."""
    roots = scene.roots()
    uid = scene.uid(name, namespace)
    tracked = roots.reading.tracker.get(uid)
    live = roots.of_namespace(namespace)
    position = live.position(namespace, uid)
    assert tracked is not None
    assert position is not None
    found = options(live, position, WorkflowWhatIf(roots, tracked), scene.clock())
    return {each.kind: each for each in found}


def first_in_line(scene: Scene) -> str:
    """Return the name of the first that waits."""
    return positions(scene.roots().of_namespace("a").planner, "a")[0].waiter.name


def crowded(*policies: Document) -> Scene:
    """Return a namespace with 8 of 10 tasks in use by four Workflows, where three wait: for 5, 4 and 3."""
    scene = Scene(*(policies or (quota("a", "main", tasks=10),)))
    for name in ("r1", "r2", "r3", "r4"):
        scene.submit(name, tasks=2)
    scene.leader.work()
    scene.submit("w1", tasks=5)
    scene.submit("w2", tasks=4)
    scene.submit("w3", tasks=3)
    scene.clock.advance(timedelta(minutes=2))
    scene.leader.work()
    return scene


@pytest.fixture
def scene() -> Scene:
    """Return the crowded namespace."""
    return crowded()


def test_a_higher_priority_leads_to_the_position_that_was_said(scene: Scene) -> None:
    """The priority is the lowest that is above all that go first."""
    found = offered(scene, "w3")[OptionKind.RAISE_PRIORITY]
    assert (found.value, found.position, found.starts) == (1, 1, False)
    scene.edit("w3", {"priority": found.value})
    scene.leader.work()
    assert first_in_line(scene) == "w3"


def test_one_lower_priority_would_not_do(scene: Scene) -> None:
    """What is offered is no more than is needed."""
    found = offered(scene, "w3")[OptionKind.RAISE_PRIORITY]
    assert found.value is not None
    scene.edit("w3", {"priority": found.value - 1})
    assert first_in_line(scene) != "w3"


def test_no_priority_above_the_cap_is_offered() -> None:
    """An option that admission would refuse is none."""
    capped = msgspec.structs.replace(
        quota("a", "main", tasks=10),
        spec=msgspec.structs.replace(
            quota("a", "main", tasks=10).spec, per_workflow=PerWorkflow(max_priority=0)
        ),
    )
    assert OptionKind.RAISE_PRIORITY not in offered(crowded(capped), "w3")


@pytest.mark.parametrize("name", ["w1", "w2", "w3"])
def test_fewer_tasks_let_it_start(name: str) -> None:
    """Two tasks are left, so a Workflow that needs two starts, and with three it does not."""
    scene = crowded()
    found = offered(scene, name)[OptionKind.NEEDS_FEWER_TASKS]
    assert (found.value, found.starts) == (2, True)
    scene.edit(name, {"parallelism": 3})
    scene.leader.work()
    assert scene.waits(name)
    scene.edit(name, {"parallelism": found.value})
    scene.leader.work()
    assert not scene.waits(name)


def test_a_higher_limit_lets_it_start(scene: Scene) -> None:
    """The limit is raised by just what is missing for this one."""
    found = offered(scene, "w1")[OptionKind.RAISE_LIMIT]
    assert found.text == "spec.limits.tasks of WorkflowQuota a/main 13 instead of 10: it starts now"
    scene.set_policies(quota("a", "main", tasks=12))
    scene.leader.work()
    assert scene.waits("w1")


def test_the_limit_that_was_said_is_enough(scene: Scene) -> None:
    """It is the first, so it has what was added."""
    scene.set_policies(quota("a", "main", tasks=13))
    scene.leader.work()
    assert not scene.waits("w1")


def test_a_limit_that_lets_it_pass_others_is_raised_for_it_alone(scene: Scene) -> None:
    """With one more task the last of three fits, and those before it still do not."""
    found = offered(scene, "w3")[OptionKind.RAISE_LIMIT]
    assert found.text.startswith("spec.limits.tasks of WorkflowQuota a/main 11 instead of 10: ")
    scene.set_policies(quota("a", "main", tasks=11))
    scene.leader.work()
    assert not scene.waits("w3")


def test_a_limit_that_others_would_use_first_is_raised_for_these_too() -> None:
    """One slot more is for the first that waits, so the second needs two."""
    scene = Scene(quota("a", "main", workflows=1))
    for name in ("r1", "w1", "w2"):
        scene.submit(name)
    scene.leader.work()
    found = offered(scene, "w2")[OptionKind.RAISE_LIMIT]
    assert found.text == (
        "spec.limits.workflows of WorkflowQuota a/main 3 instead of 1 (room for it and the 1 before it): "
        "it starts now"
    )
    scene.set_policies(quota("a", "main", workflows=2))
    scene.leader.work()
    assert scene.waits("w2")
    scene.set_policies(quota("a", "main", workflows=3))
    scene.leader.work()
    assert not scene.waits("w2")


def test_what_has_to_end_is_counted_with_the_oldest_first(scene: Scene) -> None:
    """Those that start meanwhile are ended after those that run now."""
    ends = {name: offered(scene, name)[OptionKind.OTHERS_END].value for name in ("w1", "w2", "w3")}
    running, over = ["r1", "r2", "r3", "r4"], set[str]()
    for number in range(1, 1 + max(each or 0 for each in ends.values())):
        over.add(running[0])
        complete(scene.cluster, running.pop(0), namespace="a")
        scene.leader.work()
        started = {name for name in ends if not scene.waits(name)}
        assert started == {name for name, count in ends.items() if count is not None and count <= number}
        running += sorted(started.difference(running, over))


def test_a_window_that_opens_is_offered_with_its_time() -> None:
    """Nothing has to be done but to wait for it."""
    night = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(tasks=20))
    day = quota("a", "main", tasks=10)
    elastic = WorkflowQuota(day.metadata, msgspec.structs.replace(day.spec, windows=(night,)))
    scene = crowded(elastic)
    found = offered(scene, "w1")[OptionKind.LIMITS_CHANGE]
    assert found.at == datetime(2026, 11, 23, 20, tzinfo=UTC)
    scene.clock.advance(found.at - scene.clock() - timedelta(seconds=1))
    scene.leader.work()
    assert scene.waits("w1")
    scene.clock.advance(timedelta(seconds=1))
    scene.leader.work()
    assert not scene.waits("w1")


def test_the_limit_of_a_window_is_the_one_to_raise_while_it_is_open() -> None:
    """To raise the other would change nothing."""
    noon = WindowSpec("noon", "0 12 * * *", "4h", QuotaLimits(tasks=10))
    base = quota("a", "main", tasks=50)
    elastic = WorkflowQuota(base.metadata, msgspec.structs.replace(base.spec, windows=(noon,)))
    found = offered(crowded(elastic), "w1")[OptionKind.RAISE_LIMIT]
    assert found.text.startswith("spec.windows[0].limits.tasks of WorkflowQuota a/main 13 instead of 10")


def test_the_limit_of_a_user_is_the_one_to_raise_where_it_is_short() -> None:
    """The limit of all has room."""
    scene = Scene(quota("a", "main", workflows=10, per_user=1))
    scene.submit("r1")
    scene.submit("w1")
    scene.leader.work()
    found = offered(scene, "w1")[OptionKind.RAISE_LIMIT]
    assert found.text.startswith("spec.perUser.workflows of WorkflowQuota a/main 2 instead of 1")
    scene.set_policies(quota("a", "main", workflows=10, per_user=2))
    scene.leader.work()
    assert not scene.waits("w1")


@pytest.mark.parametrize("borrows", [None, 5])
def test_the_limit_of_a_pool_is_raised_for_all_members(borrows: int | None) -> None:
    """Whether members borrow or not, the pool is what is full."""
    policies: list[Document] = [
        pool("data", workflows=2, borrows=borrows),
        member("a", "data"),
        member("b", "data"),
    ]
    scene = Scene(*policies)
    scene.submit("r1", "a")
    scene.submit("r2", "b")
    scene.submit("w1", "a")
    scene.leader.work()
    waits = next(name for name in ("r1", "w1") if scene.waits(name))
    found = offered(scene, waits)[OptionKind.RAISE_LIMIT]
    assert found.text == "spec.limits.workflows of ClusterWorkflowQuota data 3 instead of 2: it starts now"
    scene.set_policies(pool("data", workflows=3, borrows=borrows), *policies[1:])
    scene.leader.work()
    assert not scene.waits(waits)


def test_two_limits_that_are_short_are_raised_together() -> None:
    """To raise one alone would not help, and is not offered."""
    policies: list[Document] = [
        quota("a", "main", workflows=1),
        pool("data", workflows=1),
        member("a", "data"),
    ]
    scene = Scene(*policies)
    scene.submit("r1")
    scene.submit("w1")
    scene.leader.work()
    found = offered(scene, "w1")[OptionKind.RAISE_LIMIT]
    assert "WorkflowQuota a/main 2 instead of 1" in found.text
    assert "ClusterWorkflowQuota data 2 instead of 1" in found.text


def test_one_that_can_never_start_is_offered_what_lets_it() -> None:
    """Fewer tasks, or a higher limit; no priority helps it."""
    scene = Scene(quota("a", "main", tasks=4))
    scene.submit("huge", tasks=9)
    scene.leader.work()
    found = offered(scene, "huge")
    assert set(found) == {OptionKind.NEEDS_FEWER_TASKS, OptionKind.RAISE_LIMIT}
    scene.edit("huge", {"parallelism": found[OptionKind.NEEDS_FEWER_TASKS].value})
    scene.leader.work()
    assert not scene.waits("huge")


@pytest.fixture
def grouped() -> Scene:
    """Return a namespace where each user runs one, and ann has one that runs and two that wait."""
    group = GroupSpec(name="own", key="{{user}}")
    spec = WorkflowQuotaSpec(limits=QuotaLimits(9), groups=(group,))
    scene = Scene(WorkflowQuota(PolicyMetadata("main", "a"), spec))
    scene.submit("of-bob", user="bob")
    scene.leader.work()
    for name in ("first", "second", "third"):
        scene.submit(name)
    scene.leader.work()
    return scene


def test_who_waits_for_a_key_is_told_who_has_it(grouped: Scene) -> None:
    """That others end is no help, but for the one that is named."""
    roots = grouped.roots()
    story = story_of_queued(roots, grouped.uid("second", "a"))
    assert story is not None
    assert story.state is StoryState.QUEUED
    assert story.sentences[1] == (
        "waits for room in WorkflowQuota a/main group own key ann (workflows: 1 needed, 1 of 1 used): "
        "first has this key; it starts when that has ended"
    )
    assert OptionKind.OTHERS_END not in offered(grouped, "second")


def test_a_higher_limit_of_the_group_lets_it_start(grouped: Scene) -> None:
    """The field is that of the group, and no other limit is short."""
    found = offered(grouped, "second")[OptionKind.RAISE_LIMIT]
    assert found.text == (
        "spec.groups[0].limits.workflows of WorkflowQuota a/main 2 instead of 1: it starts now"
    )
