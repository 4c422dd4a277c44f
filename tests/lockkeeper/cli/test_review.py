"""`lockkeeper review`: the webhook's own decision about files, in every format, for people and for CI."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import jsonpatch
import msgspec
import pytest
import yaml

from lockkeeper.__main__ import main
from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import read_manifests
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.decision.decision import Decision, Side
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from tests.lockkeeper.commands import EXAMPLES, Lockkeeper
from webhook.review import Reviewing, review
from webhook.wire import Received, admission_review

POLICIES = EXAMPLES / "policies"
WORKFLOWS = EXAMPLES / "workflows"
HEADER = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n"
DECISIONS = {
    "daily-load-": "allowed",
    "daily-report-": "allowed",
    "weekly-report-": "allowed",
    "urgent-fix-": "allowed",
    "nightly-export-": "allowed",
    "train-a-": "allowed",
    "train-b-": "allowed",
    "train-c-": "allowed",
    "wrong-locks": "denied",
    "too-wide": "denied",
    "build-1": "allowed",
    "build-2": "allowed",
    "build-3": "allowed",
    "hello-": "ungoverned",
}


def as_list(value: JsonValue) -> list[JsonObject]:
    """Return a JSON list of objects."""
    assert isinstance(value, list)
    return [as_object(each) for each in value]


def as_object(value: JsonValue) -> JsonObject:
    """Return a JSON object."""
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def as_json(shared: Lockkeeper) -> list[JsonObject]:
    """Return what `-o json` says of all examples."""
    finished = shared("review", WORKFLOWS, "--policies", POLICIES, "-o", "json", "--user", "ann")
    assert (finished.code, finished.err) == (1, "")
    return as_list(json.loads(finished.out))


class Unrecorded:
    """A recorder that keeps nothing."""

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Take no note."""


def ask_webhook(manifest: Manifest, snapshot: Snapshot, user: str) -> JsonObject:
    """Return the response that the webhook's own path gives to a create, over an empty ledger."""

    def now() -> datetime:
        return datetime.now(UTC)

    cluster = MemoryCluster(clock=now, rng=Random(1))
    parts = Reviewing(
        snapshot=lambda: snapshot,
        reservations=Ledgers(cluster=cluster, clock=now, led=False),
        clock=now,
        stopwatch=time.perf_counter,
        recorder=Unrecorded(),
    )
    namespace = manifest.namespace or DEFAULT_NAMESPACE
    body = json.dumps(admission_review(manifest.value, namespace=namespace, uid="review", user=user)).encode()
    answer = json.loads(review(body, Side.MUTATE, timedelta(seconds=10), parts))
    return as_object(answer["response"])


def differences(manifest: Manifest, told: JsonObject, response: JsonObject) -> list[str]:
    """Return where the command and the webhook do not say the same."""
    patch = response.get("patch")
    status = as_object(response.get("status", {}))
    details = as_object(status.get("details", {"causes": []}))
    causes = [(each["reason"], each["field"], each["message"]) for each in as_list(details["causes"])]
    reasons = [(each["code"], each["field"], each["message"]) for each in as_list(told["reasons"])]
    wanted = json.loads(base64.b64decode(str(patch))) if patch else []
    changed = jsonpatch.apply_patch(manifest.value, wanted) if patch else None
    pairs: dict[str, tuple[object, object]] = {
        "allowed": (told["outcome"] != "denied", response["allowed"]),
        "reasons": (reasons, causes),
        "patch": (told["patch"], wanted),
        "changed": (told["changed"], changed),
        "warnings": (starts(told["warnings"]), starts(response.get("warnings", []))),
    }
    return [
        f"{manifest.name}: {what}: {ours} != {theirs}"
        for what, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


def starts(warnings: JsonValue) -> list[str]:
    """Return warnings as far as the webhook sends them; it cuts longer ones."""
    return [each[:255] for each in msgspec.convert(warnings, list[str])]


def test_the_decisions_about_the_examples_are_those_that_their_comments_promise(
    as_json: list[JsonObject],
) -> None:
    """The examples teach; they must be right."""
    assert {str(each["name"]): each["outcome"] for each in as_json} == DECISIONS


def test_every_example_is_decided_as_the_webhook_decides_it(as_json: list[JsonObject]) -> None:
    """Outcome, reasons, patch, warnings and changed object are those of the webhook's path."""
    snapshot = load_once(POLICIES, DEFAULT_VERSION)
    manifests = read_manifests(WORKFLOWS)
    found = [
        difference
        for manifest, told in zip(manifests, as_json, strict=True)
        for difference in differences(manifest, told, ask_webhook(manifest, snapshot, "ann"))
    ]
    assert found == []


def policy(folder: Path, spec: str) -> Path:
    """Write one quota of the namespace default into a folder."""
    folder.mkdir()
    (folder / "quota.yaml").write_text(
        f"apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {{name: q}}\nspec: {spec}\n"
    )
    return folder


@pytest.mark.parametrize("limits", ["workflows: 0", "tasks: 2"])
def test_what_no_ledger_would_ever_admit_is_denied_as_the_webhook_denies_it(
    tmp_path: Path, limits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`as if nothing else ran` includes a limit that the Workflow alone exceeds."""
    rules = policy(tmp_path / "policies", f"{{limits: {{{limits}}}, onExceed: Deny}}")
    file = tmp_path / "w.yaml"
    spec = "{entrypoint: m, parallelism: 5, templates: [{name: m, suspend: {}}]}"
    file.write_text(f"{HEADER}metadata: {{name: a}}\nspec: {spec}\n")
    main(["review", str(file), "--policies", str(rules), "-o", "json", "--user", "ann"])
    (told,) = as_list(json.loads(capsys.readouterr().out))
    (manifest,) = read_manifests(file)
    response = ask_webhook(manifest, load_once(rules, DEFAULT_VERSION), "ann")
    assert response["allowed"] is False
    assert differences(manifest, told, response) == []


def test_json_and_yaml_say_the_same(lockkeeper: Lockkeeper, as_json: list[JsonObject]) -> None:
    """Whoever parses one may parse the other."""
    finished = lockkeeper("review", WORKFLOWS, "--policies", POLICIES, "-o", "yaml", "--user", "ann")
    assert finished.code == 1
    assert yaml.safe_load(finished.out) == as_json


def test_the_table_has_a_row_for_each_document_and_the_reasons_of_denials(lockkeeper: Lockkeeper) -> None:
    """A folder is reviewed as a whole, and every reason is told with its field and the fix."""
    finished = lockkeeper("review", WORKFLOWS, "--policies", POLICIES, "--show", "none")
    rows = [line.split() for line in finished.out.partition("\n\n")[0].splitlines()]
    assert (finished.code, finished.err) == (1, "")
    assert rows[0] == ["FILE", "KIND", "NAMESPACE", "NAME", "DECISION", "WHY"]
    assert {row[3]: row[4] for row in rows[1:]} == DECISIONS
    assert "spec.parallelism: 64 is above the cap of 20 tasks of one Workflow: lower it" in finished.out
    assert "@@" not in finished.out


def test_a_diff_shows_what_is_changed_and_no_more(lockkeeper: Lockkeeper) -> None:
    """Injected locks stand in it as added lines; nothing of the author's is removed."""
    finished = lockkeeper("review", WORKFLOWS / "01-daily-load.yaml", "--policies", POLICIES)
    body = finished.out.partition("+++ after\n")[2].splitlines()
    assert finished.code == 0
    assert finished.out.count("--- before\n") == 1
    assert [line for line in body if line.startswith("-")] == []
    assert [line.strip("+ ") for line in body].count("key: warehouse-connections") == 2


def test_the_whole_object_is_yaml_that_can_be_applied(
    lockkeeper: Lockkeeper, as_json: list[JsonObject]
) -> None:
    """What is shown is the object as it would be stored."""
    finished = lockkeeper(
        "review", WORKFLOWS / "01-daily-load.yaml", "--policies", POLICIES, "--show", "whole", "--user", "ann"
    )
    text = finished.out[finished.out.index("apiVersion:") :]
    assert yaml.safe_load(text) == as_json[0]["changed"]


def test_standard_input_is_read_with_every_document_of_it(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """`kustomize build . | lockkeeper review -`, from any folder."""
    text = b"---\n".join(
        (WORKFLOWS / name).read_bytes() for name in ("10-ungoverned.yaml", "02-daily-report.yaml")
    )
    finished = lockkeeper("review", "-", "--policies", POLICIES, "-o", "json", stdin=text, cwd=tmp_path)
    told = as_list(json.loads(finished.out))
    assert finished.code == 0
    assert [(each["file"], each["name"], each["outcome"]) for each in told] == [
        ("standard input", "hello-", "ungoverned"),
        ("standard input", "daily-report-", "allowed"),
    ]


def test_a_list_is_taken_apart(as_json: list[JsonObject]) -> None:
    """Every item of a `v1 List` is reviewed by itself, and YAML anchors are followed."""
    trainings = [each for each in as_json if str(each["file"]).endswith("06-train.yaml")]
    assert [each["name"] for each in trainings] == ["train-a-", "train-b-", "train-c-"]
    assert all(each["locks"] for each in trainings)


@pytest.mark.parametrize(
    ("name", "code"), [("10-ungoverned.yaml", 0), ("03-weekly-report.yaml", 0), ("08-too-wide.yaml", 1)]
)
def test_the_exit_code_tells_whether_anything_is_denied(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what a CI job goes by."""
    assert main(["review", str(WORKFLOWS / name), "--policies", str(POLICIES)]) == code
    assert name in capsys.readouterr().out


def test_several_files_are_reviewed_in_the_order_given(capsys: pytest.CaptureFixture[str]) -> None:
    """A shell's glob may name as many as there are."""
    files = [WORKFLOWS / "10-ungoverned.yaml", WORKFLOWS / "02-daily-report.yaml"]
    assert main(["review", *map(str, files), "--policies", str(POLICIES), "-o", "json"]) == 0
    assert [each["file"] for each in json.loads(capsys.readouterr().out)] == list(map(str, files))


def test_files_that_cannot_be_read_hide_nothing_of_the_rest(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """One line each with its place and exit code 2; what is no object is passed over."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "a.yaml").write_text("a: [b\n")
    (folder / "b.json").write_text("{")
    (folder / "c.yaml").write_text("- no object\n")
    (folder / "d.yaml").write_bytes((WORKFLOWS / "10-ungoverned.yaml").read_bytes())
    finished = lockkeeper("review", folder, "--policies", POLICIES)
    lines = finished.err.splitlines()
    assert finished.code == 2
    assert [line.split()[1] for line in finished.out.splitlines()] == ["KIND", "Workflow"]
    assert [line.split(":")[1].strip() for line in lines] == [str(folder / "a.yaml"), str(folder / "b.json")]


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo in a path is no traceback."""
    assert main(["review", "no-such-file.yaml", "--policies", str(POLICIES)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        "lockkeeper: no-such-file.yaml: error: Unreadable: there is no such file or folder\n",
    )


def review_text(tmp_path: Path, text: str, *options: str) -> int:
    """Review one text as a file, and return the exit code."""
    (tmp_path / "w.yaml").write_text(text)
    return main(["review", str(tmp_path / "w.yaml"), "--policies", str(POLICIES), *options])


def test_a_workflow_of_wrong_types_is_denied_with_its_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them would stop Argo's controller for everybody; it is a finding, not an error of the file."""
    text = f"{HEADER}metadata: {{name: a, namespace: team-ml}}\nspec: {{parallelism: many}}\n"
    assert review_text(tmp_path, text, "-o", "json") == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert [(each["code"], each["field"]) for each in told["reasons"]] == [("WrongType", "spec.parallelism")]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("Workflow", "spec.templates[0].suspend.duration"),
        ("WorkflowTemplate", "spec.templates[0].suspend.duration"),
        ("ClusterWorkflowTemplate", "spec.templates[0].suspend.duration"),
        ("CronWorkflow", "spec.workflowSpec.templates[0].suspend.duration"),
    ],
)
def test_the_types_of_every_kind_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, field: str
) -> None:
    """In CI, before anything is created."""
    spec = "{templates: [{name: wait, suspend: {duration: 5}}]}"
    spec = f"{{workflowSpec: {spec}}}" if kind == "CronWorkflow" else spec
    text = f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n"
    assert review_text(tmp_path, text, "--show", "none") == 1
    assert f'{field}: is the number 5, Argo reads a string: write "5"' in capsys.readouterr().out


def test_objects_of_other_kinds_are_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream of kustomize holds more than Workflows."""
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: team-ml}\n---\n---\n"
    assert review_text(tmp_path, text, "-o", "json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["outcome"], told["changed"]) == ("Service", "ignored", None)


@pytest.mark.parametrize(
    "body",
    [
        "spec: {entrypoint: a}\n",
        "metadata:\nspec: {entrypoint: a}\n",
        "metadata: {name: a}\n",
        "metadata: {name: a}\nspec:\n",
        "metadata: {name: a, labels: , annotations: }\nspec: {entrypoint: a}\nstatus:\n",
    ],
    ids=["no metadata", "null metadata", "no spec", "null spec", "null maps"],
)
def test_a_workflow_with_parts_missing_is_reviewed_without_a_trace(
    tmp_path: Path, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A patch that does not apply would be an error 500 on a cluster and a traceback here."""
    rules = policy(tmp_path / "policies", "{limits: {workflows: 1}, perWorkflow: {defaultTasks: 2}}")
    (tmp_path / "w.yaml").write_text(HEADER + body)
    assert main(["review", str(tmp_path / "w.yaml"), "--policies", str(rules), "--show", "whole"]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("above", "code", "told"),
    [
        ("Deny", 1, "50 is above the cap of 10 for priorities: set it to 10 or less"),
        (
            "Lower",
            0,
            "spec.priority 50 is above the cap of 10 of WorkflowQuota default/q: it is lowered to 10",
        ),
    ],
)
def test_a_priority_above_the_cap_is_reported_before_anything_is_created(
    tmp_path: Path, above: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused, or lowered as the cluster would lower it."""
    cap = f"{{limits: {{workflows: 1}}, perWorkflow: {{maxPriority: 10, onPriorityAbove: {above}}}}}"
    rules = policy(tmp_path / "policies", cap)
    (tmp_path / "w.yaml").write_text(HEADER + "metadata: {name: a}\nspec: {entrypoint: a, priority: 50}\n")
    assert main(["review", str(tmp_path / "w.yaml"), "--policies", str(rules), "--show", "whole"]) == code
    shown = capsys.readouterr()
    assert told in shown.out + shown.err
    assert ("priority: 10" in shown.out) == (above == "Lower")


def test_a_reader_that_leaves_early_is_no_trace(lockkeeper: Lockkeeper) -> None:
    """`lockkeeper review ... | head` ends quietly."""
    finished = lockkeeper.with_closed_output("review", WORKFLOWS, "--policies", POLICIES)
    assert "Traceback" not in finished.err
    assert "BrokenPipeError" not in finished.err


SIBLING_POLICIES = """
apiVersion: lockkeeper.dev/v1alpha1
kind: SynchronizationPolicy
metadata: {name: locks, namespace: default}
spec:
  match: {referenced: Sibling}
  inject:
  - {name: r, templates: {names: ["load*"]}, lock: {LOCK}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: nightly}
spec: {entrypoint: load, templates: [{name: load, container: {image: a}}]}
"""


@pytest.mark.parametrize(
    ("lock", "code", "shown"),
    [
        ("mutex: db", 0, "lock default/Mutex/db on load"),
        ("semaphore: {configMap: limits, key: db}", 1, "LockUndefined"),
    ],
)
def test_a_workflow_of_a_template_that_lacks_a_lock_is_shown_as_it_will_be(
    lockkeeper: Lockkeeper, tmp_path: Path, lock: str, code: int, shown: str
) -> None:
    """Nobody makes siblings here: one that would be made counts as there, and why none can be is told."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text(SIBLING_POLICIES.replace("LOCK", lock))
    file = tmp_path / "w.yaml"
    file.write_text(f"{HEADER}metadata: {{name: w}}\nspec: {{workflowTemplateRef: {{name: nightly}}}}\n")
    finished = lockkeeper("review", file, "--policies", policies)
    assert (finished.code, finished.err) == (code, "")
    assert shown in finished.out
    assert ("+    name: nightly-lk" in finished.out) == (code == 0)
