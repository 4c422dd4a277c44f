"""All siblings of templates that are wanted now, as objects to create, and as if they were there."""

from collections.abc import Iterator, Mapping

import msgspec

from policy.core.lock_graph.template_library import library_of
from policy.core.lock_model.generated_names import Sibling, is_sibling
from policy.core.lock_model.semaphore_definitions import LockPolicy
from policy.core.lock_review.siblings import policy_sets, possible_sibling
from policy.core.objects import well_known
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.template_keys import ObjectKind, TemplateKey
from policy.core.objects.workflow import Metadata, WorkflowSpec
from policy.core.policies.snapshot import Compiled, Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, Referenced


class SiblingInputs(msgspec.Struct, frozen=True):
    """All that decides which siblings are wanted, and which of them are there."""

    argo: ArgoVersion
    policies: tuple[LockPolicy, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    templates: Mapping[TemplateKey, WorkflowSpec]
    texts: Mapping[TemplateKey, str]
    headers: Mapping[TemplateKey, Metadata]
    limits: Mapping[tuple[str, str], Mapping[str, str]]


def sibling_inputs(snapshot: Snapshot) -> SiblingInputs:
    """Return the ground of a snapshot; of ConfigMaps it has those alone that rules take locks from."""
    targets = [rule.lock.semaphore for policy in snapshot.lock_policies for rule in policy.spec.inject]
    names = {target.config_map for target in targets if target is not None}
    return SiblingInputs(
        argo=snapshot.argo,
        policies=snapshot.lock_policies,
        namespaces=snapshot.namespace_labels,
        templates=snapshot.templates,
        texts=snapshot.texts,
        headers=snapshot.headers,
        limits={key: data for key, data in snapshot.config_maps.items() if key[1] in names},
    )


def wanted_siblings(snapshot: Snapshot) -> Iterator[Sibling]:
    """Yield the siblings that Workflows may be led to, each once.

    A template of the cluster has one in every namespace whose policies want one. Siblings have none.
    """
    namespaces = _with_siblings(snapshot)
    origins: dict[str, list[TemplateKey]] = {}
    for key in snapshot.templates if namespaces else ():
        if not is_sibling(snapshot.header(key)):
            origins.setdefault(key.namespace, []).append(key)
    for namespace in sorted(namespaces):
        yield from _of_namespace(namespace, [*origins.get(namespace, ()), *origins.get("", ())], snapshot)


def manifest(sibling: Sibling, uid: str) -> JsonObject:
    """Return the object to create, of an origin with this uid; Kubernetes removes it with its origin."""
    origin = sibling.origin
    annotations: JsonObject = {well_known.SIBLING_OF: origin.text}
    if sibling.note:
        annotations[well_known.INJECTED] = sibling.note
    owner: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": origin.kind.value,
        "name": origin.name,
        "uid": uid,
    }
    spec: JsonObject = msgspec.json.decode(sibling.text)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": ObjectKind.WORKFLOW_TEMPLATE.value,
        "metadata": {
            "name": sibling.name,
            "namespace": sibling.namespace,
            "labels": {well_known.SIBLING: sibling.mark},
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def with_siblings(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as if all siblings had been made: where templates are files, nobody makes them."""
    templates, texts, headers = dict(snapshot.templates), dict(snapshot.texts), dict(snapshot.headers)
    for each in wanted_siblings(snapshot):
        templates[each.key] = msgspec.json.decode(each.text, type=WorkflowSpec)
        texts[each.key] = each.text
        headers[each.key] = Metadata(
            name=each.name,
            namespace=each.namespace,
            labels={well_known.SIBLING: each.mark},
            annotations={well_known.SIBLING_OF: each.origin.text},
        )
    if len(templates) == len(snapshot.templates):
        return snapshot
    return msgspec.structs.replace(
        snapshot,
        templates=templates,
        texts=texts,
        headers=headers,
        compiled=Compiled(),
        library=library_of(templates, snapshot.library),
    )


def _with_siblings(snapshot: Snapshot) -> set[str]:
    """Return the namespaces in which a policy leads Workflows to siblings."""
    found: set[str] = set()
    known = {*snapshot.namespace_labels, *(scope for scope, _ in snapshot.templates if scope)}
    for policy in snapshot.lock_policies:
        if policy.spec.match.referenced is not Referenced.SIBLING:
            continue
        if isinstance(policy, ClusterSynchronizationPolicy):
            selector = policy.spec.namespace_selector
            found.update(name for name in known if selector.matches(snapshot.labels_of(name)))
        else:
            found.add(policy.metadata.namespace)
    return found


def _of_namespace(namespace: str, origins: list[TemplateKey], snapshot: Snapshot) -> Iterator[Sibling]:
    locks = snapshot.policies(namespace).locks
    seen: set[str] = set()
    for active in policy_sets(locks) if locks is not None else ():
        for origin in origins:
            found = None if locks is None else possible_sibling(origin, active, locks, snapshot)
            if found is not None and found.name not in seen:
                seen.add(found.name)
                yield found
