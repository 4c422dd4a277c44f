"""Policies as objects: the API server takes the examples, and refuses wrong ones by the field."""

import msgspec
import pytest

from policy.cluster.errors import Invalid
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import MergePatch
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.policy_checks import problems
from policy.core.policy_kinds.kinds import POLICY_KINDS
from tests.e2e.building import ROOT
from tests.e2e.kubectl import Kubectl
from tests.policy.cluster.conftest import field
from tests.policy.wrong_policies import LOCKS, POOL, QUOTA, REFUSED_BY_BOTH, RESOURCES, a_rule, policy

pytestmark = pytest.mark.e2e

EXAMPLES = ROOT / "examples"
FILES = sorted(
    str(path.relative_to(EXAMPLES))
    for folder in ("policies", "groups/policies")
    for path in (EXAMPLES / folder).glob("*.yaml")
)


@pytest.mark.parametrize("name", FILES)
def test_every_example_is_accepted(kubectl: Kubectl, name: str) -> None:
    """Kubectl checks them strictly: a field that the CRD does not know would be an error."""
    kubectl.said("apply", "-f", str(EXAMPLES / "policies" / "namespaces.yaml"))
    for _ in range(2):
        kubectl.said("apply", "-f", str(EXAMPLES / name))
    generations = kubectl.said("get", "-f", str(EXAMPLES / name), "-o", "jsonpath={..metadata.generation}")
    assert set(generations.split()) <= {"1"}, "applying the same again changed something"


@pytest.mark.parametrize(("kind", "spec", "where", "why"), REFUSED_BY_BOTH)
def test_a_wrong_policy_is_refused_with_the_field_named(
    kube_cluster: KubeCluster, kind: str, spec: JsonObject, where: str, why: str
) -> None:
    """By the API server in a cluster, and by our own checks where there is none."""
    with pytest.raises(Invalid) as refused:
        kube_cluster.create(RESOURCES[kind], policy(kind, spec), dry_run=True)
    assert f"{where}: " in refused.value.message
    assert why in refused.value.message
    try:
        found = problems(msgspec.convert(policy(kind, spec), POLICY_KINDS[kind]))
    except msgspec.ValidationError:
        return
    assert found, "the API server refuses this, and policy_checks does not"


def test_an_unknown_field_is_refused_by_kubectl(kubectl: Kubectl) -> None:
    """A misspelt limit would be no limit."""
    text = msgspec.json.encode(policy(QUOTA, {"limit": {"workflows": 1}})).decode()
    refused = kubectl.run("create", "-f", "-", text=text)
    assert refused.returncode != 0
    assert 'unknown field "spec.limit"' in refused.stderr


@pytest.mark.parametrize("amount", [0, 3, "Unlimited"])
def test_an_amount_is_a_number_or_the_word_unlimited(kube_cluster: KubeCluster, amount: JsonValue) -> None:
    """It is stored as it was written."""
    made = kube_cluster.create(
        RESOURCES[QUOTA], policy(QUOTA, {"limits": {"workflows": amount}}), dry_run=True
    )
    assert field(made, "spec", "limits", "workflows") == amount


@pytest.mark.parametrize(
    "key",
    [
        "{{workflow.labels.app.kubernetes.io/name}}/{{ workflow.parameters.branch_1 }}",
        "{{workflow.annotations.a}} {{workflow.template}}x-{{workflow.cron}}",
        "{{workflow.serviceAccountName}}",
        "ci:{{workflow.generateName}}:{{user}}!",
        "{{workflow.namespace}}/{{user}}",
    ],
)
def test_a_group_with_every_part_is_stored_with_its_defaults(kube_cluster: KubeCluster, key: str) -> None:
    """In a namespace and in a pool; our own checks find nothing in it, either."""
    group: JsonObject = {"name": "one", "key": key}
    specs: dict[str, JsonObject] = {
        QUOTA: {"groups": [group]},
        POOL: {"namespaceSelector": {}, "groups": [group]},
    }
    for kind, spec in specs.items():
        made = kube_cluster.create(RESOURCES[kind], policy(kind, spec), dry_run=True)
        assert field(made, "spec", "groups") == [
            {
                **group,
                "limits": {"workflows": 1},
                "whenBusy": "Queue",
                "cancel": "Terminate",
                "missing": "Ignore",
            }
        ]
        assert not problems(msgspec.convert(made, POLICY_KINDS[kind]))


def test_the_namespace_alone_is_a_key_where_the_newest_counts(kube_cluster: KubeCluster) -> None:
    """No limit could say it."""
    group: JsonObject = {"name": "one", "key": "{{workflow.namespace}}", "whenBusy": "KeepNewest"}
    made = kube_cluster.create(RESOURCES[QUOTA], policy(QUOTA, {"groups": [group]}), dry_run=True)
    assert not problems(msgspec.convert(made, POLICY_KINDS[QUOTA]))


def test_a_lock_may_be_named_by_a_parameter_with_a_slash(kube_cluster: KubeCluster) -> None:
    """Argo fills it in at run time, so what it will be is not known here."""
    key = "{{= inputs.parameters.size == 'a/b' ? 'large' : 'small'}}"
    spec = a_rule(lock={"semaphore": {"configMap": "c", "key": key}})
    made = kube_cluster.create(RESOURCES[LOCKS], policy(LOCKS, spec), dry_run=True)
    assert not problems(msgspec.convert(made, POLICY_KINDS[LOCKS]))


def test_the_status_is_written_apart_and_shown(kube_cluster: KubeCluster, kubectl: Kubectl) -> None:
    """An author cannot set it; what Lockkeeper writes there is what `kubectl get` shows."""
    quota = RESOURCES[QUOTA]
    forged: JsonObject = {**policy(QUOTA, {"limits": {"workflows": 7}}, "shown"), "status": {"running": 99}}
    made = kube_cluster.create(quota, forged)
    assert field(made, "status") is None
    ready: JsonObject = {
        "type": "Ready",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-23T12:00:00Z",
    }
    status: JsonObject = {
        "running": 5,
        "queued": 2,
        "tasks": 40,
        "borrowed": {"workflows": 1, "tasks": 0},
        "effectiveLimits": {"workflows": 9, "tasks": "Unlimited"},
        "openWindows": ["night"],
        "groups": [{"name": "branch", "keysInUse": 3, "keysAtLimit": 1, "waiting": 2}],
        "observedGeneration": 1,
        "conditions": [ready],
    }
    patch = MergePatch({"status": status})
    found = kube_cluster.patch(quota, "shown", patch, namespace="default", subresource="status")
    assert field(found, "status") == status
    assert field(found, "spec", "limits", "workflows") == 7
    assert field(found, "metadata", "generation") == 1
    header, line = kubectl.said("get", "wfq", "shown").splitlines()
    assert header.split() == ["NAME", "RUNNING", "LIMIT", "QUEUED", "READY", "AGE"]
    assert line.split()[:-1] == ["shown", "5", "9", "2", "True"]
    header, line = kubectl.said("get", "wfq", "shown", "-o", "wide").splitlines()
    wide = ["NAME", "RUNNING", "LIMIT", "QUEUED", "TASKS", "BORROWED", "READY", "AGE"]
    assert header.split() == wide
    assert line.split()[:-1] == ["shown", "5", "9", "2", "40", "1", "True"]
    grown = kube_cluster.patch(
        quota, "shown", MergePatch({"spec": {"onExceed": "Deny"}}), namespace="default"
    )
    assert field(grown, "metadata", "generation") == 2
    kube_cluster.delete(quota, "shown", namespace="default")


@pytest.mark.parametrize("short", ["wfq", "cwfq", "sp", "csp", "wfql", "lockkeeper"])
def test_kinds_have_short_names(kubectl: Kubectl, short: str) -> None:
    """And `lockkeeper` stands for all of them."""
    kubectl.said("get", short, "--all-namespaces")
