"""Argo's own limits become a pool and quotas, with the lines that they come from."""

import pytest

from tests.lockkeeper.importing.limits import (
    cluster_queue,
    config_map,
    imported,
    labelled,
    left_out,
    local_queue,
    quota,
    specs,
    value_at,
)

NAME = "workflow-controller-configmap"


def settings(data: str) -> str:
    """Return the ConfigMap of Argo's controller."""
    return config_map(NAME, "argo", data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{parallelism: "5"}', {"limits": {"workflows": 5}}),
        ('{namespaceParallelism: "2"}', {"namespaceDefaults": {"limits": {"workflows": 2}}}),
        (
            '{config: "parallelism: 5\\nnamespaceParallelism: 2"}',
            {"limits": {"workflows": 5}, "namespaceDefaults": {"limits": {"workflows": 2}}},
        ),
        (
            '{parallelism: "0", namespaceParallelism: "2"}',
            {"namespaceDefaults": {"limits": {"workflows": 2}}},
        ),
    ],
)
def test_limits_of_the_controller_are_a_pool_of_all_namespaces(
    data: str, expected: dict[str, object]
) -> None:
    """In keys of their own, or in `config`; 0 is no limit."""
    made = imported(settings(data))
    assert specs(made) == {"ClusterWorkflowQuota argo": {"namespaceSelector": {}, **expected}}


@pytest.mark.parametrize("data", ["{}", '{parallelism: "0"}', '{images: "{}"}'])
def test_a_controller_without_limits_gives_no_policy(data: str) -> None:
    """Nothing is invented."""
    made = imported(settings(data))
    assert (specs(made), left_out(made)) == ({}, [])


def test_each_field_has_the_line_that_it_comes_from() -> None:
    """So that a reader finds what to remove there."""
    (draft,) = imported(settings('\n  parallelism: "5"\n  namespaceParallelism: "2"')).found.drafts
    assert [each.source for each in draft.origins] == [
        f"ConfigMap argo/{NAME} data (parallelism) (limits.yaml:7)",
        f"ConfigMap argo/{NAME} data (namespaceParallelism) (limits.yaml:8)",
    ]


def test_the_label_of_a_namespace_is_a_quota() -> None:
    """One that is no number is told; 0 lifts the default, and without a default says nothing."""
    made = imported(labelled("a", "4") + labelled("b", "many") + labelled("c", "0"))
    assert specs(made) == {"WorkflowQuota a/argo-parallelism": {"limits": {"workflows": 4}}}
    assert [each.rpartition(": ")[2] for each in left_out(made)] == [
        "'many' is no number, and Argo ignores it",
        "0 is no limit for Argo",
    ]
    lifted = specs(imported(settings('{namespaceParallelism: "2"}') + labelled("c", "0")))
    assert lifted["WorkflowQuota c/argo-parallelism"] == {"limits": {"workflows": "Unlimited"}}


def test_the_default_holds_beside_another_quota_too() -> None:
    """The default of a pool does not count where a quota of the namespace bounds the same."""
    made = specs(
        imported(settings('{namespaceParallelism: "2"}') + quota("q", "a", "count/workflows.argoproj.io: 9"))
    )
    assert made["WorkflowQuota a/argo-parallelism"] == {"limits": {"workflows": 2}}
    assert value_at(made["WorkflowQuota a/resourcequota-q"], "limits", "workflows") == 9


def test_namespaces_of_kueues_pools_keep_the_default_and_leave_the_pool() -> None:
    """A namespace is in one pool; the limit over all of them is told as left out."""
    text = settings('{parallelism: "5", namespaceParallelism: "2"}')
    made = imported(text + cluster_queue("q", 10) + local_queue("ml", "q"))
    pool = specs(made)["ClusterWorkflowQuota argo"]
    assert value_at(pool, "namespaceSelector", "matchExpressions") == [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["ml"]}
    ]
    kept = specs(made)["ClusterWorkflowQuota kueue-q"]
    assert value_at(kept, "namespaceDefaults", "limits", "workflows") == 2
    assert "does not count the Workflows of ml: a namespace belongs to one pool" in left_out(made)[0]


def test_a_configuration_with_the_name_that_helm_gives_is_read() -> None:
    """The chart of Argo puts the name of its release before."""
    made = imported(config_map(f"argo-workflows-{NAME}", "argo", '{config: "parallelism: 7"}'))
    assert value_at(specs(made)["ClusterWorkflowQuota argo"], "limits", "workflows") == 7


def test_limits_of_a_second_controller_are_told() -> None:
    """Which namespaces it has is not in its settings."""
    other = config_map(f"second-{NAME}", "other", '{parallelism: "9"}')
    made = imported(other + settings('{parallelism: "5"}') + config_map(NAME, "third", "{images: none}"))
    assert value_at(specs(made)["ClusterWorkflowQuota argo"], "limits", "workflows") == 5
    (told,) = left_out(made)
    assert told.startswith(f"ConfigMap other/second-{NAME} data")
