"""The commands that show and change queues, on a real cluster: for administrators and for one namespace."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.e2e.acting import QUICK
from tests.e2e.charted import GOVERNED
from tests.e2e.creating import workflow
from tests.e2e.installed import Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.lockkeeper.commands import Finished, Lockkeeper

pytestmark = pytest.mark.e2e
OTHERS: Final = "others"
USER: Final = "ann"
POOL_READERS: Final = ("rbac.poolReaders[0].kind=ServiceAccount", f"rbac.poolReaders[0].name={USER}")
POLICIES: Final = f"""
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterWorkflowQuota
metadata: {{name: shared}}
spec:
  namespaceSelector:
    matchExpressions: [{{key: kubernetes.io/metadata.name, operator: In, values: [{GOVERNED}, {OTHERS}]}}]
  limits: {{workflows: 2}}
---
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {{name: own, namespace: {GOVERNED}}}
spec: {{limits: {{workflows: 2}}, perWorkflow: {{maxPriority: 50}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {USER}, namespace: {GOVERNED}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: workflows, namespace: {GOVERNED}}}
rules:
- {{apiGroups: [argoproj.io], resources: [workflows], verbs: [get, list, watch, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: workflows, namespace: {GOVERNED}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: workflows}}
subjects: [{{kind: ServiceAccount, name: {USER}, namespace: {GOVERNED}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: views, namespace: {GOVERNED}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}
subjects: [{{kind: ServiceAccount, name: {USER}, namespace: {GOVERNED}}}]
"""


class People(msgspec.Struct, frozen=True):
    """An installation where two run and three wait, and who looks at it."""

    installed: Installed
    lockkeeper: Lockkeeper
    administrator: Path
    user: Path

    def asks(self, who: Path, *words: str | Path) -> Finished:
        """Return what a command of ours leaves for somebody."""
        return self.lockkeeper(*words, "--kubeconfig", who)

    def told(self, who: Path, *words: str | Path) -> str:
        """Return what a command that succeeds prints."""
        finished = self.asks(who, *words)
        assert finished.code == 0, finished.err
        return finished.out

    def until(self, name: str, value: str) -> None:
        """Wait for a value in a Workflow of the governed namespace."""
        self.installed.site.kubectl.said(
            "wait", f"workflow/{name}", f"--namespace={GOVERNED}", f"--for=jsonpath={value}", AWHILE
        )

    def create(self, name: str, namespace: str, **spec: int) -> None:
        """Create a Workflow."""
        obj = workflow(name)
        obj["spec"] = {**obj["spec"], **spec}  # type: ignore[dict-item]
        text = msgspec.json.encode(obj).decode()
        self.installed.site.kubectl.said("create", f"--namespace={namespace}", "-f", "-", text=text)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Fill a pool of two slots from two namespaces."""
    folder = tmp_path_factory.mktemp("people")
    readers = (*POOL_READERS, f"rbac.poolReaders[0].namespace={GOVERNED}")
    (folder / "site").mkdir()
    with installation(folder / "site", *QUICK, *readers) as installed:
        kubectl = installed.site.kubectl
        installed.namespace(OTHERS)
        kubectl.said("apply", "-f", "-", text=POLICIES)
        for policy in ("clusterworkflowquota/shared", f"workflowquota/own --namespace={GOVERNED}"):
            kubectl.said("wait", "--for=condition=Ready", *policy.split(), AWHILE)
        config = json.loads(installed.site.plane.kubeconfig.read_text("utf-8"))
        token = kubectl.said("create", "token", USER, f"--namespace={GOVERNED}").strip()
        config["users"][0]["user"] = {"token": token}
        user = folder / "user"
        user.write_text(json.dumps(config), "utf-8")
        made = People(installed, Lockkeeper(folder), installed.site.plane.kubeconfig, user)
        made.create("runs", GOVERNED)
        made.create("runs", OTHERS)
        for name in ("first", "second", "third"):
            made.create(name, GOVERNED)
        made.create("theirs", OTHERS, priority=9)
        made.until("third", "{.status.phase}=Pending")
        kubectl.said("wait", "clusterworkflowquota/shared", "--for=jsonpath={.status.queued}=4", AWHILE)
        yield made


def test_an_administrator_sees_the_whole_pool(people: People) -> None:
    """Quotas with their figures, everybody who waits, and who is ahead of whom."""
    status = people.told(people.administrator, "status")
    assert re.search(r"^pool shared +2/2 ", status, re.MULTILINE)
    assert re.search(rf"^  {GOVERNED}/own +1/2 ", status, re.MULTILINE)
    rows = json.loads(people.told(people.administrator, "queue", "-o", "json"))
    assert {(each["namespace"], each["name"]) for each in rows} == {
        *((GOVERNED, name) for name in ("first", "second", "third")),
        (OTHERS, "theirs"),
    }
    story = people.told(people.administrator, "why", "first", "-n", GOVERNED)
    assert "ClusterWorkflowQuota shared (workflows: 1 needed, 2 of 2 used)" in story
    assert f"{OTHERS}/theirs" in story
    assert (
        "spec.limits.workflows of ClusterWorkflowQuota shared 4 instead of 2 "
        "(room for it and the 1 before it)" in story
    )


def test_a_user_of_one_namespace_sees_its_queue_whole_and_counts_of_others(people: People) -> None:
    """The figures are those of the administrator; what is missing is told."""
    shown = people.told(people.user, "status", "-n", GOVERNED)
    assert re.search(r"^pool shared +2/2 ", shown, re.MULTILINE)
    assert "note: workflows of other namespaces of the pool: no right to list them" in shown
    rows = json.loads(people.told(people.user, "queue", "-n", GOVERNED, "-o", "json"))
    assert [each["name"] for each in rows] == ["first", "second", "third"]
    assert {each["blockedBy"] for each in rows} == {"ClusterWorkflowQuota shared"}
    story = people.told(people.user, "why", "third", "-n", GOVERNED)
    assert story.startswith("third is queued for ")


@pytest.mark.parametrize(
    "words", [("queue",), ("status",), ("queue", "-n", OTHERS), ("why", "theirs", "-n", OTHERS)]
)
def test_what_a_user_may_not_see_is_refused_in_one_line(people: People, words: tuple[str, ...]) -> None:
    """The line has the right that is missing, and the role that gives it."""
    finished = people.asks(people.user, *words)
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert "cannot list resource" in finished.err or "cannot get resource" in finished.err
    assert "ClusterRole" in finished.err


PRESENT: Final = """
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {name: own, namespace: GOVERNED}
spec: {limits: {workflows: ROOM}}
""".replace("GOVERNED", GOVERNED)


def test_what_a_change_does_to_those_that_wait_is_played_from_the_cluster(people: People) -> None:
    """Those that run keep their slots; with more room everybody starts at once."""
    present, proposed = (people.lockkeeper.temporary / f"room-{room}.yaml" for room in (1, 9))
    for room, path in ((1, present), (9, proposed)):
        path.write_text(PRESENT.replace("ROOM", str(room)), "utf-8")
    words = ("simulate", "--now", "--policies", present, "--against", proposed, "-o", "json")
    found = json.loads(people.told(people.administrator, *words))
    assert found["history"]["live"]
    assert found["history"]["running"] == 2
    starts = {each["name"]: each["seconds"] for each in found["starts"] if each["namespace"] == GOVERNED}
    assert starts == dict.fromkeys(("first", "second", "third"), 0.0)


def test_a_user_plays_the_queue_of_one_namespace(people: People) -> None:
    """Its rights are enough with -n; without it, the refusal says so and names the role."""
    present = people.lockkeeper.temporary / "room.yaml"
    present.write_text(PRESENT.replace("ROOM", "1"), "utf-8")
    words = ("simulate", "--now", "--policies", present)
    shown = people.told(people.user, *words, "-n", GOVERNED)
    assert f"In namespace {GOVERNED} of the cluster 3 Workflows wait and 1 run" in shown
    assert f"only {GOVERNED} was read" in shown
    finished = people.asks(people.user, *words)
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert "ClusterRole" in finished.err
    assert "with -n NAMESPACE the rights in that namespace are enough" in finished.err


def test_limits_are_suggested_from_the_workflows_of_the_cluster(people: People) -> None:
    """With the rights in all namespaces, or with -n in one; the refusal says so."""
    present = people.lockkeeper.temporary / "room.yaml"
    present.write_text(PRESENT.replace("ROOM", "1"), "utf-8")
    words = ("suggest", "--cluster", "--policies", present, "--wait", f"{GOVERNED} p95 30d")
    found = json.loads(people.told(people.administrator, *words, "-o", "json"))
    assert (found["form"], found["met"]) == ("lockkeeper.dev/suggestion/v1", True)
    shown = people.told(people.user, *words, "-n", GOVERNED)
    assert f"only {GOVERNED} was read" in shown
    finished = people.asks(people.user, *words)
    assert (finished.code, finished.out) == (2, "")
    assert "with -n NAMESPACE the rights in that namespace are enough" in finished.err


def test_a_user_moves_holds_and_cancels_what_waits(people: People) -> None:
    """Each by one patch, with the right to patch Workflows alone; the last test of the file."""
    moved = people.told(people.user, "priority", "third", "20", "-n", GOVERNED, "--yes")
    assert "position 1 of 3" in moved
    assert (
        "at most (perWorkflow.maxPriority)"
        in people.asks(people.user, "priority", "third", "99", "-n", GOVERNED, "--yes").err
    )
    people.told(people.user, "hold", "third", "-n", GOVERNED)
    assert "it is on hold" in people.told(people.user, "why", "third", "-n", GOVERNED)
    people.told(people.user, "resume", "third", "-n", GOVERNED)
    people.told(people.user, "cancel", "second", "-n", GOVERNED)
    people.until("second", "{.status.phase}=Failed")
    refused = people.asks(people.user, "hold", "quota/own", "-n", GOVERNED)
    assert (refused.code, "cannot patch resource" in refused.err) == (2, True)
    people.told(people.administrator, "hold", "pool/shared")
    assert "on hold (Hold)" in people.told(people.administrator, "status")
