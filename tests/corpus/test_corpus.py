"""Argo's own examples down the whole path: what a real user could submit must come through right."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockkeeper.__main__ import main
from policy.core.decision.decision import Outcome
from tests.corpus.conftest import Example, Reviewed, mutate
from tests.corpus.expecting import (
    DEFAULT_TASKS,
    DEFINED,
    OF_THE_EXAMPLES,
    POLICIES,
    QUOTAS,
    RULES,
    bodies,
    differences,
    expected,
)
from tests.corpus.schema import Crd
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json, patch_of
from tests.webhook.reviews import NAMESPACE, admission_review, lock_policy, quota

USER = "ada"
INVALID = {
    # Upstream's slip: `generateName: fun-with-gifs-` stands among the labels, and no label may end in a dash.
    "fun-with-gifs.yaml": "metadata.labels.generateName"
}
"""The examples that the API server refuses as they are, with the field."""


def test_the_corpus_is_whole(corpus: Path, documents: tuple[Example, ...]) -> None:
    """What is proved below is proved of every example, not of those that happened to be read."""
    assert len(list((corpus / "examples").rglob("*.yaml"))) == 217
    kinds = Counter(each.kind for each in documents)
    assert kinds["Workflow"] == 199
    assert (kinds["WorkflowTemplate"], kinds["ClusterWorkflowTemplate"], kinds["CronWorkflow"]) == (13, 6, 5)


def test_every_example_but_one_is_valid_before_anything_is_changed(
    workflows: tuple[Example, ...], crd: Crd
) -> None:
    """The originals fit Argo's full schema, so that whatever does not fit later is our doing."""
    faults = {each.file: found for each in workflows if (found := crd.faults(each.obj))}
    assert faults.keys() == INVALID.keys()
    for file, [fault] in faults.items():
        assert fault.startswith(f"{INVALID[file]}: ")


@pytest.mark.parametrize(
    "spec",
    [
        {"unknown": 1},
        {"parallelism": "5"},
        {"parallelism": 2**63},
        {"priority": 2**31},
        {"synchronization": {"semaphore": {"configMapKeyRef": {"name": "a", "key": "b"}}}},
        {"synchronization": {"mutex": {"name": "a"}}},
        {"synchronization": {"mutexes": [{"name": "a", "key": "b"}]}},
        {"templates": [{"name": "a", "synchronisation": {}}]},
        {"templates": [{"name": "a", "steps": [[{"name": "s", "synchronization": {}}]]}]},
        {"templates": [{"name": "a", "dag": {"tasks": [{"name": "s", "synchronization": {}}]}}]},
        {"templates": [{"name": "a", "suspend": {"duration": 5}}]},
    ],
)
def test_the_schema_shows_what_argo_would_lose(spec: Json, crd: Crd) -> None:
    """Fields that the full CRD prunes, and values that it refuses, are faults here."""
    obj = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "a"}, "spec": spec}
    assert len(crd.faults(obj)) == 1


@pytest.mark.parametrize("labels", [{"a": "two words"}, {"a/b/c": ""}, {"a": "x" * 64}, {"-a": ""}])
def test_the_schema_shows_what_no_label_may_be(labels: Json, crd: Crd) -> None:
    """Names and values of labels are checked as apimachinery does."""
    assert len(crd.faults({"metadata": {"labels": labels}, "spec": {}})) == 1


def test_without_policies_no_example_is_touched(workflows: tuple[Example, ...]) -> None:
    """Installing the webhook changes nothing for anybody: no patch, no warning, on either side."""
    webhook = Webhook()
    for each in workflows:
        nothing = {"uid": "some", "allowed": True}
        assert webhook.mutate(each.obj, uid="some") == nothing, each.where
        assert webhook.validate(each.obj, uid="some") == nothing, each.where
    assert {decision.outcome for decision in webhook.decisions} == {Outcome.UNGOVERNED}
    assert len(webhook.decisions) == 398


def test_policies_of_another_namespace_touch_no_example(workflows: tuple[Example, ...]) -> None:
    """What one team rules is not felt by another."""
    webhook = Webhook(POLICIES)
    nothing = {"uid": "some", "allowed": True}
    for each in workflows:
        assert webhook.mutate(each.obj, uid="some", namespace="elsewhere") == nothing, each.where
        assert webhook.validate(each.obj, uid="some", namespace="elsewhere") == nothing, each.where
    assert webhook.reserved() == {}


def test_under_policies_every_example_is_admitted_and_patched(reviewed: tuple[Reviewed, ...]) -> None:
    """With what they use defined, all examples are let in, queued, weighed and reserved."""
    assert [each.example.where for each in reviewed if not each.response["allowed"]] == []
    assert sum("patch" in each.response for each in reviewed) == len(reviewed) == 199
    assert {each.decision.outcome for each in reviewed} == {Outcome.QUEUED}
    assert all("onExceed: Warn" in each.response["warnings"][0] for each in reviewed)


def test_every_rule_finds_templates_in_the_examples(reviewed: tuple[Reviewed, ...]) -> None:
    """The rules below are not proved on nothing: each puts its lock somewhere, together on most examples."""
    put = Counter(lock.rule for each in reviewed for lock in each.decision.injected)
    assert put.keys() == {rule["name"] for rule in RULES}
    assert sum(bool(each.decision.injected) for each in reviewed) >= 140


def test_every_example_is_changed_as_the_policies_say(reviewed: tuple[Reviewed, ...]) -> None:
    """The patched object is, whole, the one that a second reading of the policies expects."""
    for each in reviewed:
        message = each.changed["status"]["message"]
        assert message.startswith("queued by lockkeeper: position 1 of 1 in team"), each.example.where
        changed = {**each.changed, "status": {**each.changed["status"], "message": "queued by lockkeeper"}}
        assert changed == expected(each.example.obj, uid=each.uid, user=USER), each.example.where


def test_a_patch_changes_what_it_says_and_nothing_else(reviewed: tuple[Reviewed, ...]) -> None:
    """Every difference lies where an operation points to, in the few places that are ours to write."""
    for each in reviewed:
        pointers = [operation.path for operation in each.decision.patch]
        found = list(differences(each.example.obj, each.changed))
        assert found, each.example.where
        for difference in found:
            parts = [str(part).replace("~", "~0").replace("/", "~1") for part in difference.path]
            said = ["".join(f"/{part}" for part in parts[:length]) for length in range(1, len(parts) + 1)]
            said += [f"{pointer.rpartition('/')[0]}/-" for pointer in said]
            assert set(said) & set(pointers), (each.example.where, difference)
            assert is_ours(difference.path), (each.example.where, difference)


def is_ours(path: tuple[Any, ...]) -> bool:
    """Tell whether admission may write at a path: marks, parallelism, status, locks of templates."""
    match path:
        case ("metadata", "labels" | "annotations"):
            return True  # The whole map is new; its contents are compared by another test.
        case ("metadata", "labels" | "annotations", str(key)):
            return key.startswith(("lockkeeper.dev/", "workflows.argoproj.io/controller-instanceid"))
        case ("status",) | ("spec", "parallelism") | ("metadata", "name"):
            return True
        case ("spec", "templates", int(), *inner):
            return "synchronization" in inner
        case _:
            return False


def test_a_changed_example_is_still_valid(reviewed: tuple[Reviewed, ...], crd: Crd, minimal_crd: Crd) -> None:
    """Argo's CRDs, full and minimal, refuse and drop nothing of what we wrote."""
    for each in reviewed:
        assert crd.faults(each.changed) == crd.faults(each.example.obj), each.example.where
        assert minimal_crd.faults(each.changed) == minimal_crd.faults(each.example.obj), each.example.where
        assert (crd.faults(each.changed) == []) == (each.example.file not in INVALID)


def test_a_second_pass_changes_nothing(governed: Webhook, reviewed: tuple[Reviewed, ...]) -> None:
    """The mutating side is idempotent on every example: a repeated review has no patch and takes no slot."""
    before = governed.reserved()
    for each in reviewed:
        response = governed.mutate(each.changed, uid=each.uid)
        assert (response["allowed"], "patch" in response) == (True, False), each.example.where
    assert governed.reserved() == before
    assert len(before) == 199


def test_a_changed_example_passes_the_validating_side(
    governed: Webhook, reviewed: tuple[Reviewed, ...]
) -> None:
    """What one side made, the other finds right, under a uid of its own."""
    for number, each in enumerate(reviewed):
        response = governed.validate(each.changed, uid=f"validate-{number}")
        assert (response["allowed"], response.get("warnings")) == (True, None), each.example.where


def test_an_unchanged_example_does_not_pass_the_validating_side(
    governed: Webhook, reviewed: tuple[Reviewed, ...]
) -> None:
    """Nobody gets past the mutating side: every original is refused, for that reason alone."""
    for number, each in enumerate(reviewed):
        response = governed.validate(each.example.obj, uid=f"bypass-{number}")
        assert (response["allowed"], response["status"]["code"]) == (False, 429), each.example.where
        causes = response["status"]["details"]["causes"]
        assert {cause["reason"] for cause in causes} == {"NotMutated"}, each.example.where


def test_one_difference_is_enough_for_the_validating_side(
    governed: Webhook, reviewed: tuple[Reviewed, ...]
) -> None:
    """Taking a lock away from a changed example is noticed."""
    judged = 0
    for number, each in enumerate(reviewed):
        tampered: Json = json.loads(json.dumps(each.changed))
        put = [
            after
            for before, after in zip(bodies(each.example.obj), bodies(tampered), strict=True)
            if "synchronization" not in before and "synchronization" in after
        ]
        if put:
            judged += 1
            del put[0]["synchronization"]
            response = governed.validate(tampered, uid=f"tampered-{number}")
            [cause] = response["status"]["details"]["causes"]
            assert cause["reason"] == "NotMutated", each.example.where
            assert cause["field"].endswith(".synchronization"), each.example.where
    assert judged >= 140


def test_examples_of_undefined_semaphores_are_denied(workflows: tuple[Example, ...]) -> None:
    """Two examples use a ConfigMap that their comments tell the reader to create: without it Argo fails them.

    All others hold mutexes, database locks or nothing, which need no definition here.
    """
    webhook = Webhook(QUOTAS + lock_policy(semaphores=list(DEFINED), inject=list(RULES)))
    denied = {each.example.file: each for each in mutate(webhook, workflows) if not each.response["allowed"]}
    causes = {
        file: [(cause["reason"], cause["field"]) for cause in each.response["status"]["details"]["causes"]]
        for file, each in denied.items()
    }
    assert causes == {
        "synchronization-tmpl-level.yaml": [
            ("LockUndefined", "spec.templates[1].synchronization.semaphores[0].configMapKeyRef.key")
        ],
        "synchronization-wf-level.yaml": [
            ("LockUndefined", "spec.synchronization.semaphores[0].configMapKeyRef.key")
        ],
    }
    for each in denied.values():
        assert each.response["status"]["code"] == 422
        assert "is not defined in ConfigMap team/my-config" in each.response["status"]["message"]
    assert len(webhook.reserved()) == 197


def test_a_config_map_defines_what_an_example_uses(workflows: tuple[Example, ...]) -> None:
    """The ConfigMap of the comments, beside the policies, is as good as a definition in a policy."""
    data = {each["key"]: str(each["limit"]) for each in OF_THE_EXAMPLES}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "my-config", "namespace": NAMESPACE},
        "data": data,
    }
    webhook = Webhook(f"{lock_policy()}---\n{yaml.safe_dump(config_map)}")
    assert all(webhook.mutate(each.obj)["allowed"] for each in workflows)


def test_a_task_limit_without_a_default_asks_examples_for_a_bound(workflows: tuple[Example, ...]) -> None:
    """Only the examples that set spec.parallelism can be weighed; the others are told what to set."""
    webhook = Webhook(quota("Queue", limits={"tasks": 10}))
    for each in workflows:
        response = webhook.mutate(each.obj)
        assert response["allowed"] == ("parallelism" in each.obj["spec"]), each.where
        if not response["allowed"]:
            [cause] = response["status"]["details"]["causes"]
            assert (cause["reason"], cause["field"]) == ("UnboundedTasks", "spec.parallelism"), each.where


def test_other_kinds_are_let_through_untouched(governed: Webhook, documents: tuple[Example, ...]) -> None:
    """Templates, cron and event objects are no Workflows, however much of one is in them."""
    others = [each for each in documents if each.kind != "Workflow"]
    for each in others:
        group, _, version = each.obj["apiVersion"].rpartition("/")
        kind = {"group": group, "version": version, "kind": each.kind}
        for path in ("/mutate", "/validate"):
            review = admission_review(each.obj, kind=kind, uid="other")
            assert governed.response(review, path) == {"uid": "other", "allowed": True}, each.where
    assert len(others) == 29


def test_referenced_templates_of_the_corpus_give_their_bound(documents: tuple[Example, ...]) -> None:
    """The four examples with a workflowTemplateRef weigh, and get, what their template's parallelism says."""
    bound = 7
    templates = [
        {
            **each.obj,
            "metadata": {**each.obj["metadata"], "namespace": NAMESPACE},
            "spec": {**each.obj["spec"], "parallelism": bound},
        }
        for each in documents
        if each.kind in {"WorkflowTemplate", "ClusterWorkflowTemplate"}
    ]
    names = [(each["kind"], each["metadata"]["name"]) for each in templates]
    assert len(set(names)) == len(names) == 19
    webhook = Webhook(QUOTAS + "".join(f"---\n{yaml.safe_dump(each)}" for each in templates))
    references = tuple(
        each for each in documents if each.kind == "Workflow" and "workflowTemplateRef" in each.obj["spec"]
    )
    assert len(references) == 4
    for each in mutate(webhook, references):
        assert each.changed["metadata"]["annotations"]["lockkeeper.dev/tasks"] == str(bound)
        pinned = {**each.example.obj["spec"], "parallelism": bound}
        assert each.changed["spec"] == pinned, each.example.where
        assert webhook.validate(each.changed, uid=f"{each.uid}-2")["allowed"], each.example.where


def test_unknown_templates_give_the_default(reviewed: tuple[Reviewed, ...]) -> None:
    """Without the templates beside the policies, the same examples get the default bound."""
    found = [each.changed["spec"] for each in reviewed if "workflowTemplateRef" in each.example.obj["spec"]]
    assert [spec["parallelism"] for spec in found] == [DEFAULT_TASKS] * 4


def test_the_command_line_decides_as_the_webhook_does(
    corpus: Path, reviewed: tuple[Reviewed, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lockkeeper review` shows for every example the patch that the webhook would send.

    It knows the templates among the files, and the webhook of these tests none: what calls them is left out.
    """
    (tmp_path / "all.yaml").write_text(POLICIES.replace(f"namespace: {NAMESPACE}", "namespace: default"))
    command = ["review", str(corpus / "examples"), "--policies", str(tmp_path), "--user", USER, "-o", "json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    shown = [each for each in told if each["kind"] == "Workflow" and not each["inside"]]
    assert [each["outcome"] for each in shown] == ["allowed"] * 199  # None of them would have to wait.
    by_place = {(each["file"].removeprefix(f"{corpus}/examples/"), each["name"]): each for each in shown}
    assert len(by_place) == 199
    alone = [each for each in reviewed if "emplateRef" not in json.dumps(each.example.obj)]
    assert len(alone) > 180
    for each in alone:
        metadata = each.example.obj["metadata"]
        one = by_place[each.example.file, metadata.get("name") or metadata.get("generateName", "")]
        assert pointers(one["patch"]) == pointers(patch_of(each.response)), each.example.where
        assert locks(one["changed"]) == locks(each.changed), each.example.where


def pointers(patch: list[Json]) -> list[tuple[str, str]]:
    """Return where a patch writes."""
    return [(operation["op"], operation["path"]) for operation in patch]


def locks(obj: Json) -> list[Json | None]:
    """Return the locks of all templates."""
    return [body.get("synchronization") for body in bodies(obj)]
