"""What quotas promise, as a user of a cluster sees it by kubectl: each feature on an installation."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import pytest

from policy.cluster.protocol import NODES, WORKFLOWS, JsonPatch
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from tests.e2e.creating import workflow
from tests.e2e.installed import Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, await_everywhere
from tests.patience import PATIENCE
from tests.policy.service.world import is_held, part

pytestmark = [pytest.mark.e2e, ASKING]

API: Final = "lockkeeper.dev/v1alpha1"
NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give an installation without policies."""
    with installation(tmp_path_factory.mktemp("features")) as installed:
        yield installed


class Team:
    """One namespace of the installation, with a quota of its own."""

    def __init__(self, installed: Installed, spec: dict[str, Any] | None = None, **labels: str) -> None:
        self._installed = installed
        self.name = installed.namespace(f"feature-{next(NUMBERS)}", **labels)
        if spec is not None:
            self.quota(spec)

    def quota(self, spec: dict[str, Any]) -> None:
        """Apply the quota `main`, and wait until it is in force and its figures are there."""
        document = {
            "apiVersion": API,
            "kind": "WorkflowQuota",
            "metadata": {"name": "main", "namespace": self.name},
            "spec": spec,
        }
        applied = self._installed.site.kubectl.said("apply", "-f", "-", text=json.dumps(document))
        assert "main" in applied
        self.kubectl("wait", "--for=condition=Ready", "workflowquota/main", AWHILE)
        until(lambda: "running" in self.figures(), f"{self.name} has no figures")

    def figures(self) -> dict[str, Any]:
        """Return the status of the quota."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "workflowquota/main", "-o", "json"))
        return dict(found.get("status") or {})

    def create(self, name: str, **spec: Any) -> str:
        """Create a Workflow as a user does; returns what kubectl says on standard error."""
        obj = workflow(name)
        body = obj["spec"]
        assert isinstance(body, dict)
        body.update(spec)
        done = self._installed.site.kubectl.run(
            "create", f"--namespace={self.name}", "-f", "-", text=json.dumps(obj)
        )
        return done.stderr

    def held(self) -> list[str]:
        """Return the names of those who wait."""
        listing = self._installed.cluster.list(WORKFLOWS, namespace=self.name)
        return sorted(str(part(each, "metadata", "name")) for each in listing.items if is_held(each))

    def status(self, name: str) -> JsonObject:
        """Return the status of a Workflow."""
        found = part(self._installed.cluster.get(WORKFLOWS, name, namespace=self.name), "status")
        return found if isinstance(found, dict) else {}

    def finish(self, name: str) -> None:
        """Let a Workflow be over, as somebody who deletes it."""
        self.kubectl("delete", "workflow", name)

    def await_held(self, *names: str) -> None:
        """Wait until exactly these wait."""
        until(lambda: self.held() == sorted(names), f"not {names} but {self.held()} wait in {self.name}")

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace and return what it says."""
        return self._installed.site.kubectl.said(*arguments, f"--namespace={self.name}")


def test_the_most_urgent_goes_first_and_the_status_tells_the_place(installed: Installed) -> None:
    """A queue is ordered by priority; each shows its position, and the quota its figures."""
    team = Team(installed, {"limits": {"workflows": 1}})
    team.create("first")
    team.await_held()
    for name, priority in (("usual", 0), ("urgent", 10)):
        team.create(name, priority=priority)
    team.await_held("usual", "urgent")
    until(lambda: "position 2 of 2" in str(team.status("usual").get("message")), str(team.status("usual")))
    assert team.status("urgent")["phase"] == "Pending"
    until(
        lambda: (team.figures()["running"], team.figures()["queued"]) == (1, 2),
        f"the figures are {team.figures()}",
    )
    table = installed.site.kubectl.said("get", "wfq", f"--namespace={team.name}")
    assert [each for each in table.splitlines()[0].split() if each in ("RUNNING", "LIMIT", "QUEUED")]
    team.finish("first")
    team.await_held("usual")


@pytest.mark.parametrize(
    "asked",
    [
        ("patch", "workflow", "first", "--type=merge", "-p", '{"spec":{"shutdown":"Terminate"}}'),
        ("patch", "workflow", "first", "--type=merge", "-p", '{"spec":{"shutdown":"Stop"}}'),
        ("delete", "workflow", "first"),
    ],
    ids=["terminated", "stopped", "deleted"],
)
def test_one_that_is_stopped_or_deleted_while_it_waits_leaves_the_queue(
    installed: Installed, asked: tuple[str, ...]
) -> None:
    """It ends at once though nothing may run, and the next one moves up; who stopped it sees why it ended."""
    team = Team(installed, {"limits": {"workflows": 0}})
    for name in ("first", "second"):
        team.create(name)
    moved_up = f"queued by lockkeeper: position 1 of 1 in {team.name} (0/0 running)"
    until(lambda: "position 2 of 2" in str(team.status("second").get("message")), "no place is shown")
    team.kubectl(*asked)
    until(lambda: str(team.status("second").get("message")).startswith(moved_up), "nobody moves up")
    team.await_held("second")
    if asked[0] == "delete":
        return
    status = team.status("first")
    assert status["phase"] == "Failed"
    assert f"while it waited in {team.name}: nothing of it ran" in str(status["message"])


def test_a_quota_governs_those_that_refer_to_its_template(installed: Installed) -> None:
    """They wait for each other, and what refers to nothing is not held; the API server knows the field."""
    team = Team(installed)
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": team.name},
        "spec": workflow("etl")["spec"],
    }
    installed.site.kubectl.said("apply", "-f", "-", text=json.dumps(template))
    team.quota({"selector": {"matchReferences": {"workflowTemplates": ["etl"]}}, "limits": {"workflows": 1}})
    for name in ("first", "second"):
        team.create(name, entrypoint=None, templates=None, workflowTemplateRef={"name": "etl"})
    team.create("other")
    team.await_held("second")
    until(lambda: "position 1 of 1" in str(team.status("second").get("message")), str(team.status("second")))
    team.finish("first")
    team.await_held()


def test_those_that_were_there_before_the_quota_count_in_it(installed: Installed) -> None:
    """The controller reads what they refer to, and records it; the one that comes then waits."""
    team = Team(installed, {"limits": {"workflows": 9}})
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": team.name},
        "spec": workflow("etl")["spec"],
    }
    installed.site.kubectl.said("apply", "-f", "-", text=json.dumps(template))
    team.create("before", entrypoint=None, templates=None, workflowTemplateRef={"name": "etl"})
    team.await_held()
    team.quota({"selector": {"matchReferences": {"workflowTemplates": ["etl"]}}, "limits": {"workflows": 1}})
    until(lambda: team.figures()["running"] == 1, f"the figures are {team.figures()}")
    team.create("after", entrypoint=None, templates=None, workflowTemplateRef={"name": "etl"})
    team.await_held("after")


def test_a_quota_above_the_limit_of_argo_says_so(installed: Installed) -> None:
    """Argo's label of the namespace is lower, and Workflows would wait in Argo after their release."""
    team = Team(installed, {"limits": {"workflows": 5}}, **{"workflows.argoproj.io/parallelism-limit": "2"})
    team.kubectl("wait", "--for=condition=LimitedByArgo", "workflowquota/main", AWHILE)
    team.quota({"limits": {"workflows": 2}})
    until(
        lambda: "LimitedByArgo" not in str(team.figures()["conditions"]),
        f"the conditions are {team.figures()['conditions']}",
    )


def test_a_full_queue_refuses_with_429(installed: Installed) -> None:
    """However fast they come, as soon as the replicas have heard of the figures of a quota that is new."""
    team = Team(installed, {"limits": {"workflows": 0}, "queue": {"maxLength": 2}})
    said: list[str] = []

    def refused() -> bool:
        said.append(team.create(f"w{len(said)}"))
        return "TooManyRequests" in said[-1]

    until(refused, "nobody is refused")
    assert f"the queue of {team.name} is full" in said[-1]
    await_everywhere(installed, team.name, lambda answer: not answer.allowed, "a replica goes on taking them")
    waiting = len(team.held())
    assert waiting >= 2
    until(lambda: team.figures()["queued"] == waiting, f"the figures are {team.figures()}")
    assert all("TooManyRequests" in team.create(f"late-{number}") for number in range(4))


def test_who_waits_for_too_long_fails_and_never_runs(installed: Installed) -> None:
    """`maxWait` passed: Failed, with a message that says so, and complete."""
    team = Team(installed, {"limits": {"workflows": 0}, "queue": {"maxWait": "3s"}})
    team.create("late")
    until(lambda: team.status("late").get("phase") == "Failed", str(team.status("late")))
    assert "spec.queue.maxWait is 3s" in str(team.status("late")["message"])
    obj = installed.cluster.get(WORKFLOWS, "late", namespace=team.name)
    assert part(obj, "metadata", "labels", "workflows.argoproj.io/completed") == "true"
    assert not is_held(obj)


def test_a_queue_on_hold_lets_nobody_go_and_one_that_drains_takes_nobody(installed: Installed) -> None:
    """`stopPolicy` is the switch for an incident; it is undone by an edit."""
    team = Team(installed, {"limits": {"workflows": 5}, "stopPolicy": "Hold"})
    team.create("waits")
    team.await_held("waits")
    until(lambda: "on hold" in str(team.status("waits").get("message")), str(team.status("waits")))
    team.quota({"limits": {"workflows": 5}, "stopPolicy": "HoldAndDrain"})
    until(lambda: "nothing new may queue" in team.create("refused"), "newcomers are still taken")
    team.quota({"limits": {"workflows": 5}, "stopPolicy": "None"})
    team.await_held()


def test_an_edited_limit_acts_at_once(installed: Installed) -> None:
    """`kubectl edit` of a limit lets those go that fit now; lowering takes nothing away."""
    team = Team(installed, {"limits": {"workflows": 1}})
    for name in ("a", "b", "c"):
        team.create(name)
    until(lambda: len(team.held()) == 2, "not one of three runs")
    team.quota({"limits": {"workflows": 3}})
    team.await_held()
    team.quota({"limits": {"workflows": 1}})
    until(lambda: team.figures()["running"] == 3, f"the figures are {team.figures()}")
    assert team.figures()["effectiveLimits"]["workflows"] == 1


def hourly(name: str, opens: datetime, *, duration: str) -> dict[str, Any]:
    """Return a window that lets two run, from the minute of a time on in every hour."""
    return {
        "name": name,
        "schedule": f"{opens.minute} * * * *",
        "duration": duration,
        "limits": {"workflows": 2},
    }


def test_a_window_that_is_open_gives_its_own_limit(installed: Installed) -> None:
    """A window of every hour that lasts an hour is always open; its limit counts, and its name is shown."""
    window = hourly("always", datetime.now(UTC), duration="1h")
    team = Team(installed, {"limits": {"workflows": 0}, "windows": [window]})
    for name in ("a", "b", "c"):
        team.create(name)
    until(lambda: len(team.held()) == 1, f"{team.held()} wait")
    assert team.figures()["openWindows"] == ["always"]
    assert team.figures()["effectiveLimits"]["workflows"] == 2


def test_a_window_that_opens_lets_those_go_who_wait_for_it(installed: Installed) -> None:
    """Time alone does it, at the minute that its schedule names: nothing else happens then."""
    opens = (datetime.now(UTC) + timedelta(seconds=120)).replace(second=0, microsecond=0)
    window = hourly("soon", opens, duration="10m")
    team = Team(installed, {"limits": {"workflows": 0}, "windows": [window]})
    for name in ("a", "b", "c"):
        team.create(name)
    until(lambda: team.figures()["queued"] == 3, f"{team.figures()}")
    assert datetime.now(UTC) < opens, "this machine is too slow to see the window open"
    until(lambda: len(team.held()) == 1, f"{team.held()} wait", seconds=120 + PATIENCE)
    assert datetime.now(UTC) >= opens
    until(lambda: team.figures()["openWindows"] == ["soon"], f"{team.figures()}")
    assert team.figures()["effectiveLimits"]["workflows"] == 2


def test_a_reserve_is_kept_for_the_urgent(installed: Installed) -> None:
    """The last slot is for priorities above the level."""
    team = Team(installed, {"limits": {"workflows": 2}, "reserve": [{"abovePriority": 5, "workflows": 1}]})
    team.create("usual-1")
    team.await_held()
    team.create("usual-2")
    team.await_held("usual-2")
    until(
        lambda: "reserved for higher priorities" in str(team.status("usual-2").get("message")),
        str(team.status("usual-2")),
    )
    team.create("urgent", priority=9)
    team.await_held("usual-2")


def test_nobody_gives_himself_a_priority_above_the_cap(installed: Installed) -> None:
    """Neither by a create nor by an edit of one that waits; where the quota says so it is lowered."""
    team = Team(installed, {"limits": {"workflows": 0}, "perWorkflow": {"maxPriority": 10}})
    said = team.create("greedy", priority=2**31 - 1)
    assert "spec.priority: 2147483647 is above the cap of 10 for priorities: set it to 10 or less" in said
    team.create("usual", priority=10)
    team.await_held("usual")
    done = installed.site.kubectl.run(
        "patch",
        "workflow",
        "usual",
        "--type=merge",
        '--patch={"spec": {"priority": 11}}',
        f"--namespace={team.name}",
    )
    assert (done.returncode, "11 is above the cap of 10" in done.stderr) == (1, True), done.stderr
    lower = {"maxPriority": 10, "onPriorityAbove": "Lower"}
    team.quota({"limits": {"workflows": 0}, "perWorkflow": lower})
    until(
        lambda: "it is lowered to 10" in team.create(f"greedy-{next(NUMBERS)}", priority=2**31 - 1),
        "the webhook does not lower it",
    )
    for each in installed.cluster.list(WORKFLOWS, namespace=team.name).items:
        assert part(each, "spec", "priority") == 10


def test_one_that_can_never_fit_is_told_at_once(installed: Installed) -> None:
    """By a warning at the create, in its status and by an event."""
    team = Team(installed, {"limits": {"tasks": 4}})
    assert "it can never start: it needs tasks=9" in team.create("wide", parallelism=9)
    until(
        lambda: "set spec.parallelism to 4 or less" in str(team.status("wide").get("message")),
        str(team.status("wide")),
    )
    events = ("get", "events", f"--namespace={team.name}", "-o", "json")
    until(
        lambda: "ExceedsMaxQuota" in installed.site.kubectl.said(*events),
        "no event tells of it",
    )


def test_a_pool_follows_the_ready_nodes(installed: Installed) -> None:
    """A node that is cordoned takes its share with it after a while; one that comes back adds it at once."""
    nodes = len(installed.cluster.list(NODES).items)
    team = Team(installed, group="elastic")
    pool = {
        "apiVersion": API,
        "kind": "ClusterWorkflowQuota",
        "metadata": {"name": "elastic"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"group": "elastic"}},
            "elastic": {"workflowsPerNode": 2, "min": {"workflows": 1}, "stabilization": "0s"},
        },
    }
    installed.site.kubectl.said("apply", "-f", "-", text=json.dumps(pool))

    def limit() -> object:
        found = json.loads(installed.site.kubectl.said("get", "cwfq/elastic", "-o", "json"))
        return part(found, "status", "effectiveLimits", "workflows")

    until(lambda: limit() == 2 * nodes, f"the limit is {limit()} with {nodes} nodes")
    for number in range(2 * nodes + 1):
        team.create(f"w{number}")
    until(lambda: len(team.held()) == 1, f"{team.held()} wait")
    first = str(part(installed.cluster.list(NODES).items[0], "metadata", "name"))
    cordon = JsonPatch((PatchOp(Op.ADD, "/spec/unschedulable", True),))  # noqa: FBT003 - the value of a field
    installed.cluster.patch(NODES, first, cordon)
    until(lambda: limit() == 2 * (nodes - 1) or (nodes == 1 and limit() == 1), f"the limit stays {limit()}")
    back = JsonPatch((PatchOp(Op.ADD, "/spec/unschedulable", False),))  # noqa: FBT003 - as above
    installed.cluster.patch(NODES, first, back)
    until(lambda: limit() == 2 * nodes, f"the limit stays {limit()}")
