"""`lockkeeper lint`: everything that is wrong with a folder, each with its line, for people and for CI."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lockkeeper.__main__ import main

HEADER: Final = "apiVersion: argoproj.io/v1alpha1\n"
HANGS: Final = (
    HEADER
    + """kind: Workflow
metadata: {generateName: hangs-}
spec:
  entrypoint: main
  templates:
  - name: main
    synchronization: {mutexes: [{name: db}]}
    steps:
    - - name: a
        template: load
    - - name: b
        template: gone
  - name: load
    container: {image: a}
    synchronization:
      mutexes: [{name: db}]
      semaphores:
      - configMapKeyRef: {name: limits, key: dbs}
      - configMapKeyRef: {name: elsewhere, key: any}
"""
)
WAITS: Final = (
    HEADER + "kind: Workflow\nmetadata: {name: a}\n"
    "spec: {entrypoint: m, templates: [{name: m, container: {image: i}}]}\n"
)
LIMITS: Final = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {db: '3'}\n"


def _nests(kind: str, name: str, outer: str, inner: str) -> str:
    spec = f"""entrypoint: main
    templates:
    - name: main
      dag: {{tasks: [{{name: t, template: leaf}}]}}
      synchronization: {{mutexes: [{{name: {outer}}}]}}
    - name: leaf
      container: {{image: a}}
      synchronization: {{mutexes: [{{name: {inner}}}]}}
"""
    inside = (
        f"schedules: ['@daily']\n  workflowSpec:\n    {spec}"
        if kind == "CronWorkflow"
        else spec.replace("\n    ", "\n  ")
    )
    return f"{HEADER}kind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  {inside}"


def _write(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return str(folder)


def _lint(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["lint", *arguments, "-o", "json"])
    return code, json.loads(capsys.readouterr().out)


def _places(found: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    return [(each["line"], each["level"], each["code"]) for each in found]


def test_every_fault_is_reported_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the fields themselves; a ConfigMap that is not among the files may be in the cluster."""
    code, found = _lint(capsys, _write(tmp_path, a=HANGS, b=LIMITS))
    assert code == 1
    assert _places(found) == [
        (13, "error", "UnknownReference"),
        (17, "error", "Deadlock"),
        (19, "error", "LockUndefined"),
    ]
    assert found[2]["message"].endswith('did you mean "db"?')


def test_a_reference_to_another_object_is_only_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be created later; without any template among the files nothing is said."""
    calls = f"{HEADER}kind: Workflow\nmetadata: {{name: w}}\nspec:\n  workflowTemplateRef: {{name: gone}}\n"
    folder = _write(tmp_path, a=calls)
    assert _lint(capsys, folder) == (0, [])
    _write(tmp_path, b=_nests("WorkflowTemplate", "t", "x", "z"))
    code, found = _lint(capsys, folder)
    assert (code, _places(found)) == (0, [(5, "warning", "UnknownReference")])
    assert main(["lint", folder, "--strict"]) == 1


@pytest.mark.parametrize("kind", ["Workflow", "CronWorkflow", "WorkflowTemplate"])
def test_objects_are_compared_with_each_other(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two that nest the same locks in different orders are each warned of; two of one order are not."""
    folder = _write(tmp_path, a=_nests("Workflow", "one", "x", "z"), b=_nests(kind, "two", "x", "z"))
    assert _lint(capsys, folder) == (0, [])
    _write(tmp_path, b=_nests(kind, "two", "z", "x"))
    code, found = _lint(capsys, folder)
    assert code == 0
    assert [(Path(each["file"]).name, each["code"]) for each in found] == [
        ("a.yaml", "Deadlock"),
        ("b.yaml", "Deadlock"),
    ]
    assert "inside default/Mutex/z by leaf of" in found[0]["message"]


def test_types_that_stop_argo_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The webhook refuses them as well."""
    text = f"{HEADER}kind: WorkflowTemplate\nmetadata: {{name: t}}\nspec:\n  templates:\n"
    text += "  - name: wait\n    suspend: {duration: 5}\n"
    code, found = _lint(capsys, _write(tmp_path, a=text))
    assert (code, _places(found)) == (1, [(7, "error", "WrongType")])


def test_what_keeps_a_schedule_from_running_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Argo stores such a CronWorkflow and never runs it; which fields it reads depends on its version."""
    text = _nests("CronWorkflow", "nightly", "a", "b").replace(
        "schedules: ['@daily']", "schedule: 0 3 * * 7\n  concurrencyPolicy: forbid\n  timezone: Europe/Berln"
    )
    folder = _write(tmp_path, cron=text)
    code, found = _lint(capsys, folder)
    assert code == 1
    assert _places(found) == [(line, "error", "Schedule") for line in (5, 5, 6, 7)]
    assert any("write schedules" in each["message"] for each in found)
    _, found = _lint(capsys, folder, "--argo-version", "3.7")
    assert "write 0 or sun for Sunday" in found[0]["message"]


def test_an_object_with_a_status_is_checked_by_what_will_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `kubectl get workflow -o yaml` writes it."""
    text = HANGS + "status: {phase: Succeeded, nodes: {a: {id: a}}, startedAt: '2026-11-30T08:00:00Z'}\n"
    code, found = _lint(capsys, _write(tmp_path, a=text, b=LIMITS))
    assert code == 1
    assert len(found) == 3


def test_single_locks_are_errors_unless_a_policy_converts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Lockkeeper's webhook they would run unlocked; Argo 3.7 reads them."""
    text = (
        f"{HEADER}kind: Workflow\nmetadata: {{name: w}}\nspec: {{synchronization: {{mutex: {{name: a}}}}}}\n"
    )
    folder = _write(tmp_path, a=text)
    code, found = _lint(capsys, folder)
    assert (code, _places(found)) == (1, [(4, "error", "LockForm")])
    assert _lint(capsys, folder, "--argo-version", "3.7") == (0, [])
    policies = tmp_path / "policies"
    policies.mkdir()
    _write(
        policies,
        p="apiVersion: lockkeeper.dev/v1alpha1\nkind: SynchronizationPolicy\nmetadata: {name: p}\nspec: {}\n",
    )
    code, found = _lint(capsys, folder, "--policies", str(policies))
    assert (code, _places(found)) == (0, [(4, "warning", "LockForm")])


def test_policies_among_the_files_are_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their naming rule, their definitions and their names in the findings."""
    policy = """apiVersion: lockkeeper.dev/v1alpha1
kind: SynchronizationPolicy
metadata: {name: rules}
spec:
  semaphores: [{configMap: limits, key: wrong-name, limit: 1}]
  validate: {keyPattern: "^db-", deadlocks: Warn}
"""
    text = HANGS.replace("dbs", "wrong-name").replace("template: gone", "template: load")
    code, found = _lint(capsys, _write(tmp_path, a=text, b=policy))
    assert code == 1
    assert [(each["level"], each["code"], each["policy"]) for each in found] == [
        ("warning", "Deadlock", "SynchronizationPolicy default/rules"),
        ("error", "LockName", "SynchronizationPolicy default/rules"),
        ("error", "LockName", "SynchronizationPolicy default/rules"),
        ("error", "LockUndefined", "SynchronizationPolicy default/rules"),
    ]


def test_a_rule_that_cannot_be_applied_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As at admission: the image is only known when it runs, so nobody locks the template."""
    policy = """apiVersion: lockkeeper.dev/v1alpha1
kind: SynchronizationPolicy
metadata: {name: rules}
spec:
  inject: [{name: db, templates: {images: ["*/db-client*"]}, lock: {mutex: db}}]
"""
    text = f"""{HEADER}kind: Workflow
metadata: {{name: w}}
spec:
  entrypoint: main
  templates:
  - name: main
    inputs: {{parameters: [{{name: image, valueFrom: {{configMapKeyRef: {{name: a, key: b}}}}}}]}}
    container: {{image: "{{{{inputs.parameters.image}}}}"}}
"""
    code, found = _lint(capsys, _write(tmp_path, a=text, b=policy))
    assert (code, [each["code"] for each in found]) == (0, ["LockWarning"])
    assert 'so rule "db" of SynchronizationPolicy default/rules could not be applied' in found[0]["message"]


def test_lists_are_taken_apart_and_namespaces_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects that name no namespace are in that of the option."""
    items = "".join(f"- {HANGS}{LIMITS}".replace("\n", "\n  ").rstrip(" ").splitlines(keepends=True))
    text = "apiVersion: v1\nkind: List\nitems:\n" + items.replace("  apiVersion: v1", "- apiVersion: v1")
    _, found = _lint(capsys, _write(tmp_path, a=text), "-n", "team")
    assert {each["object"] for each in found} == {"Workflow team/hangs-"}
    assert [each["line"] for each in found] == [16, 20, 22]


def test_the_table_and_the_annotations_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a finding, as compilers write them; GitHub's are escaped."""
    folder = _write(tmp_path, a=HANGS, b=LIMITS)
    assert main(["lint", folder]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "1 object in 2 files: 3 errors, 0 warnings"
    assert lines[0] == (
        f"{folder}/a.yaml:13: error: UnknownReference: Workflow default/hangs-: "
        'spec.templates[0].steps[1][0].template: template "gone" of Workflow hangs- does not exist, and Argo '
        "would end the Workflow with an error"
    )
    assert main(["lint", folder, "-o", "github"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        f"::error file={folder}/a.yaml,line=13,title=UnknownReference in Workflow default/hangs-::spec."
    )


def test_code_scanning_gets_every_finding_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As SARIF, with a rule for each code."""
    assert main(["lint", _write(tmp_path, a=HANGS, b=LIMITS), "-o", "sarif"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert [each["id"] for each in run["tool"]["driver"]["rules"]] == [
        "Deadlock",
        "LockUndefined",
        "UnknownReference",
    ]
    places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [
        ("UnknownReference", "error"),
        ("Deadlock", "error"),
        ("LockUndefined", "error"),
    ]
    assert [each["region"]["startLine"] for each in places] == [13, 17, 19]


@pytest.mark.parametrize(
    ("text", "code"),
    [("a: [", "Unreadable"), ("apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\n", "WrongPolicy")],
)
def test_what_cannot_be_read_hides_nothing_of_the_rest(
    text: str, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 says that not everything was checked."""
    exit_code, found = _lint(capsys, _write(tmp_path, a=text, b=HANGS))
    assert exit_code == 2
    assert {"UnknownReference", "Deadlock", code} <= {each["code"] for each in found}


def test_argos_own_examples_raise_no_alarm(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two hundred objects with locks, hooks, recursion and references: one gives a key twice indeed."""
    assert main(["lint", str(corpus / "examples"), "--strict"]) == 1
    told, total = capsys.readouterr().out.splitlines()
    assert "k8s-patch-json-workflow.yaml:13: warning: RepeatedKey" in told
    assert "0 errors, 1 warning" in total


@pytest.mark.parametrize(
    "text", ["", "---\n", "a: 1\n", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"]
)
def test_nothing_to_check_is_an_error_unless_it_is_meant(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong path and an empty pipe pass for clean files otherwise."""
    folder = _write(tmp_path, a=text)
    assert main(["lint", folder]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"lockkeeper: there is nothing to check in {folder}; if that is right, say so with --allow-empty\n"
    )
    assert main(["lint", folder, "--allow-empty"]) == 0


def test_policies_without_a_policy_are_an_error_unless_it_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In review as in lint."""
    (tmp_path / "p").mkdir()
    policies = ["--policies", _write(tmp_path / "p", a=LIMITS)]
    workflow = f"{_write(tmp_path, a=WAITS)}/a.yaml"
    for command in ("lint", "review"):
        assert main([command, workflow, *policies]) == 2
        assert "there is no policy in" in capsys.readouterr().err
        assert main([command, workflow, *policies, "--allow-empty"]) == 0


def test_what_is_left_out_are_no_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`lint . --exclude policies --policies policies` judges by them; a second folder is not forgotten."""
    policy = "apiVersion: lockkeeper.dev/v1alpha1\nkind: ClusterWorkflowQuota\nmetadata: {name: q}\n"
    (tmp_path / "p").mkdir()
    policies = _write(
        tmp_path / "p", q=f"{policy}spec: {{namespaceSelector: {{}}, limits: {{workflows: 1}}}}\n"
    )
    arguments = ["lint", _write(tmp_path, a=WAITS), "--exclude", "p", "--policies", policies]
    assert main(arguments) == 0
    with pytest.raises(SystemExit):
        main([*arguments, "--policies", str(tmp_path)])
    assert "--policies is given twice" in capsys.readouterr().err


def test_a_policy_without_a_namespace_is_told_where_it_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In that of `-n`, as what kubectl would apply there."""
    quota = "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: q}\n"
    (tmp_path / "p").mkdir()
    policies = _write(tmp_path / "p", q=f"{quota}spec: {{limits: {{workflows: 1}}}}\n")
    workflow = f"{_write(tmp_path, a=WAITS)}/a.yaml"
    told = f"lockkeeper: {policies}/q.yaml:1: WorkflowQuota q names no namespace: it counts in shop alone\n"
    assert main(["lint", workflow, "--policies", policies, "-n", "shop"]) == 0
    assert capsys.readouterr().err == told
    assert main(["review", workflow, "--policies", policies, "-n", "shop", "-o", "json"]) == 0
    said = capsys.readouterr()
    assert (said.err, json.loads(said.out)[0]["policies"]) == (told, ["WorkflowQuota shop/q"])


@pytest.mark.parametrize("output", ["github", "sarif", "junit", "json", "yaml", "table"])
def test_every_format_carries_what_could_not_be_read(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is wrong with a policy, in review too where it has that format."""
    quota = "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: q}\n"
    folder = _write(tmp_path, a=WAITS, b="a: [")
    (tmp_path / "p").mkdir()
    policies = _write(tmp_path / "p", q=f"{quota}spec: {{limits: {{workflows: -1}}}}\n")
    assert main(["lint", f"{folder}/a.yaml", f"{folder}/b.yaml", "--policies", policies, "-o", output]) == 2
    told = capsys.readouterr().out
    assert "Unreadable" in told
    assert "spec.limits.workflows" in told
    if output in ("github", "sarif", "junit"):
        assert main(["review", f"{folder}/a.yaml", "--policies", policies, "-o", output]) == 2
        assert "spec.limits.workflows" in capsys.readouterr().out


def test_a_schedule_whose_runs_a_group_refuses_is_found_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Workflow may get what it lacks when it is submitted, so nothing is said of it."""
    policy = """apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {name: ci, namespace: default}
spec: {groups: [{name: branch, key: "{{workflow.parameters.branch}}", missing: Deny}]}
"""
    inside = "{entrypoint: m, templates: [{name: m, container: {image: i}}]}"
    cron = f"""{HEADER}kind: CronWorkflow
metadata: {{name: nightly}}
spec:
  schedules: ["@daily"]
  workflowSpec: {inside}
"""
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "cron.yaml").write_text(cron)
    (tmp_path / "workflow.yaml").write_text(WAITS)
    assert main(["lint", str(tmp_path)]) == 1
    errors = [line for line in capsys.readouterr().out.splitlines() if ": error: " in line]
    assert len(errors) == 1
    assert f"{tmp_path}/cron.yaml:6: error: GroupKeyMissing: " in errors[0]
