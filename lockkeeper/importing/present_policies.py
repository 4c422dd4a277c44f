"""Our policies that are there already: what they say is not drafted again, and what counts beside is told.

The older pool keeps a namespace, and of several quotas the lowest limit counts. So a draft that could never
count is left out with the reason, and for the others the conflicts are found as the controller finds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from lockkeeper.importing.drafts import Draft, Drafts, NotImported
from lockkeeper.lint.reading import lint_objects
from lockkeeper.manifests.manifest import Manifest, manifest_of
from lockkeeper.manifests.object_kinds import is_policy
from lockkeeper.manifests.reading import Inputs
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_parts import map_at
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.conflicts import FindingKind, all_findings, name_of
from policy.core.policies.snapshot import Snapshot, pool_of, take_snapshot
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    Policy,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.core.policy_kinds.quota_parts import QuotaLimits, WorkflowQuotaSpec
from policy.sources.directory import DocumentOrigin
from policy.sources.documents import read
from policy.sources.yaml_positions import ParsedDocument, read_manifest

_WORKFLOW: Final = "Workflow"
_LAST: Final = "9999-12-31T23:59:59Z"
_TOLD: Final = frozenset(
    {
        FindingKind.OLDER_POOL,
        FindingKind.DEFINED_ELSEWHERE,
        FindingKind.RESERVES_NOTHING,
        FindingKind.SHARE_CUT,
        FindingKind.DEFAULTS_HOLD,
    }
)
_RESOURCES: Final = ("workflows", "tasks")


class PresentPolicies:
    """The policies among the objects that were read; `wrong` are those that cannot be read."""

    def __init__(self, manifests: Sequence[Manifest], namespace: str) -> None:
        self.policies: dict[str, Policy] = {}
        self.wrong: list[str] = []
        for each in manifests:
            if not is_policy(each.value):
                continue
            contents = read(placed_in(each, namespace).value)
            name = _full_name(each, namespace)
            self.wrong += [
                f"{name} is there and is wrong: {one.path} {one.message}" for one in contents.problems
            ]
            for decoded in contents.documents:
                if isinstance(decoded.document, Policy):
                    self.policies[str(name_of(decoded.document))] = decoded.document

    def defined(self, namespace: str, labels: Mapping[str, str], config_map: str, key: str) -> str:
        """Return which policy gives a semaphore its limit already, and which; "" where none does."""
        for name, each in self.policies.items():
            if isinstance(each, SynchronizationPolicy):
                here = each.metadata.namespace == namespace
            elif isinstance(each, ClusterSynchronizationPolicy):
                here = each.spec.namespace_selector.matches(labels)
            else:
                continue
            for one in each.spec.semaphores if here else ():
                if (one.config_map, one.key) == (config_map, key):
                    return f"{name} gives it the limit {one.limit} already"
        return ""

    def without_doubles(self, found: Drafts) -> Drafts:
        """Return the drafts without those that are there already, or that could never count beside these."""
        told = {each.name: [*self._doubled(each)] for each in found.drafts}
        kept = tuple(each for each in found.drafts if not told[each.name])
        return Drafts(kept, (*found.left_out, *(each for notes in told.values() for each in notes)))

    def _doubled(self, draft: Draft) -> Iterator[NotImported]:
        """Yield why a draft is not needed; nothing where it is."""
        (decoded,) = read(draft.policy).documents
        policy = decoded.document
        same = self.policies.get(draft.name)
        if same is not None:
            fields = _differing(same, policy)
            other = f"says something else in {', '.join(fields)}: change it, or delete it and import again"
            yield NotImported(draft.name, f"is there already and {other if fields else 'says the same'}")
            return
        pools = (each for each in self.policies.values() if isinstance(each, ClusterWorkflowQuota))
        if not isinstance(policy, WorkflowQuota) or any(each.spec.borrowing for each in pools):
            return  # Where a pool lends, the limits of a quota are its share, and more may run.
        for name, each in self.policies.items():
            if isinstance(each, WorkflowQuota) and _never_reached(policy, each):
                sources = ", ".join(dict.fromkeys(one.source for one in draft.origins))
                limits = _written(each.spec.limits)
                yield NotImported(sources, f"{name} limits {limits} there already, which is no more")
                return


def placed_in(manifest: Manifest, namespace: str) -> Manifest:
    """Return a manifest with its namespace written into it."""
    metadata = manifest.value.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("namespace"):
        return manifest
    value: JsonObject = {**manifest.value, "metadata": {**metadata, "namespace": namespace}}
    return manifest_of(value, manifest.origin)


def snapshot_of(found: Drafts, manifests: Sequence[Manifest], namespace: str, argo: ArgoVersion) -> Snapshot:
    """Return the drafts in force as the newest, with what is there already."""
    origin = DocumentOrigin("", "", ParsedDocument(None, {}))
    ours = [manifest_of(_newest(each.policy), origin) for each in found.drafts]
    beside = [each for each in manifests if each.kind != _WORKFLOW]
    objects = lint_objects(Inputs((*beside, *ours), (), 0, 0), namespace)
    return take_snapshot(
        objects.documents, version="import", argo=argo, extent=objects.extent, read_manifest=read_manifest
    )


def notes_beside(present: PresentPolicies, found: Drafts, snapshot: Snapshot) -> tuple[str, ...]:
    """Return what is to be known of policies that are there and of drafts beside each other."""
    if not present.policies and not present.wrong:
        return ()
    names = {each.name for each in found.drafts}
    found_beside = (
        f"{policy} {each.path}: {each.message}"
        for policy, findings in all_findings(snapshot).items()
        for each in findings
        if each.kind in _TOLD and (str(policy) in names) != (each.winner in names)
    )
    limited = _limited(present, found, snapshot)
    return tuple(dict.fromkeys((*present.wrong, *limited, *found_beside)))


def _limited(present: PresentPolicies, found: Drafts, snapshot: Snapshot) -> Iterator[str]:
    """Yield which namespaces of the drafts are limited already, by which policy, and what counts then."""
    names = {each.name for each in found.drafts}
    quotas = [each for own in snapshot.quotas.values() for each in own if str(name_of(each)) in names]
    for name, each in present.policies.items():
        if not isinstance(each, WorkflowQuota):
            continue
        where = each.metadata.namespace
        for other in (one for one in quotas if one.metadata.namespace == where):
            yield (
                f"{where} is limited already by {name} ({_written(each.spec.limits)}); with {name_of(other)} "
                f"({_written(other.spec.limits)}) both count, and the lowest limit of each holds"
            )
    for pool in snapshot.pools:
        yield from _sum(pool, names, snapshot)


def _sum(pool: ClusterWorkflowQuota, names: set[str], snapshot: Snapshot) -> Iterator[str]:
    """Yield what the quotas in a pool come to where that is more than it has, if one of both is drafted."""
    quotas = (each for own in snapshot.quotas.values() for each in own)
    members = [each for each in quotas if pool_of(snapshot, each.metadata.namespace) is pool]
    drafted = {str(name_of(pool)) in names, *(str(name_of(each)) in names for each in members)}
    for resource in _RESOURCES if len(drafted) > 1 else ():
        most = getattr(pool.spec.limits, resource)
        lowest: dict[str, int] = {}
        for each in members:
            limit = getattr(each.spec.limits, resource)
            if isinstance(limit, int):
                where = each.metadata.namespace
                lowest[where] = min(limit, lowest.get(where, limit))
        total = sum(lowest.values())
        if isinstance(most, int) and total > most:
            yield (
                f"{name_of(pool)} limits {most} {resource} together, and the quotas of {len(lowest)} of its "
                f"namespaces allow {total}: they share {most}, so not all can use their own limit at once"
            )


def _never_reached(draft: WorkflowQuota, other: WorkflowQuota) -> bool:
    """Return whether a quota that is there always lets run no more than a draft would."""
    if draft.metadata.namespace != other.metadata.namespace or not _is_plain(other.spec):
        return False
    pairs = [(getattr(draft.spec.limits, each), getattr(other.spec.limits, each)) for each in _RESOURCES]
    bounded = [(own, there) for own, there in pairs if own is not None]
    return bool(bounded) and all(
        isinstance(own, int) and isinstance(there, int) and there <= own for own, there in bounded
    )


def _is_plain(spec: WorkflowQuotaSpec) -> bool:
    """Return whether limits hold for all Workflows at all times."""
    plain = WorkflowQuotaSpec()
    return (spec.selector, spec.windows, spec.on_exceed == "Warn") == (plain.selector, plain.windows, False)


def _written(limits: QuotaLimits) -> str:
    given = [(each, getattr(limits, each)) for each in _RESOURCES]
    return ", ".join(f"{name} {value}" for name, value in given if value is not None) or "no number"


def _differing(one: Policy, other: object) -> list[str]:
    """Return the fields in which two policies of one kind differ, with the defaults that a cluster writes."""
    spec = getattr(other, "spec", None)
    return [
        f"spec.{each.encode_name}"
        for each in msgspec.structs.fields(one.spec)
        if getattr(one.spec, each.name) != getattr(spec, each.name, None)
    ]


def _full_name(manifest: Manifest, namespace: str) -> str:
    if not is_policy(manifest.value):
        return ""
    scoped = manifest.kind.startswith("Cluster")
    return f"{manifest.kind} {'' if scoped else manifest.namespace_or(namespace) + '/'}{manifest.name}"


def _newest(policy: JsonObject) -> JsonObject:
    """Return a policy as it is once it is applied: of two pools the older keeps a namespace."""
    return {**policy, "metadata": {**map_at(policy, "metadata"), "creationTimestamp": _LAST}}
