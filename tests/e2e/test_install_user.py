"""What a user sees of an installation that was made with `helm install` and nothing else."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import monotonic
from typing import Final

import pytest

from policy.cluster.protocol import WORKFLOWS
from policy.core.decision.quota_messages import SEEN_BY_ARGO
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.building import ROOT
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.installed import Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.manifests import LOCKS, QUOTA, locks, pool, quota, workflow
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, await_everywhere, await_governed
from tests.e2e.submitting import DENIED, IN_QUEUE, create, exceeded, govern, in_shell, ledger, names, stored
from tests.patience import PATIENCE

pytestmark = [pytest.mark.e2e, ASKING]

WITHIN: Final = 5.0
"""Seconds from the edit of a policy until it is in force in every replica.

Where nothing else runs it is a quarter of one. docs/policies.md promises one, which no busy machine shows.
"""
TRIES: Final = 5
_NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give the installation."""
    with installation(tmp_path_factory.mktemp("installation")) as installed:
        yield installed


@pytest.fixture
def namespace(installed: Installed) -> str:
    """Give a new namespace without a policy."""
    return installed.namespace(f"team-{next(_NUMBERS)}")


def test_what_helm_prints_works_as_it_is_typed(installed: Installed) -> None:
    """The first minute: wait, make a namespace and a quota, and see a Workflow refused."""
    notes = installed.release.helm.said("get", "notes", RELEASE, f"--namespace={NAMESPACE}")
    typed = [line.strip() for line in notes.splitlines() if line.startswith("  ")]
    wait, make, limit, attempt = typed
    ready = in_shell(installed, wait)
    assert ready.stdout.count("condition met") == 2, ready.stderr
    for line in (make, limit):
        assert in_shell(installed, line).returncode == 0
    await_governed(installed, "try-lockkeeper")  # Whoever types is slower than this.
    refused = in_shell(installed, attempt)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f'Error from server (Forbidden): error when creating "STDIN": {DENIED}: '
        "[WorkflowQuota try-lockkeeper/none] exceeded quota: try-lockkeeper/none, requested: workflows=1, "
        "used: workflows=0, limited: workflows=0. "
        "It can never fit: the limit is 0, nothing may run until it is raised\n"
    )


def test_the_installation_says_of_itself_that_it_is_healthy(installed: Installed) -> None:
    """`helm test` from inside and `lockkeeper check` with a kubeconfig agree.

    Without --logs, because nobody here serves logs as a kubelet does.
    """
    said = installed.release.helm.said("test", RELEASE, f"--namespace={NAMESPACE}")
    assert "Succeeded" in said
    inside = installed.runner.log_of(NAMESPACE, f"{RELEASE}-check", "check")
    command = [sys.executable, "-m", "lockkeeper", "check", f"--kubeconfig={installed.site.plane.kubeconfig}"]
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, f"--namespace={NAMESPACE}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for report in (inside, done.stdout):
        judged = report.partition("\n\n")[0].splitlines()
        skipped = [line for line in judged if not line.startswith("ok ")]
        assert len(skipped) == 1  # There is no Argo here.
        assert "Argo's controller was not found" in skipped[0]
        assert report.splitlines()[-1] == f"{len(judged) - 1} ok, 1 skipped"


def test_an_ungoverned_workflow_is_stored_as_it_was_sent(installed: Installed, namespace: str) -> None:
    """Where no policy speaks, there is nothing of ours, not even a managed field."""
    text = workflow("plain")
    done = create(installed, namespace, text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "workflow.argoproj.io/plain created\n"
    found = installed.cluster.get(WORKFLOWS, "plain", namespace=namespace)
    metadata = found.pop("metadata")
    sent = json.loads(text)
    sent.pop("metadata")
    assert found == sent
    assert isinstance(metadata, dict)
    added = {
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    }
    assert set(metadata) == added


def test_over_a_limit_that_denies_the_user_reads_why_and_what_to_do(
    installed: Installed, namespace: str
) -> None:
    """Word for word, with an exit code that scripts see; nothing is stored."""
    govern(installed, namespace, quota(limits={"workflows": 2}, onExceed="Deny"))
    for name in ("first", "second"):
        assert create(installed, namespace, workflow(name)).returncode == 0
    refused = create(installed, namespace, workflow("third"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == exceeded(namespace, used=2, limit=2)
    assert names(installed, namespace) == ["first", "second"]
    installed.site.kubectl.said("delete", "-n", namespace, "workflow", "first")
    until(
        lambda: create(installed, namespace, workflow("third")).returncode == 0,
        "the slot of a deleted Workflow does not come free",
    )


def test_of_those_that_come_at_once_only_as_many_get_in_as_fit(installed: Installed, namespace: str) -> None:
    """Two replicas answer them, and the last slot is given once."""
    govern(installed, namespace, quota(limits={"workflows": 3}, onExceed="Deny"))
    for name in ("one", "two"):
        assert create(installed, namespace, workflow(name)).returncode == 0
    with ThreadPoolExecutor(6) as users:
        done = list(
            users.map(lambda number: create(installed, namespace, workflow(f"at-once-{number}")), range(6))
        )
    assert sorted(each.returncode for each in done) == [0, 1, 1, 1, 1, 1]
    assert {each.stderr for each in done} == {"", exceeded(namespace, used=3, limit=3)}
    assert len(names(installed, namespace)) == 3


def test_a_lock_of_the_policy_is_in_the_stored_object(installed: Installed, namespace: str) -> None:
    """Where Argo takes it from, and nothing else is changed."""
    semaphore: JsonObject = {"configMap": "workflow-semaphores", "key": "db"}
    rule: JsonObject = {
        "name": "loads",
        "templates": {"names": ["load-*"]},
        "lock": {"semaphore": dict(semaphore)},
    }
    govern(installed, namespace, locks(semaphores=[{**semaphore, "limit": 2}], inject=[rule]))
    text = workflow("locked")
    done = create(installed, namespace, text)
    assert (done.returncode, done.stderr) == (0, "")
    expected = json.loads(text)["spec"]
    expected["templates"][0]["synchronization"] = {
        "semaphores": [{"configMapKeyRef": {"name": "workflow-semaphores", "key": "db"}}]
    }
    found = stored(installed, namespace, "locked")
    assert found.spec == expected
    told = {well_known.INJECTED: "loads: load-orders"}
    assert (found.metadata.labels, found.metadata.annotations) == (None, told)


def test_what_waits_its_turn_is_seen_in_the_list(installed: Installed, namespace: str) -> None:
    """The reason stands where users look first; nobody who fits is warned.

    Whoever waits is told so where the webhook has heard of the figures by then, and no more than is known.
    """
    govern(installed, namespace, quota(limits={"workflows": 1}))
    for name in ("first", "second", "third"):
        done = create(installed, namespace, workflow(name))
        assert (done.returncode, done.stdout) == (0, f"workflow.argoproj.io/{name} created\n")
        assert name != "first" or done.stderr == ""
        assert re.fullmatch(rf"({IN_QUEUE}[1-3] of [1-3] in {namespace}; {SEEN_BY_ARGO}\n)?", done.stderr)
    place = f"queued by lockkeeper: position 2 of 2 in {namespace} (1/1 running)"
    before = f"queued by lockkeeper: position 1 of 2 in {namespace} (1/1 running)"
    for name, message in (("second", before), ("third", place)):
        until(
            lambda name=name, message=message: (  # type: ignore[misc]
                stored(installed, namespace, name).status.get("message") == message
            ),
            f"{name} does not show its place in the queue",
        )
    rows = [
        line.split(maxsplit=3)
        for line in installed.site.kubectl.said("get", "wf", "-n", namespace).splitlines()
    ]
    assert rows[0] == ["NAME", "STATUS", "AGE", "MESSAGE"]
    assert rows[1][0] == "first"
    assert len(rows[1]) == 2  # Let go, and nobody of Argo's is here to give it a status.
    assert [(row[0], row[1], row[3].rstrip()) for row in rows[2:]] == [
        ("second", "Pending", before),
        ("third", "Pending", place),
    ]


def test_who_can_never_start_is_warned_at_once(installed: Installed, namespace: str) -> None:
    """On standard error, beside the word that it was created."""
    govern(installed, namespace, quota(limits={"workflows": 0}))
    done = create(installed, namespace, workflow("never"))
    assert (done.returncode, done.stdout) == (0, "workflow.argoproj.io/never created\n")
    assert done.stderr == (
        "Warning: lockkeeper: queued, but it can never start: it needs workflows=1 and "
        f"WorkflowQuota {namespace}/{QUOTA} allows workflows=0; "
        "the limit is 0, nothing may run until it is raised\n"
    )


@pytest.mark.parametrize("on_exceed", ["Deny", "Queue", "Warn"])
def test_a_dry_run_tells_the_same_and_leaves_nothing(
    installed: Installed, namespace: str, on_exceed: str
) -> None:
    """Not a slot and not an object, however often, below the limit and above it."""
    govern(installed, namespace, quota(limits={"workflows": 1}, onExceed=on_exceed))
    dry = "--dry-run=server"
    for _ in range(3):
        done = create(installed, namespace, workflow("dry"), dry)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "workflow.argoproj.io/dry created (server dry run)\n"
    assert create(installed, namespace, workflow("real")).returncode == 0

    def counted() -> bool:
        found = ledger(installed, namespace) or {}
        return "'workflows': 1" in str(found) and "reservations" not in str(found)

    until(counted, "the one that runs is not counted")
    before = ledger(installed, namespace)
    for _ in range(3):
        done = create(installed, namespace, workflow("dry"), dry)
        if on_exceed == "Deny":
            assert (done.returncode, done.stderr) == (1, exceeded(namespace, used=1, limit=1))
        else:
            assert (done.returncode, done.stdout) == (
                0,
                "workflow.argoproj.io/dry created (server dry run)\n",
            )
    assert ledger(installed, namespace) == before
    assert names(installed, namespace) == ["real"]


def test_a_dry_run_shows_the_locks(installed: Installed, namespace: str) -> None:
    """So one can see what a policy does before it matters."""
    rule: JsonObject = {"name": "all", "templates": {"names": ["*"]}, "lock": {"mutex": "one-at-a-time"}}
    govern(installed, namespace, locks(inject=[rule]))
    done = create(installed, namespace, workflow("dry"), "--dry-run=server", "-o", "json")
    assert done.returncode == 0, done.stderr
    (template,) = json.loads(done.stdout)["spec"]["templates"]
    assert template["synchronization"] == {"mutexes": [{"name": "one-at-a-time"}]}
    assert names(installed, namespace) == []
    assert ledger(installed, namespace) is None


def test_an_edit_is_in_force_in_every_replica_within_seconds(installed: Installed, namespace: str) -> None:
    """From when kubectl tells of it until the last replica obeys; tried again where the machine was busy."""
    govern(installed, namespace, quota(perWorkflow={"defaultTasks": 1}))
    took: list[float] = []
    while not took or (took[-1] >= WITHIN and len(took) < TRIES):
        took.append(change(installed, namespace, len(took) + 2))
    assert took[-1] < WITHIN, took


def change(installed: Installed, namespace: str, tasks: int) -> float:
    """Set the quota's defaultTasks with `kubectl patch`; return the seconds until every replica writes it."""
    edit = json.dumps({"spec": {"perWorkflow": {"defaultTasks": tasks}}})
    installed.site.kubectl.said("patch", "wfq", QUOTA, "-n", namespace, "--type=merge", "-p", edit)
    begun = monotonic()
    await_tasks(installed, namespace, tasks)
    return monotonic() - begun


def await_tasks(installed: Installed, namespace: str, tasks: int) -> None:
    """Wait until every replica writes so many tasks into a Workflow that has none."""
    await_everywhere(
        installed,
        namespace,
        lambda answer: answer.changes.get("/spec/parallelism") == str(tasks).encode(),
        "the edit is not in force",
    )


def test_kubectl_edit_changes_what_the_next_workflow_gets(installed: Installed, namespace: str) -> None:
    """With an editor, as people do."""
    govern(installed, namespace, quota(perWorkflow={"defaultTasks": 4}))
    editor = "sed -i 's/defaultTasks: 4/defaultTasks: 7/'"
    done = in_shell(installed, f"kubectl -n {namespace} edit wfq {QUOTA}", KUBE_EDITOR=editor)
    assert done.stdout == f"workflowquota.lockkeeper.dev/{QUOTA} edited\n", done.stderr
    await_tasks(installed, namespace, 7)
    assert create(installed, namespace, workflow("next")).returncode == 0
    assert stored(installed, namespace, "next").spec["parallelism"] == 7


def test_what_is_wrong_with_a_policy_is_said_by_whoever_sees_it(installed: Installed, namespace: str) -> None:
    """The kind's own rules, and the webhook where they cannot say it; neither is stored."""
    tasks: JsonObject = {"defaultTasks": 9, "maxTasks": 5}
    by_rule = create(installed, namespace, quota(perWorkflow=tasks))
    assert (by_rule.returncode, by_rule.stdout) == (1, "")
    assert by_rule.stderr == (
        f'The WorkflowQuota "{QUOTA}" is invalid: '
        "spec.perWorkflow.defaultTasks: Invalid value: must not be above maxTasks\n"
    )
    by_webhook = create(installed, namespace, locks(validate={"keyPattern": "^[a-z"}))
    assert (by_webhook.returncode, by_webhook.stdout) == (1, "")
    assert by_webhook.stderr == (
        f'The SynchronizationPolicy "{LOCKS}" is invalid: '
        "spec.validate.keyPattern: is not a usable pattern: missing ]: [a-z\n"
    )
    by_kubectl = create(installed, namespace, quota(limts={"workflows": 1}))
    assert by_kubectl.returncode == 1
    assert 'unknown field "spec.limts"' in by_kubectl.stderr
    assert installed.site.kubectl.said("get", "wfq,sp", "-n", namespace, "-o", "name") == ""


def test_one_can_wait_until_a_policy_is_in_force(installed: Installed, namespace: str) -> None:
    """For scripts; the columns of the list say it to people."""
    kubectl = installed.site.kubectl
    kubectl.said("create", "-n", namespace, "-f", "-", text=quota(limits={"workflows": 1}))
    kubectl.said(
        "create",
        "-n",
        namespace,
        "-f",
        "-",
        text=locks(semaphores=[{"configMap": "c", "key": "k", "limit": 1}]),
    )
    for policy in (f"wfq/{QUOTA}", f"sp/{LOCKS}"):
        said = kubectl.said("wait", "-n", namespace, "--for=condition=Ready", AWHILE, policy)
        assert said.endswith(" condition met\n")
        ready = ["get", "-n", namespace, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"]
        assert kubectl.said(*ready, policy) == "InForce"


def test_its_own_namespace_and_that_of_the_system_are_never_governed(installed: Installed) -> None:
    """Not even by a pool that takes every namespace in and lets nothing run."""
    kubectl = installed.site.kubectl
    nothing = pool("nothing", namespaceSelector={}, limits={"workflows": 0}, onExceed="Deny")
    kubectl.said("create", "-f", "-", text=nothing)
    try:
        await_governed(installed, GOVERNED)
        assert create(installed, GOVERNED, workflow("elsewhere")).returncode == 1
        for free in (NAMESPACE, "kube-system"):
            done = create(installed, free, workflow("free"))
            assert (done.returncode, done.stderr) == (0, "")
            assert stored(installed, free, "free").metadata.labels is None
    finally:
        kubectl.said("delete", "cwfq", "nothing")
