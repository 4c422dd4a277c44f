"""Which templates and ConfigMaps policies ask for."""

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    NamespaceObject,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.sources.documents import Document
from policy.sources.governed_namespaces import wanted_by
from policy.sources.namespace_bounds import Scope

ARGO = ("argo", "workflow-controller-configmap")


def policy(kind: type[Document], namespace: str = "", **spec: object) -> Document:
    """Return a policy."""
    metadata: JsonObject = {"name": "p", **({"namespace": namespace} if namespace else {})}
    return msgspec.convert({"metadata": metadata, "spec": spec}, kind)


def namespaces(**labels: str) -> list[Document]:
    """Return namespaces by the value of their label `team`."""
    return [
        msgspec.convert({"metadata": {"name": name, "labels": {"team": value}}}, NamespaceObject)
        for name, value in labels.items()
    ]


KNOWN = namespaces(a="etl", b="etl", c="ml")
ETL = {"matchLabels": {"team": "etl"}}


def test_without_policies_nothing_is_read_but_argos_own_settings() -> None:
    """They decide the task count and priority of Workflows in any namespace that is governed later."""
    wanted = wanted_by(KNOWN, [ARGO])
    assert wanted.templates == frozenset()
    assert wanted.config_maps == {Scope(*ARGO)}


def test_quotas_and_pools_need_templates_only() -> None:
    """Nothing that they do depends on a ConfigMap of a namespace."""
    wanted = wanted_by(
        [*KNOWN, policy(WorkflowQuota, "c"), policy(ClusterWorkflowQuota, namespaceSelector=ETL)], []
    )
    assert wanted.templates == {Scope("a"), Scope("b"), Scope("c")}
    assert wanted.config_maps == frozenset()


def test_policies_of_locks_need_config_maps_and_decide_whether_by_name() -> None:
    """Of a key that is no limit not even the name is stored where no policy requires it to be defined."""
    cluster = policy(ClusterSynchronizationPolicy, namespaceSelector=ETL, validate={"requireDefined": False})
    wanted = wanted_by([*KNOWN, cluster, policy(SynchronizationPolicy, "b")], [])
    assert wanted.templates == {Scope("a"), Scope("b")}
    assert wanted.config_maps == {Scope("a", names=False), Scope("b", names=True)}


def test_a_rule_needs_the_config_map_of_another_namespace_only_where_that_is_allowed() -> None:
    """And for that one alone: nothing else is read there."""
    rule = {
        "name": "r",
        "templates": {"names": ["x"]},
        "lock": {"semaphore": {"configMap": "limits", "key": "db", "namespace": "z"}},
    }
    for allowed in ("Allow", "Deny"):
        locks = policy(SynchronizationPolicy, "a", inject=[rule], validate={"crossNamespace": allowed})
        wanted = wanted_by([*KNOWN, locks], [])
        assert (Scope("z", "limits") in wanted.config_maps) == (allowed == "Allow")
        assert Scope("z") not in wanted.config_maps


def test_argos_settings_are_read_once_where_its_namespace_is_governed_by_locks() -> None:
    """What is read of a namespace as a whole has them already."""
    wanted = wanted_by([policy(SynchronizationPolicy, "argo")], [ARGO])
    assert wanted.config_maps == {Scope("argo", names=True)}
