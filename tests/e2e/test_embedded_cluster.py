"""`lockkeeper run` as a cluster to try: the real kubectl and our own commands on its API."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.kubectl import AWHILE, Kubectl, KubectlIsMissingError, kubectl_program
from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

pytestmark = pytest.mark.e2e
NAMESPACE = "--namespace=team-etl"
LOAD = str(EXAMPLES / "workflows/01-daily-load.yaml")


class Trial(NamedTuple):
    """A run without end, and what reaches it."""

    kubectl: Kubectl
    lockkeeper: Lockkeeper
    kubeconfig: Path

    def created(self) -> str:
        """Create a Workflow and return its name."""
        said = self.kubectl.said("create", "-f", LOAD)
        return said.removeprefix("workflow.argoproj.io/").removesuffix(" created\n")

    def waiting(self) -> str:
        """Create one Workflow more than may run; return the name of that which waits."""
        for _ in range(3):
            self.created()
        self.until("wfq/etl", "{.status.running}=2")
        self.until("wfq/etl", "{.status.queued}=1")
        pending = '{.items[?(@.status.phase=="Pending")].metadata.name}'
        return self.kubectl.said("get", "wf", NAMESPACE, "-o", f"jsonpath={pending}")

    def until(self, what: str, value: str) -> None:
        """Wait for a value in an object, as kubectl does."""
        self.kubectl.said("wait", what, NAMESPACE, f"--for=jsonpath={value}", AWHILE)

    def own(self, *arguments: str) -> str:
        """Return what one of our own commands prints."""
        finished = self.lockkeeper(*arguments, "--kubeconfig", self.kubeconfig)
        assert finished.code == 0, finished.err
        return finished.out


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Run the embedded mode on the example policies, with tasks that outlast the test."""
    lockkeeper = Lockkeeper(tmp_path)
    try:
        program = kubectl_program()
    except KubectlIsMissingError as error:
        pytest.skip(str(error))
    kubeconfig = tmp_path / "kubeconfig"
    options = ("--port", "0", "--task-time", "900", "--kubeconfig-out", kubeconfig)
    with lockkeeper.started("run", "--policies", EXAMPLES / "policies", *options) as running:
        assert running.until("/mutate"), running.text
        kubectl = Kubectl(program=program, kubeconfig=kubeconfig, folder=tmp_path / "cache")
        yield Trial(kubectl, lockkeeper, kubeconfig)


def test_kubectl_creates_shows_and_deletes_as_on_a_cluster(trial: Trial) -> None:
    """With the columns of the kinds, the warning of the webhook, and the words of the API server."""
    names = [trial.created() for _ in range(2)]
    done = trial.kubectl.run("create", "-f", LOAD)
    assert "Warning: lockkeeper: queued, about position 1" in done.stderr
    shown = trial.kubectl.said("get", "wf", NAMESPACE)
    assert shown.splitlines()[0].split() == ["NAME", "STATUS", "AGE", "MESSAGE"]
    assert "queued by lockkeeper: position 1 of 1 in team-etl" in shown
    trial.until("wfq/etl", "{.status.queued}=1")
    assert re.search(r"^etl +2 +2 +1 +True", trial.kubectl.said("get", "wfq", NAMESPACE), re.MULTILINE)
    trial.until(f"wf/{names[0]}", "{.status.phase}=Running")
    waits = done.stdout.removeprefix("workflow.argoproj.io/").removesuffix(" created\n")
    assert re.search(
        r"Normal +WaitingForQuota .*waits for room in", trial.kubectl.said("describe", "wf", waits, NAMESPACE)
    )
    assert "deleted" in trial.kubectl.said("delete", "wf", names[0], NAMESPACE)
    missing = trial.kubectl.run("get", "wf", names[0], NAMESPACE)
    assert missing.stderr == f'Error from server (NotFound): workflows.argoproj.io "{names[0]}" not found\n'


def test_a_denial_is_shown_as_the_api_server_shows_it(trial: Trial) -> None:
    """With every reason."""
    done = trial.kubectl.run("create", "-f", str(EXAMPLES / "workflows/07-wrong-lock.yaml"))
    assert done.returncode == 1
    assert done.stderr.startswith('The Workflow "wrong-locks" is invalid: ')
    assert 'semaphore "gpu-trainings" is not defined' in done.stderr


def test_an_edited_limit_acts_at_once(trial: Trial) -> None:
    """The policies are objects, and a wrong one is refused."""
    name = trial.waiting()
    limits = """{"spec": {"limits": {"workflows": 20}}}"""
    trial.kubectl.said("patch", "wfq", "etl", NAMESPACE, "--type=merge", "-p", limits)
    trial.until(f"wf/{name}", "{.status.phase}=Running")
    wrong = trial.kubectl.run(
        *(
            "patch",
            "wfq",
            "etl",
            NAMESPACE,
            "--type=merge",
            "-p",
            """{"spec": {"limits": {"workflows": -1}}}""",
        )
    )
    assert wrong.returncode == 1
    assert "spec.limits.workflows" in wrong.stderr


def test_what_kubectl_makes_from_its_arguments_is_taken(trial: Trial) -> None:
    """It sends that in protobuf; and it asks what it may do, and what there is."""
    said = trial.kubectl.said
    assert said("create", "namespace", "tried") == "namespace/tried created\n"
    assert re.search(r"^tried +Active", said("get", "ns"), re.MULTILINE)
    said("create", "configmap", "sem", "--namespace=tried", "--from-literal=key=2")
    assert said("get", "cm", "sem", "--namespace=tried", "-o", "jsonpath={.data}") == '{"key":"2"}'
    assert said("auth", "can-i", "create", "wf") == "yes\n"
    assert "How many Workflows and tasks may run at once." in said("explain", "wfq.spec")
    assert "does not explain this kind" in said("explain", "wf").replace("\n", " ")
    assert 'namespace "tried" deleted' in said("delete", "ns", "tried")
    assert "no secrets" in trial.kubectl.run("create", "secret", "generic", "s").stderr


def test_a_field_that_there_is_not_is_named(trial: Trial) -> None:
    """As on a cluster, whose CRDs say which there are."""
    text = """{"apiVersion": "lockkeeper.dev/v1alpha1", "kind": "WorkflowQuota",
               "metadata": {"name": "typo", "namespace": "team-etl"}, "spec": {"limit": {"workflows": 2}}}"""
    done = trial.kubectl.run("create", "-f", "-", text=text)
    assert done.returncode == 1
    assert 'strict decoding error: unknown field "spec.limit"' in done.stderr


def test_files_are_applied_again_and_again(trial: Trial) -> None:
    """By the client and by the server."""
    policies = str(EXAMPLES / "policies")
    assert "configured" in trial.kubectl.said("apply", "-f", policies)
    assert "created" not in trial.kubectl.said("apply", "-f", policies)
    assert "serverside-applied" in trial.kubectl.said(
        "apply", "--server-side", "--force-conflicts", "-f", policies
    )


def test_our_own_commands_explain_and_change_the_queue(trial: Trial) -> None:
    """What is said to help does."""
    name = trial.waiting()
    story = trial.own("why", name, "-n", "team-etl")
    assert story.startswith(f"{name} is queued for ")
    assert "what would help:" in story
    assert f"{name} " in trial.own("queue", "-n", "team-etl")
    trial.own("hold", name, "-n", "team-etl")
    assert "OnHold" in trial.own("queue", "-n", "team-etl")
    trial.own("cancel", name, "-n", "team-etl")
    trial.until(f"wf/{name}", "{.status.phase}=Failed")
    assert "nothing of it ran" in trial.own("why", name, "-n", "team-etl")
