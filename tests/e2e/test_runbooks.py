"""The runbooks of docs/troubleshooting.md, each walked through once: its commands show what the page says."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from policy.cluster.protocol import WORKFLOWS
from policy.core.objects.json_patch import JsonObject
from tests.e2e.acting import QUICK, admit, await_release, create, is_held, scale, tangle
from tests.e2e.building import ROOT
from tests.e2e.charted import GOVERNED, NAMESPACE
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.lockkeeper.commands import Finished, Lockkeeper

pytestmark = pytest.mark.e2e
PAGE: Final = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
POLICIES: Final = f"""
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {{name: own, namespace: {GOVERNED}}}
spec: {{limits: {{workflows: 1}}, perWorkflow: {{maxPriority: 50}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: argo}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: workflow-controller-configmap, namespace: argo}}
data: {{namespaceParallelism: "4"}}
"""
_ARGO: Final = ("--as=system:serviceaccount:argo:argo", "--as-group=system:masters")
"""Nobody else may write a status."""


class Reader(msgspec.Struct, frozen=True):
    """Somebody who has a question, and follows the page."""

    installed: Installed
    lockkeeper: Lockkeeper

    def follows(self, section: str, command: str, **values: str) -> Finished:
        """Run a command that stands in a section, with names in the place of its capitals."""
        _, _, rest = PAGE.partition(f"\n## {section}\n")
        text, _, _ = rest.partition("\n## ")
        assert f"`{command}" in text or f"\n{command}" in text, f"{section} does not tell {command}"
        for word, value in values.items():
            command = re.sub(rf"\b{word}\b", value, command)
        program, *words = shlex.split(command.replace("-n lockkeeper ", f"-n {NAMESPACE} "))
        if program == "lockkeeper":
            return self.asks(*words)
        done = self.installed.site.kubectl.run(*words)
        return Finished(done.returncode, done.stdout, done.stderr)

    def asks(self, *words: str) -> Finished:
        """Run a command of ours."""
        return self.lockkeeper(*words, "--kubeconfig", self.installed.site.plane.kubeconfig)

    def shown(self, name: str) -> str:
        """Return the message of a Workflow."""
        return self.installed.site.kubectl.said(
            "get", f"workflow/{name}", f"--namespace={GOVERNED}", "-o=jsonpath={.status.message}"
        )

    def status(self, name: str, status: JsonObject) -> None:
        """Write a status as Argo does."""
        change = msgspec.json.encode({"status": status}).decode()
        what = ("patch", "workflow", name, f"--namespace={GOVERNED}", "--type=merge", f"--patch={change}")
        self.installed.site.kubectl.said(*what, *_ARGO)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Give an installation where one runs and one waits."""
    folder = tmp_path_factory.mktemp("runbooks")
    (folder / "site").mkdir()
    with installation(folder / "site", *QUICK, "webhook.replicas=1", "controller.replicas=1") as installed:
        installed.site.kubectl.said("apply", "-f", "-", text=POLICIES)
        installed.site.kubectl.said(
            "wait", "--for=condition=Ready", "workflowquota/own", f"--namespace={GOVERNED}", AWHILE
        )
        for name in ("runs", "waits"):
            admit(installed, name, GOVERNED)
        yield Reader(installed, Lockkeeper(folder))


def test_my_workflow_is_queued(reader: Reader) -> None:
    """The message is there, `why` names the quota and who fills it, and what it offers lets it start."""
    section = "My Workflow is queued"
    until(lambda: "queued by lockkeeper: position 1 of 1" in reader.shown("waits"), "no message")
    why = reader.follows(section, "lockkeeper why NAME -n NAMESPACE", NAME="waits", NAMESPACE=GOVERNED)
    assert why.out.startswith("waits is queued for ")
    assert "WorkflowQuota team-a/own (workflows: 1 needed, 1 of 1 used)" in why.out
    offered = "spec.limits.workflows of WorkflowQuota team-a/own 2 instead of 1"
    assert offered in why.out
    assert re.search(r"^\S+ +runs ", reader.follows(section, "lockkeeper queue --running").out, re.MULTILINE)
    assert reader.asks("hold", "waits", "-n", GOVERNED).code == 0
    until(lambda: "OnHold" in reader.asks("queue", "-o", "json").out, "it is not on hold")
    assert "lockkeeper resume" in PAGE
    assert reader.asks("resume", "waits", "-n", GOVERNED).code == 0
    kubectl, raised = reader.installed.site.kubectl, '{"spec": {"limits": {"workflows": 2}}}'
    kubectl.said("patch", "workflowquota/own", f"--namespace={GOVERNED}", "--type=merge", f"--patch={raised}")
    await_release(reader.installed, "waits", GOVERNED)


def test_nothing_starts(reader: Reader) -> None:
    """Without a controller nothing is let go, and `check` says it; a stopped queue shows in `status`."""
    section = "Nothing starts"
    admit(reader.installed, "next", GOVERNED)
    scale(reader.installed, CONTROLLER, 0)
    assert "lockkeeper-controller" in reader.follows(section, "kubectl -n lockkeeper get lease").out
    checked = reader.asks("check", "-n", NAMESPACE)
    assert checked.code == 1
    assert re.search(r"(?i)controller|leader|lease", checked.out)
    reader.installed.cluster.delete(WORKFLOWS, "runs", namespace=GOVERNED)
    assert is_held(reader.installed, "next", GOVERNED)
    assert reader.asks("hold", "quota/own", "-n", GOVERNED).code == 0
    scale(reader.installed, CONTROLLER, 1)
    until(lambda: "on hold (Hold)" in reader.follows(section, "lockkeeper status").out, "no hold is shown")
    assert "waits" in reader.follows(section, "lockkeeper queue --running").out
    assert is_held(reader.installed, "next", GOVERNED)
    assert "`lockkeeper resume`" in PAGE
    assert reader.asks("resume", "quota/own", "-n", GOVERNED).code == 0
    await_release(reader.installed, "next", GOVERNED)


def test_argo_does_not_see_it(reader: Reader) -> None:
    """The label is gone, so it is Argo's; and where Argo is at a limit of its own, `why` says so."""
    section = "Argo does not see it"
    labels = "kubectl get wf NAME -o jsonpath='{.metadata.labels}'"
    admit(reader.installed, "last", GOVERNED)
    reader.installed.site.kubectl.said("config", "set-context", "--current", f"--namespace={GOVERNED}")
    assert "lockkeeper-hold" in reader.follows(section, labels, NAME="last").out
    released = reader.follows(section, labels, NAME="next")
    assert released.code == 0, released.err
    assert "lockkeeper-hold" not in released.out
    assert "has not started it yet" in reader.asks("why", "next", "-n", GOVERNED).out
    message = "Workflow processing has been postponed because too many workflows are already running"
    reader.status("next", {"phase": "Pending", "message": message})
    told = reader.follows(section, "lockkeeper why NAME", NAME=f"next -n {GOVERNED}").out
    assert "Argo itself keeps it pending" in told
    assert "Argo lets 4 run at once: namespaceParallelism" in told


def test_a_lock_hangs(reader: Reader) -> None:
    """A deadlock is marked, and is over when one of the circle ends."""
    section = "A lock hangs"
    tangle(reader.installed, "next", GOVERNED)
    found = reader.follows(section, "lockkeeper locks")
    assert found.code == 1
    assert "(deadlock)" in found.out
    assert "argo terminate NAME" in PAGE
    reader.status("next", {"phase": "Failed", "synchronization": None, "nodes": None})
    reader.installed.cluster.delete(WORKFLOWS, "next", namespace=GOVERNED)
    assert reader.follows(section, "lockkeeper locks").code == 0


def test_the_webhook_is_away(reader: Reader) -> None:
    """Creates fail; deleting the configurations lets work go on, and an upgrade puts them back."""
    section = "The webhook is away"
    scale(reader.installed, WEBHOOK, 0)
    pods = "kubectl -n lockkeeper get pods,endpointslices -l app.kubernetes.io/component=webhook"
    listed = reader.follows(section, pods)
    assert listed.code == 0, listed.err
    assert "Running" not in listed.out
    until(
        lambda: "failed calling webhook" in create(reader.installed, "refused", GOVERNED),
        "creates go through",
    )
    checked = reader.follows(section, "lockkeeper check", check=f"check -n {NAMESPACE}")
    assert "reached from here" in checked.out
    assert "next: check from a Pod, as helm test does" in checked.out
    configurations = "kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration lockkeeper"
    assert reader.follows(section, configurations).code == 0
    until(lambda: create(reader.installed, "passes", GOVERNED) == "", "creates still fail")
    assert "`helm upgrade` puts it back" in PAGE
    reader.installed.release.upgrade(*QUICK, "webhook.replicas=1", "controller.replicas=1")
    reader.installed.ready()
    until(lambda: create(reader.installed, "governed", GOVERNED) == "", "creates fail")
    until(lambda: is_held(reader.installed, "governed", GOVERNED), "it is not governed again")
