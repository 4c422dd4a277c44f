"""`lockkeeper run`: the whole product as one process tree, from its first line to the last process."""

import json
import re
import signal
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from lockkeeper.manifests.reading import read_manifests
from tests.lockkeeper.commands import EXAMPLES, Lockkeeper, Running, group_is_empty, has_ended
from tests.patience import PATIENCE

PLAY = ("--policies", EXAMPLES / "policies", "--workflows", EXAMPLES / "workflows")
READY = "/mutate"
"""What stands in the last line that a run prints once it serves."""


class Played(NamedTuple):
    """A run with `--once`, when it was over."""

    code: int
    text: str
    group_is_empty: bool
    leftovers: list[str]


@pytest.fixture(scope="module")
def played(shared: Lockkeeper) -> Played:
    """Play the examples once, with tasks so long that some meet others however slowly they are created."""
    with shared.started("run", *PLAY, "--once", "--port", "0", "--task-time", "0.5") as running:
        code = running.wait()
        return Played(code, running.text, group_is_empty(running.pid), shared.leftovers())


def table(text: str, heading: str) -> list[dict[str, str]]:
    """Return the rows of the closing table that starts with a heading."""
    lines = text[text.index(f"\n{heading}") + 1 :].split("\n\n", maxsplit=1)[0].splitlines()
    head, *rows = [re.split(r" {2,}", line.strip()) for line in lines]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_play_of_the_examples_ends_well(played: Played) -> None:
    """Exit code 0, and nothing but what was to be told."""
    assert played.code == 0, played.text
    assert "Traceback" not in played.text
    assert "still waits" not in played.text
    assert "failed" not in played.text


def test_there_is_a_line_for_each_workflow(played: Played) -> None:
    """Whether it ran, waited or was refused, each is told by its namespace and name."""
    for manifest in read_manifests(EXAMPLES / "workflows"):
        started = rf"^{manifest.namespace} +{re.escape(manifest.name)}\S* +(running|queued|denied)"
        assert re.search(started, played.text, re.MULTILINE), f"{manifest.namespace}/{manifest.name}"


def test_each_that_was_created_ran_and_finished_once(played: Played) -> None:
    """Nobody is lost, and nobody runs twice."""
    ran = re.findall(r"^\S+ +(\S+) +running", played.text, re.MULTILINE)
    ended = re.findall(r"^\S+ +(\S+) +finished", played.text, re.MULTILINE)
    assert len(ran) == len(set(ran))
    assert sorted(ran) == sorted(ended)
    rows = table(played.text, "NAMESPACE")
    assert sum(int(row["CREATED"]) for row in rows) == len(ran)
    assert all(row["FINISHED"] == row["CREATED"] for row in rows)
    assert sum(int(row["CREATED"]) + int(row["DENIED"]) for row in rows) == 14


def test_the_closing_table_shows_that_the_limits_were_kept(played: Played) -> None:
    """No namespace ran more than its tightest limit."""
    limits = {
        row["NAMESPACE"]: (row["MOST RUNNING"], row["LIMIT"]) for row in table(played.text, "NAMESPACE")
    }
    assert limits.keys() == {"ci", "sandbox", "team-etl", "team-ml"}
    assert limits["sandbox"][1] == "unlimited"
    assert all(int(most) <= int(limit) for most, limit in limits.values() if limit != "unlimited")
    assert limits["team-etl"] == ("2", "2")


def test_the_closing_table_shows_that_the_locks_were_kept(played: Played) -> None:
    """No semaphore had more holders than its limit."""
    rows = table(played.text, "LOCK")
    assert {row["LOCK"].rpartition("/")[2] for row in rows} == {"warehouse-connections", "gpu-training"}
    assert all(1 <= int(row["MOST HELD"]) <= int(row["LIMIT"]) for row in rows)


def test_a_denial_is_reported_with_every_reason(played: Played) -> None:
    """One line each, with the policy and the field."""
    assert (
        "denied: [ClusterSynchronizationPolicy data-locks] spec.synchronization.semaphores[0]" in played.text
    )
    assert "deadlock: copy takes team-ml/Mutex/copying, which main above it holds" in played.text
    assert "spec.templates[0].dag.tasks[0].synchronization: a DAG task" in played.text
    assert "denied: [ClusterWorkflowQuota data] spec.parallelism: 64 is above the cap" in played.text


def test_nothing_is_left_of_a_run(played: Played) -> None:
    """No process of its group, and no folder of certificates."""
    assert played.group_is_empty
    assert played.leftovers == []


LIMIT = """
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {name: one, namespace: line}
spec: {limits: {workflows: 1}}
"""
LINE = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME, namespace: line}
spec:
  parallelism: 2
  entrypoint: main
  templates:
  - name: main
    resource:
      action: create
      setOwnerReference: true
      successCondition: status.phase == Succeeded
      manifest: |
        apiVersion: argoproj.io/v1alpha1
        kind: Workflow
        metadata: {name: CHILD}
        spec: {parallelism: 1, entrypoint: main, templates: [{name: main, container: {image: busybox}}]}
"""


def test_a_workflow_and_the_one_it_waits_for_run_in_one_slot(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Two of them one after the other, each with a child, where one Workflow may run."""
    folders = [tmp_path / name for name in ("policies", "workflows")]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "quota.yaml").write_text(LIMIT)
    for name in ("first", "second"):
        text = LINE.replace("NAME", name).replace("CHILD", f"child-of-{name}")
        (folders[1] / f"{name}.yaml").write_text(text)
    play = ("--policies", folders[0], "--workflows", folders[1])
    with lockkeeper.started("run", *play, "--once", "--port", "0", "--task-time", "0.05") as running:
        assert running.wait() == 0, running.text
    told = re.findall(r"^line +(\S+) +(running|queued|finished)", running.text, re.MULTILINE)
    assert [each for each in told if each[1] == "finished"] == [
        (name, "finished") for name in ("child-of-first", "first", "child-of-second", "second")
    ]
    assert ("child-of-first", "queued") not in told
    assert told.index(("first", "finished")) < told.index(("second", "running"))


def serving(running: Running) -> str:
    """Wait until a run serves, and return its address."""
    assert running.until(READY), running.text
    found = re.search(r"Serving on (https://\S+) until", running.text)
    assert found is not None, running.text
    return found[1]


def test_what_a_run_prints_can_be_used(lockkeeper: Lockkeeper) -> None:
    """The address and the CA certificate of its last lines reach the webhook, verified."""
    with lockkeeper.started("run", *PLAY[:2], "--port", "0") as running:
        port = int(serving(running).rpartition(":")[2])
        authority = re.search(r"--cacert (\S+)", running.text)
        assert authority is not None
        context = ssl.create_default_context(cafile=authority[1])
        connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
        named = re.search(r"-d @(\S+)", running.text)
        assert named is not None
        body = (EXAMPLES.parent / named[1]).read_bytes()
        connection.request("POST", "/mutate", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read().decode()
        connection.close()
        running.send(signal.SIGTERM)
        assert running.wait() == 0
    assert answer["response"]["allowed"] is True
    assert answer["response"]["uid"] == json.loads(body)["request"]["uid"]
    assert "lockkeeper_" in metrics


@pytest.mark.parametrize(
    "stop",
    [
        lambda running: running.send(signal.SIGINT),
        lambda running: running.send_group(signal.SIGINT),
    ],
    ids=["to the parent", "at the terminal"],
)
def test_an_interrupt_ends_a_run_with_0_and_leaves_nothing(
    lockkeeper: Lockkeeper, stop: Callable[[Running], None]
) -> None:
    """Ctrl-C is how a run without end is meant to end."""
    with lockkeeper.started("run", *PLAY[:2], "--port", "0") as running:
        serving(running)
        stop(running)
        assert running.wait() == 0
        assert group_is_empty(running.pid)
    assert "Traceback" not in running.text
    assert lockkeeper.leftovers() == []


def test_a_run_is_a_cluster_that_our_own_commands_show(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """The commands reach it by its kubeconfig, as any other cluster; that is gone when it ends."""
    kubeconfig = tmp_path / "made" / "kubeconfig"
    with lockkeeper.started("run", *PLAY[:2], "--port", "0", "--kubeconfig-out", kubeconfig) as running:
        serving(running)
        shown = lockkeeper("status", "--kubeconfig", kubeconfig)
        assert (shown.code, shown.err) == (0, "")
        assert re.search(r"^pool data +0/\d+ ", shown.out, re.MULTILINE)
        assert lockkeeper("queue", "--kubeconfig", kubeconfig).out == "nothing waits\n"
        assert "there is no Workflow none" in lockkeeper("why", "none", "--kubeconfig", kubeconfig).err
        running.send(signal.SIGTERM)
        assert running.wait() == 0
    assert not kubeconfig.exists()


def test_a_kubeconfig_that_cannot_be_written_is_one_clear_line(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """It is told before anything starts."""
    (tmp_path / "file").touch()
    finished = lockkeeper(
        "run", *PLAY[:2], "--port", "0", "--kubeconfig-out", tmp_path / "file" / "kubeconfig"
    )
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert "cannot be written: " in finished.err


@pytest.mark.parametrize("once", [("--once",), ()], ids=["a play", "without end"])
def test_a_run_whose_output_nobody_reads_ends_with_0(lockkeeper: Lockkeeper, once: tuple[str, ...]) -> None:
    """As `| head` leaves it; it neither hangs nor shows an error."""
    ended = lockkeeper.with_closed_output("run", *PLAY, *once, "--port", "0", "--task-time", "0.01")
    assert (ended.code, ended.err) == (0, "")
    assert lockkeeper.leftovers() == []


def test_a_worker_that_is_killed_ends_the_run_with_1(lockkeeper: Lockkeeper) -> None:
    """What it held in memory is gone, so it is not replaced by an empty one."""
    with lockkeeper.started("run", *PLAY[:2], "--port", "0") as running:
        serving(running)
        (worker,) = running.workers()
        running.kill_worker(worker)
        assert running.wait() == 1
        assert group_is_empty(running.pid)
    assert "Traceback" not in running.text
    assert running.text.count("Serving on") == 1
    assert lockkeeper.leftovers() == []


def test_a_worker_whose_parent_is_killed_ends_by_itself(lockkeeper: Lockkeeper) -> None:
    """It must not go on serving, and keep the port, with nobody to stop it."""
    with lockkeeper.started("run", *PLAY[:2], "--port", "0") as running:
        serving(running)
        (worker,) = running.workers()
        running.send(signal.SIGKILL)
        running.wait()  # Reads up to the end of output, which the worker holds open.
        assert has_ended(worker)


def play_texts(lockkeeper: Lockkeeper, folder: Path, texts: dict[str, str], *endings: str) -> tuple[int, str]:
    """Play some Workflows in a namespace without policies; returns code (-1: no end) and text."""
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n{text}\n")
    arguments = (*PLAY[:2], "--workflows", folder, "--once", "--port", "0", "--task-time", "0.01")
    with lockkeeper.started("run", *arguments) as running:
        ended = not running.until(*endings) if endings else True
        return (running.wait() if ended else -1), running.text


SPEC = "spec: {entrypoint: a, templates: [{name: a, container: {image: i}}]}"


@pytest.mark.parametrize(
    "metadata",
    ["{name: same, namespace: sandbox}", "{namespace: sandbox}"],
    ids=["a name twice", "no name at all"],
)
def test_a_workflow_that_cannot_be_stored_is_reported_and_the_play_continues(
    lockkeeper: Lockkeeper, tmp_path: Path, metadata: str
) -> None:
    """The API server would refuse it; the run ends with 1 after the others have run."""
    texts = {
        "1.yaml": f"metadata: {metadata}\n{SPEC}",
        "2.yaml": f"metadata: {metadata}\n{SPEC}",
        "3.yaml": f"metadata: {{name: last, namespace: sandbox}}\n{SPEC}",
    }
    code, text = play_texts(lockkeeper, tmp_path / "workflows", texts, "Error", "AlreadyExists", "Invalid")
    assert code == 1, text
    assert "Traceback" not in text
    assert re.search(r"last +finished", text)


def test_a_folder_without_workflows_is_a_wrong_path_unless_told_otherwise(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """With `--allow-empty` there is nothing to wait for."""
    code, text = play_texts(lockkeeper, tmp_path / "workflows", {})
    assert (code, "there is no Workflow to play in" in text) == (2, True)
    arguments = (*PLAY[:2], "--workflows", tmp_path / "workflows", "--once", "--port", "0", "--allow-empty")
    finished = lockkeeper("run", *arguments)
    assert (finished.code, "No Workflow was created." in finished.out) == (0, True)


def test_certificates_and_log_are_kept_where_they_were_asked_for(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """`--certs` is not a temporary folder, and every line of `--log` is JSON."""
    certs, log = tmp_path / "certs", tmp_path / "log"
    arguments = (*PLAY, "--once", "--port", "0", "--task-time", "0.3", "--certs", certs, "--log", log)
    with lockkeeper.started("run", *arguments) as running:
        assert running.wait() == 0, running.text
    assert {"ca.crt", "tls.crt", "tls.key"} <= {each.name for each in certs.iterdir()}
    events = {json.loads(line)["event"] for line in log.read_text().splitlines()}
    assert {"review", "released", "waits"} <= events
    assert "bug" not in events
    assert lockkeeper.leftovers() == []


def test_a_webhook_alone_serves_until_it_is_stopped(lockkeeper: Lockkeeper) -> None:
    """`lockkeeper serve` tells its address, ends with 0 at SIGTERM, and leaves nothing."""
    with lockkeeper.started("serve", *PLAY[:2], "--port", "0") as running:
        assert running.until("serving on https://127.0.0.1:")
        port = int(running.text.partition("127.0.0.1:")[2].partition(",")[0])
        authority = running.text.strip().rpartition(" ")[2]
        context = ssl.create_default_context(cafile=authority)
        connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()
        running.send(signal.SIGTERM)
        assert running.wait() == 0
        assert group_is_empty(running.pid)
    assert "Traceback" not in running.text
    assert lockkeeper.leftovers() == []
