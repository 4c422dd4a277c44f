"""Groups as a user of a cluster sees them: one of each key at a time, whatever is killed meanwhile."""

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, Final

import pytest

from policy.cluster.errors import AlreadyExists, ClusterError
from policy.cluster.kube.kube_cluster import connect
from policy.cluster.protocol import WORKFLOWS
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.installing import workflow_controller
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.e2e.shaking import await_restarted, ready_pods, send
from tests.e2e.watching_limits import Witness, witness
from tests.policy.service.world import is_held, part

pytestmark = pytest.mark.e2e

API: Final = "lockkeeper.dev/v1alpha1"
SETTINGS: Final = ("webhook.preStopSeconds=1", "controller.preStopSeconds=1")
TASK_SECONDS: Final = 0.5
LONG: Final = 400
"""Steps of a Workflow that runs until somebody ends it."""
KEYS: Final = ("main", "fix", "docs")
OF_EACH: Final = 8
NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give an installation with a double of Argo, which honours `spec.shutdown`."""
    folder = tmp_path_factory.mktemp("groups")
    (folder / "argo").mkdir()
    with installation(folder, *SETTINGS, back_off=0.1) as installed:
        site = installed.site
        with workflow_controller(
            site.plane, installed.cluster, folder / "argo", finish_after=TASK_SECONDS, environment={}
        ):
            yield installed


class Team:
    """A namespace whose quota has one group, by the label `branch`."""

    def __init__(self, installed: Installed, **group: Any) -> None:
        self._installed = installed
        self.name = installed.namespace(f"groups-{next(NUMBERS)}")
        quota = {
            "apiVersion": API,
            "kind": "WorkflowQuota",
            "metadata": {"name": "main"},
            "spec": {"groups": [{"name": "branch", "key": "{{workflow.labels.branch}}", **group}]},
        }
        self.kubectl("apply", "-f", "-", text=json.dumps(quota))
        self.kubectl("wait", "--for=condition=Ready", "workflowquota/main", AWHILE)
        until(lambda: "running" in self.figures(), f"{self.name} has no figures")
        self._await_known()

    def _await_known(self) -> None:
        """Wait until the group is in force in every replica: each records the key, many times in a row."""
        row = 0

        def known() -> bool:
            nonlocal row
            trial = self._installed.cluster.create(
                WORKFLOWS, built("trial", "main", 1), namespace=self.name, dry_run=True
            )
            marks = part(trial, "metadata", "annotations")
            row = row + 1 if isinstance(marks, dict) and "lockkeeper.dev/groups" in marks else 0
            return row >= 30

        until(known, "the group is not in force")

    def kubectl(self, *arguments: str, text: str = "") -> str:
        """Run kubectl in the namespace and return what it says."""
        return self._installed.site.kubectl.said(*arguments, f"--namespace={self.name}", text=text)

    def create(self, name: str, branch: str, steps: int = LONG) -> str:
        """Create a Workflow as a user does; return what kubectl says on standard error."""
        done = self._installed.site.kubectl.run(
            "create", f"--namespace={self.name}", "-f", "-", text=json.dumps(built(name, branch, steps))
        )
        return done.stderr

    def figures(self) -> dict[str, Any]:
        """Return the status of the quota."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "workflowquota/main", "-o", "json"))
        return dict(found.get("status") or {})

    def of(self, name: str) -> JsonObject:
        """Return a Workflow as it is stored."""
        return self._installed.cluster.get(WORKFLOWS, name, namespace=self.name)

    def status(self, name: str, field: str) -> str:
        """Return a field of the status of a Workflow."""
        found = part(self.of(name), "status") if "status" in self.of(name) else {}
        return str(found.get(field, "")) if isinstance(found, dict) else ""

    def await_phase(self, name: str, phase: str) -> None:
        """Wait until Argo or Lockkeeper has written a phase."""
        until(lambda: self.status(name, "phase") == phase, f"{name} is not {phase}: {self.of(name)}")

    def terminate(self, name: str) -> None:
        """End one that runs, as `argo terminate` does."""
        patch = '{"spec":{"shutdown":"Terminate"}}'
        self.kubectl("patch", "workflow", name, "--type=merge", "-p", patch)


def built(name: str, branch: str, steps: int) -> JsonObject:
    """Return a Workflow of a branch with so many steps, one after another."""
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "labels": {"branch": branch}},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {"name": "main", "steps": [[{"name": f"s{n}", "template": "one"}] for n in range(steps)]},
                {"name": "one", "container": {"image": "busybox:1.37", "command": ["true"]}},
            ],
        },
    }


def test_the_second_of_a_key_waits_for_the_first_and_others_do_not(installed: Installed) -> None:
    """Its message names who has the key, the quota counts keys, and it starts when that has ended."""
    team = Team(installed)
    team.create("main-1", "main")
    team.await_phase("main-1", "Running")
    team.create("main-2", "main")
    team.create("fix-1", "fix")
    team.await_phase("fix-1", "Running")
    waits = "main-1 has this key; it starts when that has ended"
    until(lambda: waits in team.status("main-2", "message"), f"{team.of('main-2')}")
    group = {"name": "branch", "keysInUse": 2, "keysAtLimit": 2, "waiting": 1}
    until(lambda: team.figures().get("groups") == [group], f"{team.figures()}")
    assert "Keys At Limit:" in team.kubectl("describe", "workflowquota/main")
    assert is_held(team.of("main-2"))
    team.terminate("main-1")
    team.await_phase("main-2", "Running")
    assert team.status("main-1", "phase") == "Failed"


def test_a_busy_key_is_refused_with_who_has_it(installed: Installed) -> None:
    """As kubectl shows it to the user; when that one has ended, another may come."""
    team = Team(installed, whenBusy="Refuse")
    assert team.create("main-1", "main") == ""
    team.await_phase("main-1", "Running")
    until(lambda: "main-1" in team.create("main-2", "main"), "the refusal does not say who has the key")
    said = team.create("main-2", "main")
    assert "WorkflowQuota groups-" in said
    assert "group branch key main" in said
    team.terminate("main-1")
    team.await_phase("main-1", "Failed")
    until(lambda: team.create("main-2", "main") == "", "the key does not come free")


def test_of_those_that_wait_the_newest_stays(installed: Installed) -> None:
    """The older one ends unrun and says for whom, in its status and by an event; what runs goes on."""
    team = Team(installed, whenBusy="KeepNewest")
    team.create("main-1", "main")
    team.await_phase("main-1", "Running")
    team.create("main-2", "main")
    team.create("main-3", "main")
    team.await_phase("main-2", "Failed")
    assert "superseded by main-3" in team.status("main-2", "message")
    until(lambda: "superseded by main-3" in team.kubectl("get", "events"), "there is no event")
    assert team.status("main-1", "phase") == "Running"
    assert is_held(team.of("main-3"))


@pytest.mark.parametrize("cancel", ["Stop", "Terminate"])
def test_the_newest_has_the_one_that_runs_ended(installed: Installed, cancel: str) -> None:
    """It is asked to by `spec.shutdown`; the newest starts after that, and never beside it."""
    team = Team(installed, whenBusy="CancelRunning", cancel=cancel)
    with watched(installed, team.name) as seen:
        for name in ("main-1", "main-2", "main-3"):
            team.create(name, "main")
            team.await_phase(name, "Running")
        until(lambda: seen.completed >= {"main-1", "main-2"}, "those before have not ended")
    assert seen.most == 1
    assert [part(team.of(each), "spec", "shutdown") for each in ("main-1", "main-2")] == [cancel, cancel]
    until(lambda: "superseded by main-3" in team.kubectl("get", "events"), "there is no event")


def test_of_each_key_one_runs_at_every_change_whatever_is_killed(installed: Installed) -> None:
    """Controllers and a webhook are killed while many wait; all run in the end, and each is let go once."""
    team = Team(installed)
    names = {f"{key}-{number}": key for number in range(OF_EACH) for key in KEYS}
    with watched(installed, team.name) as seen:
        for number, (name, key) in enumerate(names.items()):
            send_until_stored(installed, team.name, built(name, key, 1))
            if number in (8, 16):
                kill(installed)
        until(lambda: len(seen.completed) >= len(names) // 2, "not half of them have run")
        kill(installed)
        until(lambda: seen.completed == names.keys(), f"not all have run: {len(seen.completed)}")
    assert seen.most == 1
    assert seen.releases == dict.fromkeys(names, 1)


def test_the_newest_of_each_key_stays_whatever_is_killed(installed: Installed) -> None:
    """All others end, whether they waited or ran, and never do two of a key run at once."""
    team = Team(installed, whenBusy="CancelRunning")
    names = {f"{key}-{number}": key for number in range(OF_EACH) for key in KEYS}
    with watched(installed, team.name) as seen:
        for number, (name, key) in enumerate(names.items()):
            send_until_stored(installed, team.name, built(name, key, LONG))
            if number in (8, 16):
                kill(installed)
        last = {f"{key}-{OF_EACH - 1}" for key in KEYS}
        until(lambda: seen.completed == names.keys() - last, f"{sorted(seen.completed)} have ended")
        for name in last:
            team.await_phase(name, "Running")
    assert seen.most == 1


def watched(installed: Installed, namespace: str) -> AbstractContextManager[Witness]:
    """Let a witness see how many of each branch run at every change."""
    kubeconfig = installed.site.plane.kubeconfig
    return witness(connect=lambda: connect(kubeconfig), namespace=namespace, by_label="branch")


def kill(installed: Installed) -> None:
    """Kill both controllers and one webhook; return when all are there again."""
    controllers, webhooks = installed.pods(CONTROLLER), ready_pods(installed)[:1]
    for pod in (*controllers, *webhooks):
        send(pod, signal.SIGKILL)
    await_restarted(installed, controllers, CONTROLLER)
    await_restarted(installed, webhooks, WEBHOOK)


def send_until_stored(installed: Installed, namespace: str, obj: JsonObject) -> None:
    """Create a Workflow; a create that a killed webhook did not answer is sent again."""

    def stored() -> bool:
        try:
            installed.cluster.create(WORKFLOWS, obj, namespace=namespace)
        except AlreadyExists:
            return True
        except ClusterError:
            return False
        return True

    until(stored, "a create is not answered")
