"""Which templates and ConfigMaps are read: those of the namespaces that a policy governs.

Those of other namespaces decide nothing, and would cost memory in every replica.
"""

from collections.abc import Iterable, Mapping

import msgspec

from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.semaphore_definitions import LockPolicy
from policy.core.objects.label_selectors import Labels, LabelSelector
from policy.core.objects.well_known import NAMESPACE_NAME
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    CrossNamespace,
    NamespaceObject,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.sources.documents import Document
from policy.sources.namespace_bounds import Scope
from policy.sources.related_objects import ConfigMapName


class WantedReads(msgspec.Struct, frozen=True):
    """The scopes of each kind that are to be read."""

    templates: frozenset[Scope]
    config_maps: frozenset[Scope]


def wanted_by(documents: Iterable[Document], argo: Iterable[ConfigMapName]) -> WantedReads:
    """Return what policies and namespaces need, and the ConfigMaps of Argo's controllers.

    Quotas count the tasks of templates; policies of locks need ConfigMaps too, and those that rules name.
    """
    labels: dict[str, Labels] = {}
    quotas: list[WorkflowQuota | ClusterWorkflowQuota] = []
    locks: list[LockPolicy] = []
    for each in documents:
        if isinstance(each, NamespaceObject):
            name = each.metadata.name
            labels[name] = {**each.metadata.labels, NAMESPACE_NAME: name}
        elif isinstance(each, WorkflowQuota | ClusterWorkflowQuota):
            quotas.append(each)
        elif isinstance(each, SynchronizationPolicy | ClusterSynchronizationPolicy):
            locks.append(each)
    locked, named_keys = set[str](), set[str]()
    for policy in locks:
        governed = _governed(policy, labels)
        locked |= governed
        if policy.spec.validate.require_defined:
            named_keys |= governed
    templates = locked.union(*(_governed(each, labels) for each in quotas))
    named = {name for name in (*argo, *_named(locks)) if name[0] not in locked}
    return WantedReads(
        templates=frozenset(Scope(each) for each in templates),
        config_maps=frozenset(
            [
                *(Scope(each, names=each in named_keys) for each in locked),
                *(Scope(namespace, name) for namespace, name in named),
            ]
        ),
    )


def _governed(
    policy: WorkflowQuota | ClusterWorkflowQuota | LockPolicy, labels: Mapping[str, Labels]
) -> set[str]:
    """Return the known namespaces that a policy governs."""
    if isinstance(policy, WorkflowQuota | SynchronizationPolicy):
        return {policy.metadata.namespace}
    selector: LabelSelector = policy.spec.namespace_selector
    return {name for name, own in labels.items() if selector.matches(own)}


def _named(locks: Iterable[LockPolicy]) -> set[ConfigMapName]:
    """Return the ConfigMaps of other namespaces whose locks rules inject, where that is allowed."""
    found = set()
    for policy in locks:
        if policy.spec.validate.cross_namespace is not CrossNamespace.ALLOW:
            continue
        for rule in policy.spec.inject:
            target = rule.lock.semaphore
            if target is None or not target.namespace:
                continue
            if not (parameterised(target.namespace) or parameterised(target.config_map)):
                found.add((target.namespace, target.config_map))
    return found
