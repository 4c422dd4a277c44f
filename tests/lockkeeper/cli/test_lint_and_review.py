"""`lint` and `review` say the same of everything that both judge: whoever runs one need not run the other."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import yaml

from lockkeeper.__main__ import main
from policy.core.lock_model.generated_names import generated_name
from tests.policy.core.builders import NAMESPACE
from tests.policy.core.lock_graph.random_graphs import random_workflow

KINDS: Final = "[Workflow, CronWorkflow, WorkflowTemplate, ClusterWorkflowTemplate]"
POLICIES: Final = f"""
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterSynchronizationPolicy
metadata: {{name: locks}}
spec:
  namespaceSelector: {{}}
  match: {{kinds: {KINDS}}}
  semaphores:
  - {{configMap: limits, key: one, limit: 1}}
  - {{configMap: limits, key: two, limit: 2}}
  - {{configMap: limits, key: three, limit: 3}}
  inject:
  - {{name: loads, templates: {{names: ["t2", "load*"]}}, lock: {{mutex: a}}}}
  validate: {{unknownReferences: SEVERITY}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: stored, namespace: {NAMESPACE}}}
spec: {{entrypoint: load, templates: [{{name: load, container: {{image: a}}}}]}}
"""
CONSEQUENCES: Final = re.compile(r"\. Argo cannot decode .*")
"""What the webhook says of all wrong types together."""
KINDS_OF_OBJECTS: Final = ("Workflow", "WorkflowTemplate", "CronWorkflow", "ClusterWorkflowTemplate")


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    whole = {"schedules": ["@daily"], "workflowSpec": spec} if kind == "CronWorkflow" else spec
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name} if kind.startswith("Cluster") else {"name": name, "namespace": NAMESPACE},
        "spec": whole,
    }


def _calls(**call: Any) -> dict[str, Any]:
    return {"entrypoint": "m", "templates": [{"name": "m", "steps": [[{"name": "s", **call}]]}]}


def _ref(name: str, template: str, **more: Any) -> dict[str, Any]:
    return {"templateRef": {"name": name, "template": template, **more}}


def _calls_itself(name: str, **more: Any) -> dict[str, Any]:
    """Return a spec whose template holds a lock around another of the object `name`, which takes it again."""
    held = {"synchronization": {"mutexes": [{"name": "twice"}]}}
    outer = {"name": "m", "steps": [[{"name": "s", **_ref(name, "n", **more)}]], **held}
    return {"entrypoint": "m", "templates": [outer, {"name": "n", "suspend": {}, **held}]}


def _task(template: str) -> dict[str, Any]:
    return {"name": template, "template": template}


A: Final = {"mutexes": [{"name": "a"}]}
OWN: Final = {"mutexes": [{"name": "own"}]}
GENERATED: Final = generated_name("load", "copy")
SPECS: Final[dict[str, dict[str, Any]]] = {
    "mian": {"entrypoint": "mian", "onExit": "no", "templates": [{"name": "main", "suspend": {}}]},
    "stored": {"entrypoint": "load", "workflowTemplateRef": {"name": "stored"}},
    "stored-hook": {"workflowTemplateRef": {"name": "stored"}, "hooks": {"exit": _ref("stored", "load")}},
    "beside": {"entrypoint": "load", "workflowTemplateRef": {"name": "beside"}},
    "lacking": {"entrypoint": "lad", "onExit": "no", "workflowTemplateRef": {"name": "beside"}},
    "absent": {"entrypoint": "load", "onExit": "bye", "workflowTemplateRef": {"name": "gone"}},
    "absent-cluster": {"workflowTemplateRef": {"name": "gone", "clusterScope": True}},
    "calls-stored": _calls(**_ref("stored", "load")),
    "calls-beside": _calls(**_ref("beside", "load")),
    "calls-lacking": _calls(**_ref("beside", "lad")),
    "calls-absent": _calls(**_ref("gone", "load", clusterScope=True)),
    "calls-tag": _calls(**_ref("{{workflow.name}}", "load")),
    "itself": _calls_itself("itself"),
    "itself-cluster": _calls_itself("itself-cluster", clusterScope=True),
    "hooks": _calls(inline={"suspend": {}}, hooks={"exit": _ref("beside", "no")}),
    "task": {
        "entrypoint": "m",
        "templates": [
            {"name": "m", "dag": {"tasks": [{"name": "a", "template": "n", "depends": "b && !c.Failed"}]}}
        ],
    },
    "held": {**_calls(**_ref("beside", "load")), "synchronization": {"mutexes": [{"name": "a"}]}},
    "generated": {"entrypoint": GENERATED, "onExit": "load", "workflowTemplateRef": {"name": "beside"}},
    "apart": {
        "entrypoint": "m",
        "templates": [
            {"name": "m", "steps": [[{"name": "s", "template": "one"}], [{"name": "t", "template": "two"}]]},
            {"name": "one", "synchronization": A, "steps": [[{"name": "s", "template": "load"}]]},
            {"name": "two", "synchronization": OWN, "dag": {"tasks": [_task("load"), _task("p")]}},
            {"name": "p", "synchronization": OWN, "container": {"image": "a"}},
            {"name": "load", "container": {"image": "a"}},
        ],
    },
    "types": {
        "entrypoint": "m",
        "parallelism": "4",
        "templates": [{"name": "m", "suspend": {"duration": 5}}],
    },
    "undefined": {
        "entrypoint": "m",
        "templates": [
            {
                "name": "m",
                "suspend": {},
                "synchronization": {
                    "semaphores": [
                        {"configMapKeyRef": {"name": "limits", "key": "ones"}},
                        {"configMapKeyRef": {"name": "beside", "key": "four"}},
                        {"configMapKeyRef": {"name": "elsewhere", "key": "any"}},
                    ]
                },
            }
        ],
    },
}
"""Specs of every kind of reference, and of what else both judge."""
BESIDE: Final = (
    _object("WorkflowTemplate", "beside", {"templates": [{"name": "load", "container": {"image": "a"}}]}),
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "beside", "namespace": NAMESPACE},
        "data": {"four": "4"},
    },
)


class Judged:
    """What both commands say of each object of a folder."""

    def __init__(self, folder: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
        options = [str(folder), "--policies", str(policies), "-o", "json"]
        self.lint_code = main(["lint", *options])
        found = json.loads(capsys.readouterr().out)
        self.review_code = main(["review", *options])
        told = json.loads(capsys.readouterr().out)
        self.lint = Counter(_line(each) for each in found if str(folder) in each["file"])
        self.review = Counter(line for each in told for line in _lines(each))
        self.levels = {_line(each): each["level"] for each in found}
        self.denied = {line for each in told for line in _lines({**each, "warnings": []})}


def _line(found: dict[str, Any]) -> str:
    text = f"{found['field']}: {found['message']}" if found["field"] else found["message"]
    return f"{found['object']}: {text}"


def _lines(told: dict[str, Any]) -> list[str]:
    name = f"{told['namespace']}/{told['name']}" if told["namespace"] else told["name"]
    of = f"{told['kind']} {name}"
    reasons = [f"{each['field']}: {CONSEQUENCES.sub('', each['message'])}" for each in told["reasons"]]
    return [
        f"{of}: {text}"
        for text in (*reasons, *(each.removeprefix("lockkeeper: ") for each in told["warnings"]))
    ]


def _write(folder: Path, severity: str, *objects: dict[str, Any]) -> tuple[Path, Path]:
    files, policies = folder / "files", folder / "policies"
    files.mkdir()
    policies.mkdir()
    (files / "all.yaml").write_text(yaml.safe_dump_all([*objects, *BESIDE]))
    (policies / "all.yaml").write_text(POLICIES.replace("SEVERITY", severity))
    return files, policies


@pytest.mark.parametrize("severity", ["Warn", "Deny", "Ignore"])
@pytest.mark.parametrize("kind", KINDS_OF_OBJECTS)
def test_both_say_the_same_of_every_kind_of_reference(
    kind: str, severity: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Word for word, and what a policy denies is an error for both."""
    objects = [_object(kind, name, spec) for name, spec in SPECS.items()]
    judged = Judged(*_write(tmp_path, severity, *objects), capsys)
    assert judged.review == judged.lint
    assert {judged.levels[each] for each in judged.denied} == {"error"}
    assert judged.lint_code == judged.review_code == 1
    assert any(f'"{GENERATED}" is generated from "load"' in line for line in judged.denied)
    assert any("/Mutex/own, which two above it holds" in line for line in judged.denied)
    absent = [line for line in judged.lint if "is not among the files" in line]
    assert bool(absent) == (severity != "Ignore")
    assert {judged.levels[each] for each in absent} <= {"warning"}


def test_both_say_the_same_of_random_workflows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nested locks, deadlocks, rules that put locks in, loops and hooks."""
    random = Random(4)
    objects = [
        _object(random.choice(("Workflow", "CronWorkflow")), f"w{number}", random_workflow(random))
        for number in range(60)
    ]
    for each in objects:  # Orders of locks in different objects are another matter: a review looks at one.
        spec = each["spec"].get("workflowSpec", each["spec"])
        each["spec"] = json.loads(json.dumps(each["spec"]).replace('"name": "b"', '"name": "a"'))
        assert spec
    judged = Judged(*_write(tmp_path, "Warn", *objects), capsys)
    assert _certain(judged.review) == _certain(judged.lint)
    assert sum(_certain(judged.lint).values()) > 20


def _certain(lines: Counter[str]) -> Counter[str]:
    """Return all but the deadlocks that several objects make together, which `lint` alone sees."""
    return Counter({line: count for line, count in lines.items() if "possible deadlock" not in line})


def test_both_say_the_same_of_argos_examples(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real manifests; they are in the namespace of the policy."""
    (tmp_path / "all.yaml").write_text(POLICIES.replace("SEVERITY", "Deny").replace(NAMESPACE, "default"))
    judged = Judged(corpus / "examples", tmp_path, capsys)
    assert judged.review == judged.lint


def test_a_template_stored_without_its_lock_is_told_however_it_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a whole, by a step and by a hook; not where the lock is taken around the call."""
    around = {**_calls(**_ref("stored", "load")), "synchronization": {"mutexes": [{"name": "a"}]}}
    specs = {name: SPECS[name] for name in ("stored", "calls-stored", "stored-hook")}
    objects = [_object("Workflow", name, spec) for name, spec in {**specs, "around": around}.items()]
    judged = Judged(*_write(tmp_path, "Warn", *objects), capsys)
    assert judged.review == judged.lint
    why = "the template comes from stored; it was stored before the policy; apply it again"
    lacks = f"load: lock {NAMESPACE}/Mutex/a is not injected, {why}"
    assert judged.lint == Counter(f"Workflow {NAMESPACE}/{name}: {lacks}" for name in specs)
    assert judged.lint_code == judged.review_code == 0


def test_a_template_of_another_file_can_be_wrapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its text is known to both, so both know that the lock can be put around it."""
    objects = [_object("Workflow", name, SPECS[name]) for name in ("calls-stored", "calls-beside")]
    files, policies = _write(tmp_path, "Warn", *objects)
    text = (policies / "all.yaml").read_text()
    (policies / "all.yaml").write_text(text.replace(KINDS, "[Workflow]"))
    judged = Judged(files, policies, capsys)
    assert judged.review == judged.lint == Counter()
    assert judged.lint_code == judged.review_code == 0


def test_a_template_that_cannot_be_read_is_not_called_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is among the files; what is wrong with it is told where it stands."""
    broken = _object(
        "WorkflowTemplate", "broken", {"templates": [{"name": "load", "suspend": {"duration": 5}}]}
    )
    users = [
        _object("Workflow", "whole", {"workflowTemplateRef": {"name": "broken"}, "entrypoint": "load"}),
        _object("Workflow", "called", _calls(**_ref("broken", "load"))),
    ]
    broken["spec"]["parallelism"] = "many"
    judged = Judged(*_write(tmp_path, "Deny", broken, *users), capsys)
    assert judged.review == judged.lint
    assert [line for line in judged.lint if "Workflow team-a/" in line] == []
    assert judged.lint_code == judged.review_code == 1
