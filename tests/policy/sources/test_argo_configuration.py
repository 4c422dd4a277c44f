"""The defaults of Argo's controller: read from its ConfigMap, and effective in the tasks of a Workflow."""

import pytest
import yaml

from policy.core.decision.decision import Code
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.identities import Identities
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import NO_DEFAULTS, WorkflowDefaults
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.sources.documents import read
from tests.policy.core.builders import mutate, patched, quota, texts, workflow

SEPARATE = "workflowDefaults: |\n  spec: {parallelism: 7, priority: 3}\n"
WHOLE = "config: |\n  workflowDefaults:\n    spec: {parallelism: 7, priority: 3}\n"


def snapshot(data: str, *, namespace: str = "argo", name: str = "workflow-controller-configmap") -> Snapshot:
    """Return the snapshot with a ConfigMap of these data and a quota on tasks."""
    config_map: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": yaml.safe_load(data),
    }
    contents = read(config_map)
    assert contents.problems == ()
    documents = [each.document for each in contents.documents]
    return take_snapshot(
        [*documents, quota(limits={"tasks": 20}, perWorkflow={"maxTasks": 10})],
        version="v",
        argo=DEFAULT_VERSION,
        identities=Identities(),
    )


@pytest.mark.parametrize("data", [SEPARATE, WHOLE])
def test_the_defaults_are_read_in_both_forms(data: str) -> None:
    """A key for each setting, or one for all of them."""
    assert snapshot(data).argo_defaults == WorkflowDefaults(7, 3)


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        "workflowDefaults: 'spec: ['",
        "workflowDefaults: '[]'",
        "workflowDefaults: 'spec: {parallelism: many, priority: true}'",
    ],
)
def test_what_cannot_be_read_gives_no_defaults(data: str) -> None:
    """Argo would not start with it, so no user relies on it."""
    assert snapshot(data).argo_defaults == NO_DEFAULTS


@pytest.mark.parametrize(
    ("data", "most", "in_namespace"),
    [
        ("{parallelism: '10', namespaceParallelism: '4'}", 10, 4),
        ("config: '{parallelism: 10, namespaceParallelism: 4}'", 10, 4),
        ("{parallelism: '0', namespaceParallelism: 'many'}", None, None),
        ("config: 'parallelism: -1'", None, None),
        ("config: 'parallelism: true'", None, None),
    ],
)
def test_the_limits_of_the_controller_itself_are_read(
    data: str, most: int | None, in_namespace: int | None
) -> None:
    """Argo takes 0 for no limit; with what is no number it would not start."""
    assert snapshot(data).argo_defaults == WorkflowDefaults(most=most, most_in_namespace=in_namespace)


def test_only_the_config_map_of_argos_own_namespace_counts() -> None:
    """Any user may give a ConfigMap of theirs that name."""
    assert snapshot(SEPARATE, namespace="team-a").argo_defaults == NO_DEFAULTS
    assert snapshot(SEPARATE, name="other").argo_defaults == NO_DEFAULTS


def test_a_workflow_without_parallelism_counts_what_argo_lets_it_run() -> None:
    """It is written, so that it stays; a Workflow's own values and the cap count before it."""
    policies = snapshot(SEPARATE)
    obj = workflow({})
    marked = texts(patched(obj, mutate(obj, policies).patch), "metadata", "annotations")
    assert (marked["lockkeeper.dev/tasks"], marked["lockkeeper.dev/priority"]) == ("7", "3")
    own = workflow({"parallelism": 2, "priority": 1})
    marked = texts(patched(own, mutate(own, policies).patch), "metadata", "annotations")
    assert (marked["lockkeeper.dev/tasks"], marked["lockkeeper.dev/priority"]) == ("2", "1")
    wide = mutate(obj, snapshot("workflowDefaults: 'spec: {parallelism: 11}'"))
    assert [each.code for each in wide.reasons] == [Code.TASKS_ABOVE_CAP]


@pytest.mark.parametrize("value", ["Strict", "Secure"])
@pytest.mark.parametrize(
    "data",
    [
        "workflowRestrictions: 'templateReferencing: {}'",
        "config: |\n  workflowRestrictions: {{templateReferencing: {}}}",
    ],
)
def test_whether_argo_runs_references_alone_is_read_in_both_forms(data: str, value: str) -> None:
    """It lets a Workflow set neither parallelism nor anything else that tells its weight then."""
    assert snapshot(data.format(value)).argo_defaults == WorkflowDefaults(references_only=True)


@pytest.mark.parametrize(
    "data",
    [
        "workflowRestrictions: 'templateReferencing: strict'",
        "workflowRestrictions: 'templateReferencing: [Strict]'",
        "workflowRestrictions: '[Strict]'",
        "workflowRestrictions: 'templateReferencing: {'",
        "workflowRestrictions: ''",
    ],
)
def test_what_argo_takes_for_no_restriction_is_none(data: str) -> None:
    """It compares the exact word."""
    assert snapshot(data).argo_defaults == NO_DEFAULTS


def test_both_settings_are_read_together() -> None:
    """Defaults hold beside restrictions."""
    data = f"{SEPARATE}workflowRestrictions: 'templateReferencing: Secure'\n"
    assert snapshot(data).argo_defaults == WorkflowDefaults(7, 3, references_only=True)
