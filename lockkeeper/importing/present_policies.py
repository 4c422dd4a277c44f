"""Policies that are there already: none of their names is printed again, and older pools keep namespaces."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lockkeeper.importing.drafts import Draft, Drafts, NotImported
from lockkeeper.lint.reading import lint_objects
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.object_kinds import is_policy
from lockkeeper.manifests.reading import Inputs
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot, pool_of, take_snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota
from policy.sources.documents import read

_POOL: Final = "ClusterWorkflowQuota"
_MOST_NAMED: Final = 5


def beside_present(
    found: Drafts, manifests: Sequence[Manifest], *, namespace: str, argo: ArgoVersion
) -> Drafts:
    """Return the drafts that are new beside the policies among some objects, and why others are not."""
    present = [each for each in manifests if is_policy(each.value)]
    if not present:
        return found
    specs = {_name(each, namespace): _spec(each.value) for each in present}
    snapshot = _snapshot([*present, *(each for each in manifests if each.kind == "Namespace")], argo)
    kept = tuple(each for each in found.drafts if each.name not in specs)
    told = [*_doubles(found.drafts, specs), *(note for each in kept for note in _in_older(each, snapshot))]
    return Drafts(kept, (*found.left_out, *told))


def _name(policy: Manifest, namespace: str) -> str:
    """Return kind and name, as a draft has them."""
    where = "" if policy.kind.startswith("Cluster") else f"{policy.namespace_or(namespace)}/"
    return f"{policy.kind} {where}{policy.name}"


def _spec(policy: JsonObject) -> object:
    """Return the spec of a policy with the defaults that a cluster writes; as it is where it is wrong."""
    found = read(policy).documents
    return getattr(found[0].document, "spec", None) if found else policy.get("spec")


def _doubles(drafts: Sequence[Draft], specs: Mapping[str, object]) -> Iterator[NotImported]:
    for each in drafts:
        if each.name not in specs:
            continue
        same = specs[each.name] == _spec(each.policy)
        other = "is there already and says something else: change it, or delete it and import again"
        yield NotImported(each.name, "is there already and says the same" if same else other)


def _in_older(draft: Draft, snapshot: Snapshot) -> Iterator[NotImported]:
    """Yield the namespaces of a pool that belong to a pool which is there already."""
    found = read(draft.policy).documents if draft.policy["kind"] == _POOL else ()
    pool = found[0].document if found else None
    if not isinstance(pool, ClusterWorkflowQuota):
        return
    taken: dict[str, list[str]] = {}
    for namespace in sorted(snapshot.namespace_labels):
        older = pool_of(snapshot, namespace)
        if older is not None and pool.spec.namespace_selector.matches(snapshot.labels_of(namespace)):
            taken.setdefault(older.metadata.name, []).append(namespace)
    for name, namespaces in taken.items():
        more = len(namespaces) - _MOST_NAMED
        shown = ", ".join(namespaces[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        message = (
            f"{shown} belong to the pool {name} already, which keeps them: these limits do not hold there"
        )
        yield NotImported(draft.name, message)


def _snapshot(manifests: Sequence[Manifest], argo: ArgoVersion) -> Snapshot:
    objects = lint_objects(Inputs(tuple(manifests), (), 0, 0), "default")
    return take_snapshot(objects.documents, version="present", argo=argo)
