"""Where Argo's own limits are lower than those of a quota, Workflows wait in Argo after their release."""

import msgspec
import pytest

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import WorkflowDefaults
from policy.core.policies.argo_limits import PARALLELISM_LABEL, argo_limit, lower_limits
from policy.core.policies.conflicts import FindingKind, all_findings
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from tests.policy.core.builders import NAMESPACE, namespace_object, pool, quota, snapshot


def beside(
    *documents: Document, most: int | None = None, in_namespace: int | None = None, argo: str = "4.1"
) -> Snapshot:
    """Return a snapshot beside an Argo with these limits."""
    limits = WorkflowDefaults(most=most, most_in_namespace=in_namespace)
    return msgspec.structs.replace(snapshot(*documents, argo=argo), argo_defaults=limits)


def found(policy: WorkflowQuota | ClusterWorkflowQuota, policies: Snapshot) -> list[str]:
    """Return the fields that are above Argo's limits."""
    return [each.path for each in lower_limits(policy, policies)]


def test_the_whole_message() -> None:
    """Which number, whose, what follows, and both fixes."""
    own = quota(limits={"workflows": 10})
    (lower,) = lower_limits(own, beside(own, in_namespace=4))
    assert lower.path == "spec.limits.workflows"
    assert lower.message == (
        "10 is above the 4 Workflows that Argo itself runs at once in team-a (namespaceParallelism of its "
        "controller): what is released beyond that waits in Argo, where no position is shown. Raise it "
        "there, or lower this to 4"
    )


@pytest.mark.parametrize(
    ("most", "in_namespace", "label", "limit"),
    [
        (None, None, None, None),
        (8, None, None, 8),
        (8, 4, None, 4),
        (3, 4, None, 3),
        (None, 4, "6", 6),
        (None, 4, "0", None),
        (5, 4, "0", 5),
        (None, 4, "many", 4),
        (None, None, "7", 7),
    ],
)
def test_the_lowest_limit_of_argo_counts(
    most: int | None, in_namespace: int | None, label: str | None, limit: int | None
) -> None:
    """A label of the namespace counts instead of the controller's own; 0 is no limit, a word is no number."""
    labels = {} if label is None else {PARALLELISM_LABEL: label}
    policies = beside(namespace_object(NAMESPACE, **labels), most=most, in_namespace=in_namespace)
    argo = argo_limit(NAMESPACE, policies)
    assert (None if argo is None else argo.workflows) == limit


def test_argo_before_3_7_knows_no_label() -> None:
    """It counts by its controller alone."""
    labelled = namespace_object(NAMESPACE, **{PARALLELISM_LABEL: "2"})
    assert argo_limit(NAMESPACE, beside(labelled, argo="3.6")) is None
    assert argo_limit(NAMESPACE, beside(labelled, argo="3.7")) is not None


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"limits": {"workflows": 4}}, []),
        ({"limits": {"workflows": 5}}, ["spec.limits.workflows"]),
        ({"limits": {"workflows": "Unlimited", "tasks": 9}}, []),
        ({"limits": {"workflows": 9}, "onExceed": "Warn"}, []),
        (
            {
                "limits": {"workflows": 3},
                "windows": [
                    {"name": "n", "schedule": "@daily", "duration": "1h", "limits": {"workflows": 6}}
                ],
            },
            ["spec.windows[0].limits.workflows"],
        ),
    ],
)
def test_each_limit_that_is_higher_is_reported(spec: JsonObject, paths: list[str]) -> None:
    """Those of windows too; what is not bounded, or only warned of, holds nobody here."""
    given = {"metadata": {"name": "main", "namespace": NAMESPACE}, "spec": spec}
    own = msgspec.convert(given, WorkflowQuota)
    assert found(own, beside(own, in_namespace=4)) == paths


def test_a_pool_is_compared_with_the_whole_controller_and_its_defaults_with_each_member() -> None:
    """A pool of many namespaces may have more than each of them in Argo."""
    shared = pool(limits={"workflows": 20}, namespaceDefaults={"limits": {"workflows": 6}})
    members = (namespace_object("a"), namespace_object("b", **{PARALLELISM_LABEL: "5"}))
    assert found(shared, beside(shared, *members)) == ["spec.namespaceDefaults.limits.workflows"]
    assert found(shared, beside(shared, *members, in_namespace=9)) == [
        "spec.namespaceDefaults.limits.workflows"
    ]
    assert found(shared, beside(shared, most=10)) == ["spec.limits.workflows"]
    assert found(shared, beside(shared, *members, most=20, in_namespace=20)) == [
        "spec.namespaceDefaults.limits.workflows"
    ]


def test_many_members_are_reported_a_few_times() -> None:
    """A mistake is mostly one in all of them."""
    shared = pool(namespaceDefaults={"limits": {"workflows": 6}})
    members = [namespace_object(f"n{number}") for number in range(30)]
    assert len(found(shared, beside(shared, *members, in_namespace=2))) == 5


def test_it_is_a_finding_about_the_policy() -> None:
    """From there it gets into its status, and into `lockkeeper check`."""
    own = quota(limits={"workflows": 10})
    (findings,) = all_findings(beside(own, most=2)).values()
    assert [each.kind for each in findings] == [FindingKind.ARGO_LIMIT]
