"""Policies that are there already: not printed again, counted beside the others, and told."""

import pytest

from lockkeeper.importing.printed_policies import printed
from lockkeeper.process.yaml_output import as_yaml
from tests.lockkeeper.importing.limits import (
    cluster_queue,
    config_map,
    imported,
    labelled,
    left_out,
    local_queue,
    over,
    quota,
    running,
    specs,
)

ARGO = config_map("workflow-controller-configmap", "argo", '{parallelism: "50", namespaceParallelism: "10"}')
NIGHT = '{name: night, schedule: "0 1 * * *", duration: 1h, limits: {workflows: 50}}'
BUILDS = quota("builds", "ci", "count/workflows.argoproj.io: 20")


def policy(kind: str, name: str, spec: str, *, namespace: str = "") -> str:
    """Return a policy, as a document; one of the cluster is old."""
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
---
apiVersion: lockkeeper.dev/v1alpha1
kind: {kind}
metadata: {{name: {name}{where}, creationTimestamp: "2026-01-01T00:00:00Z"}}
spec: {spec}
"""


def namespace(name: str) -> str:
    """Return a Namespace, as a document."""
    return f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"


def semaphore(name: str = "limits") -> str:
    """Return a ConfigMap with a semaphore, and a template that uses it."""
    return (
        config_map(name, "ci", '{db: "3"}')
        + f"""
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: uses-{name}, namespace: ci}}
spec:
  entrypoint: m
  synchronization: {{semaphores: [{{configMapKeyRef: {{name: {name}, key: db}}}}]}}
  templates: [{{name: m, container: {{image: i}}}}]
"""
    )


def as_printed(text: str) -> str:
    """Return the policies that are imported as documents that are there."""
    documents = (f"---\n{as_yaml(each.policy)}" for each in imported(text).found.drafts)
    return "".join(documents)


def test_what_was_applied_is_not_printed_again() -> None:
    """Of every kind, and each is named with where it would have come from."""
    text = ARGO + labelled("ci", "5") + BUILDS + semaphore()
    first = imported(text)
    again = imported(text + as_printed(text))
    assert specs(again) == {}
    assert again.beside == ()
    told = left_out(again)
    assert sum("is there already and says the same" in each for each in told) == len(specs(first)) - 1
    assert any("SynchronizationPolicy ci/semaphores gives it the limit 3 already" in each for each in told)


def test_one_of_the_same_name_that_says_something_else_stays_as_it_is() -> None:
    """Somebody may have changed it on purpose: its fields are named, and nothing is written over it."""
    again = imported(labelled("ci", "8") + as_printed(labelled("ci", "5")))
    assert specs(again) == {}
    (told,) = left_out(again)
    assert told.startswith(
        "WorkflowQuota ci/argo-parallelism: is there already and says something else in spec.limits: "
    )


def test_defaults_that_a_cluster_writes_are_no_difference() -> None:
    """As those of the schema."""
    assert (
        specs(imported(BUILDS + as_printed(BUILDS).replace("spec:\n", "spec:\n  stopPolicy: None\n"))) == {}
    )


@pytest.mark.parametrize(
    ("spec", "printed_too"),
    [
        ("{limits: {workflows: 20}}", False),
        ("{limits: {workflows: 5}}", False),
        ("{limits: {workflows: 21}}", True),
        ("{limits: {tasks: 5}}", True),
        ("{limits: {workflows: Unlimited}}", True),
        ("{limits: {workflows: 5}, onExceed: Warn}", True),
        ("{limits: {workflows: 5}, selector: {matchLabels: {a: b}}}", True),
        ("{limits: {workflows: 5}, windows: [" + NIGHT + "]}", True),
    ],
)
def test_a_quota_that_could_never_count_is_left_out(spec: str, *, printed_too: bool) -> None:
    """Only where one that is there lets run no more, of all Workflows, at all times."""
    made = imported(BUILDS + policy("WorkflowQuota", "own", spec, namespace="ci"))
    assert bool(specs(made)) is printed_too
    if printed_too:
        assert any(each.startswith("ci is limited already by WorkflowQuota ci/own") for each in made.beside)
    else:
        assert "WorkflowQuota ci/own limits workflows" in left_out(made)[0]


def test_defaults_inside_of_a_field_are_no_difference() -> None:
    """The API server writes them into fields that are given."""
    kueue = cluster_queue("gpu", 20) + local_queue("ml", "gpu")
    stored = as_printed(kueue).replace("spec:\n", "spec:\n  fairShare: {halfLife: 1d}\n", 1)
    assert specs(imported(kueue))
    assert "is there already and says the same" in str(left_out(imported(kueue + stored)))


def test_beside_a_pool_that_lends_a_lower_quota_is_a_share_and_leaves_nothing_out() -> None:
    """More than it may run there."""
    pool = policy(
        "ClusterWorkflowQuota", "data", "{namespaceSelector: {}, limits: {workflows: 30}, borrowing: {}}"
    )
    own = policy("WorkflowQuota", "own", "{limits: {workflows: 5}}", namespace="ci")
    assert specs(imported(BUILDS + own + pool + namespace("ci")))


def test_the_older_pool_keeps_its_namespaces_and_that_is_told() -> None:
    """The pool of Argo's parallelism does not count there."""
    pool = policy(
        "ClusterWorkflowQuota",
        "data",
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ci}}, limits: {workflows: 4}}",
    )
    made = imported(ARGO + pool + namespace("ci") + namespace("other"))
    (told,) = made.beside
    assert told.startswith(
        "ClusterWorkflowQuota argo spec.namespaceSelector: ClusterWorkflowQuota data is the old"
    )


def test_limits_of_a_pool_and_of_quotas_in_it_are_added_up() -> None:
    """Where one is there and the other is drafted."""
    pool = policy("ClusterWorkflowQuota", "all", "{namespaceSelector: {}, limits: {workflows: 12}}")
    made = imported(pool + labelled("a", "8") + labelled("b", "9"))
    (told,) = made.beside
    assert told == (
        "ClusterWorkflowQuota all limits 12 workflows together, and the quotas of 2 of its namespaces allow "
        "17: they share 12, so not all can use their own limit at once"
    )


def test_semaphores_of_another_policy_stay_its_own() -> None:
    """The others get a policy of another name, so that nothing is taken away by applying it."""
    there = policy(
        "SynchronizationPolicy",
        "semaphores",
        "{semaphores: [{configMap: limits, key: db, limit: 2}]}",
        namespace="ci",
    )
    made = imported(semaphore() + semaphore("more") + there)
    assert list(specs(made)) == ["SynchronizationPolicy ci/semaphores-2"]
    assert any(
        "SynchronizationPolicy ci/semaphores gives it the limit 2 already" in each for each in left_out(made)
    )


def test_semaphores_of_a_policy_of_the_cluster_are_there_for_the_namespaces_that_it_selects() -> None:
    """And for no others."""
    spec = "{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}, semaphores: {}}}"
    one = "[{configMap: limits, key: db, limit: 2}]"
    for where, left in (("ci", 0), ("other", 1)):
        there = policy("ClusterSynchronizationPolicy", "shared", spec.format(where, one))
        assert len(specs(imported(semaphore() + there))) == left


def test_who_is_over_a_limit_that_is_there_is_told_apart() -> None:
    """Nothing that is imported is to blame for it."""
    own = policy("WorkflowQuota", "own", "{limits: {workflows: 1}}", namespace="ci")
    made = imported(labelled("ml", "3") + own + running("a", "ci") + running("b", "ci") + running("c", "ml"))
    assert over(made) == []
    (already,) = made.checked.already
    assert already.policy == "WorkflowQuota ci/own"
    assert "# Over limits of policies that are there already, whatever is imported:" in printed(made)


def test_a_policy_that_is_wrong_is_told_and_the_rest_is_imported() -> None:
    """With its field."""
    made = imported(BUILDS + policy("WorkflowQuota", "own", "{limits: {workflows: -1}}", namespace="ci"))
    assert specs(made)
    assert "WorkflowQuota ci/own is there and is wrong: spec.limits.workflows must be 0" in made.beside[0]


def test_those_who_run_are_checked_beside_older_policies() -> None:
    """What these let run, or not, is no fault of what is imported."""
    older = policy(
        "ClusterWorkflowQuota",
        "shared",
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ci}}, limits: {workflows: 1}}",
    )
    narrow = ARGO.replace('"50"', '"1"') + namespace("ci") + running("a", "ci") + running("b", "ci")
    assert over(imported(narrow))
    assert over(imported(narrow + older)) == []
