"""`lockkeeper hold`, `resume`, `priority` and `cancel`: what users do to a queue, and what becomes of it."""

import argparse
from collections.abc import Callable

import pytest

from lockkeeper.cli import holding, priority
from lockkeeper.process.console import UsageError
from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.protocol import WORKFLOW_QUOTAS, WORKFLOWS, Resource
from policy.core.queue.positions import WaitReason
from policy.service.reading.cluster_views import cluster_view
from tests.policy.service.reading.read_cluster import Admitting, Scene
from tests.policy.service.world import complete, part, quota

Act = Callable[..., int]
MODULES = {"hold": holding, "resume": holding, "cancel": holding, "priority": priority}


@pytest.fixture
def scene() -> Scene:
    """Return a namespace with one slot that is taken, where three wait."""
    made = Scene(quota("a", "main", workflows=1))
    for name in ("r", "w1", "w2", "w3"):
        made.submit(name)
    made.leader.work()
    return made


@pytest.fixture
def act(scene: Scene) -> Act:
    """Return what runs a command with its arguments."""

    def acted(
        command: str,
        *arguments: str,
        cluster: Admitting | None = None,
        yes: bool = False,
    ) -> int:
        parser = argparse.ArgumentParser(prog=f"lockkeeper {command}")
        MODULES[command].configure(parser)
        parsed = parser.parse_args([*arguments, "-n", "a"])
        reached = cluster or Admitting(scene)
        if command == "priority":
            return priority.act(reached, parsed, scene.clock, lambda _: yes)
        return holding.act(reached, parsed)

    return acted


def end_and_release(scene: Scene, name: str) -> None:
    """Let a Workflow end, and the next start."""
    complete(scene.cluster, name, namespace="a")
    scene.leader.work()


def test_a_workflow_on_hold_waits_and_blocks_no_other(scene: Scene, act: Act) -> None:
    """It is released in its turn when it is resumed."""
    act("hold", "w1")
    end_and_release(scene, "r")
    assert scene.waits("w1")
    assert not scene.waits("w2")
    rows = {each.name: each for each in cluster_view(scene.roots()).waiting}
    assert rows["w1"].reason is WaitReason.ON_HOLD
    assert "lockkeeper resume w1 -n a" in rows["w1"].message
    act("resume", "workflow/w1")
    end_and_release(scene, "w2")
    assert not scene.waits("w1")


@pytest.mark.parametrize(("options", "policy"), [((), "Hold"), (("--drain",), "HoldAndDrain")])
def test_a_quota_is_held_and_resumed(scene: Scene, act: Act, options: tuple[str, ...], policy: str) -> None:
    """By the field that its author would write."""
    assert act("hold", "quota/main", *options) == 0
    assert part(scene.cluster.get(WORKFLOW_QUOTAS, "main", namespace="a"), "spec", "stopPolicy") == policy
    assert act("resume", "quota/main") == 0
    assert part(scene.cluster.get(WORKFLOW_QUOTAS, "main", namespace="a"), "spec", "stopPolicy") == "None"


def test_one_that_is_cancelled_ends_without_a_slot(scene: Scene, act: Act) -> None:
    """Nothing of it runs, though nothing is free."""
    assert act("cancel", "w2") == 0
    scene.leader.work()
    found = scene.cluster.get(WORKFLOWS, "w2", namespace="a")
    assert part(found, "status", "phase") == "Failed"
    assert "nothing of it ran" in str(part(found, "status", "message"))
    assert scene.waits("w1")


def test_a_priority_leads_to_the_position_that_was_said(
    scene: Scene, act: Act, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said before anybody is asked."""
    assert act("priority", "w3", "5", yes=True) == 0
    assert capsys.readouterr().out.splitlines() == [
        "with priority 5: position 1 of 3 in a, 0 before it",
        "workflow w3 has priority 5",
    ]
    end_and_release(scene, "r")
    assert not scene.waits("w3")


def test_no_is_an_answer(scene: Scene, act: Act) -> None:
    """Then nothing is changed."""
    assert act("priority", "w3", "5") == 1
    end_and_release(scene, "r")
    assert scene.waits("w3")


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("cancel", ("r",), "r does not wait"),
        ("hold", ("r",), "r does not wait"),
        ("priority", ("r", "5"), "r does not wait"),
        ("cancel", ("w22",), "there is no Workflow w22 in a"),
        ("hold", ("quota/other",), "there is no quota other in a"),
        ("cancel", ("quota/main",), "quota main is no Workflow"),
    ],
)
def test_what_can_not_be_done_is_told_in_one_line(
    act: Act, command: str, arguments: tuple[str, ...], text: str
) -> None:
    """The line names the object, and what to do."""
    with pytest.raises(UsageError, match=text) as error:
        act(command, *arguments)
    assert "\n" not in str(error.value)


class Refusing(Admitting):
    """A cluster that lets this user read only."""

    def asked(self, resource: Resource, name: str) -> None:
        """Refuse."""
        raise Forbidden(f"cannot patch resource {resource.plural} {name}")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("cancel", ("w1",)), ("hold", ("w1",)), ("hold", ("quota/main",)), ("priority", ("w1", "5", "--yes"))],
)
def test_a_missing_right_is_told_with_the_object(
    scene: Scene, act: Act, command: str, arguments: tuple[str, ...]
) -> None:
    """The user knows then whom to ask for what."""
    with pytest.raises(UsageError, match="cannot patch resource"):
        act(command, *arguments, cluster=Refusing(scene))


class Vanishing(Admitting):
    """A cluster in which the object is deleted between the read and the change."""

    def asked(self, resource: Resource, name: str) -> None:
        """Find nothing."""
        raise NotFound(f"{resource.plural} {name} not found")


def test_one_that_was_deleted_meanwhile_is_told(scene: Scene, act: Act) -> None:
    """Nothing else was changed in its place."""
    with pytest.raises(UsageError, match="there is no workflow w1 in a"):
        act("cancel", "w1", cluster=Vanishing(scene))
