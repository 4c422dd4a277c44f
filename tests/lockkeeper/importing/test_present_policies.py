"""Policies that are there already beside the limits that are read."""

from lockkeeper.process.yaml_output import as_yaml
from policy.core.objects.json_parts import map_at
from tests.lockkeeper.importing.limits import imported, over, quota, running, specs

COUNT = quota("q", "ci", "count/workflows.argoproj.io: 20")
QUOTA = "WorkflowQuota ci/resourcequota-q"
ARGO = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: workflow-controller-configmap, namespace: argo}
data: {parallelism: "50"}
"""
NAMESPACE = """
---
apiVersion: v1
kind: Namespace
metadata: {name: ci, labels: {kubernetes.io/metadata.name: ci}}
"""
OLDER = """
---
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterWorkflowQuota
metadata: {name: shared, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ci}}
  limits: {workflows: 1}
"""


def left_out(text: str) -> dict[str, str]:
    """Return what an import of some objects leaves out, by the source."""
    return {each.source: each.message for each in imported(text).found.left_out}


def test_what_was_imported_before_is_not_printed_again() -> None:
    """It is listed, with whether it still says the same."""
    (draft,) = imported(COUNT).found.drafts
    stored = {**draft.policy, "spec": {**map_at(draft.policy, "spec"), "stopPolicy": "None"}}  # A default.
    again = f"{COUNT}\n---\n{as_yaml(stored)}"
    assert specs(imported(again)) == {}
    assert left_out(again)[QUOTA] == "is there already and says the same"
    changed = again.replace("workflows: 20", "workflows: 30")
    assert specs(imported(changed)) == {}
    assert left_out(changed)[QUOTA].startswith("is there already and says something else")


def test_a_namespace_of_an_older_pool_stays_there_and_that_is_told() -> None:
    """The limits of the new pool do not hold for it."""
    told = left_out(ARGO + NAMESPACE + OLDER)["ClusterWorkflowQuota argo"]
    assert told == "ci belong to the pool shared already, which keeps them: these limits do not hold there"
    assert "ClusterWorkflowQuota argo" not in left_out(ARGO + NAMESPACE)


def test_those_who_run_are_checked_beside_older_policies() -> None:
    """What these let run, or not, is no fault of what is imported."""
    two = running("a", "ci") + running("b", "ci")
    assert over(imported(ARGO.replace("50", "1") + NAMESPACE + two))
    assert over(imported(ARGO.replace("50", "1") + NAMESPACE + OLDER + two)) == []
