"""The immutable snapshot that a review decides on: policies compiled once, looked up by namespace.

All that can be prepared when policies change is prepared here, so that a review only looks things up. What
depends on a namespace is compiled at its first review and stored in `Compiled`; the snapshot never changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from policy.core.lock_graph.template_library import Library, library_of
from policy.core.lock_model.created_workflows import ReadManifest
from policy.core.lock_model.lock_policies import LockPolicies, compile_lock_policies
from policy.core.lock_model.semaphore_definitions import LockPolicy
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.identities import UPSTREAM, Identities
from policy.core.objects.read_extent import WHOLE, Extent
from policy.core.objects.template_keys import TemplateKey, key_of
from policy.core.objects.well_known import NAMESPACE_NAME
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    NO_DEFAULTS,
    Metadata,
    TemplateObject,
    TemplateRef,
    WorkflowDefaults,
    WorkflowSpec,
    defaults_in,
)
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    ConfigMap,
    NamespaceObject,
    Policy,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.core.quota.accounts import Account, Root
from policy.core.quota.compiled_quota import (
    DEFAULT_RULES,
    CompiledQuota,
    QueueRules,
    compile_groups,
    queue_rules,
)
from policy.core.quota.group_keys import GroupKey
from policy.core.quota.key_parts import PartSource
from policy.core.quota.namespace_quotas import borrows, defaults_of, quotas_of_member, same_on_exceed
from policy.core.quota.pools import CompiledPool, compile_pool, compile_pool_quota, pool_quota_of_member
from policy.core.quota.usage_view import NO_USAGE, UsageView
from policy.core.values.memo import MOST_KEPT, Memo

Document = Policy | ConfigMap | NamespaceObject | TemplateObject
_REFERRING: Final = (PartSource.TEMPLATE, PartSource.CRON)
"""Parts of keys that say what a Workflow refers to, which is to be recorded then."""
_PolicyT = TypeVar("_PolicyT", bound=Policy)


def no_manifests(_: str) -> Sequence[object]:
    """Read nothing: where no resource template can create a Workflow that is looked at."""
    return ()


class NamespacePolicies(msgspec.Struct, frozen=True):
    """Everything that governs one namespace.

    `root` names the ledger that its accounts are in, and `pool` the pool that it belongs to, if any. `rules`
    are how its Workflows wait. `by_reference`: a quota selects Workflows by what they refer to. The groups of
    quotas are last among `quotas`, and `group_keys` are their keys by text.
    """

    namespace: str
    root: Root
    quotas: tuple[CompiledQuota, ...]
    locks: LockPolicies | None
    pool: str = ""
    rules: QueueRules = DEFAULT_RULES
    by_reference: bool = False
    group_keys: Mapping[str, GroupKey] = {}

    @property
    def governed(self) -> bool:
        """Whether any policy governs this namespace."""
        return bool(self.quotas) or self.locks is not None


class Compiled:
    """What was compiled of one set of policies so far.

    All snapshots of that set share it, whatever their view of usage. The number of namespaces is bounded, as
    reviews may name any; pools are those that exist.
    """

    def __init__(self) -> None:
        self.namespaces: Memo[str, NamespacePolicies] = Memo(most=MOST_KEPT)
        self.pools: Memo[str, CompiledPool] = Memo()


class Snapshot(msgspec.Struct, frozen=True):
    """Policies, namespaces and templates at one time, with the latest view of usage."""

    version: str
    argo: ArgoVersion
    quotas: Mapping[str, tuple[WorkflowQuota, ...]]
    pools: tuple[ClusterWorkflowQuota, ...]
    lock_policies: tuple[LockPolicy, ...]
    config_maps: Mapping[tuple[str, str], Mapping[str, str]]
    namespace_labels: Mapping[str, Mapping[str, str]]
    templates: Mapping[TemplateKey, WorkflowSpec]
    compiled: Compiled
    texts: Mapping[TemplateKey, str]
    headers: Mapping[TemplateKey, Metadata]
    library: Library
    usage: UsageView = NO_USAGE
    identities: Identities = UPSTREAM
    argo_defaults: WorkflowDefaults = NO_DEFAULTS
    extent: Extent = WHOLE
    read_manifest: ReadManifest = no_manifests

    @property
    def has_policies(self) -> bool:
        """Whether there is a policy of any kind."""
        return bool(self.quotas or self.pools or self.lock_policies)

    def policies(self, namespace: str) -> NamespacePolicies:
        """Return what governs a namespace, compiled at its first review."""
        known = self.compiled.namespaces
        return known.get(namespace) or known.keep(namespace, _compile_namespace(self, namespace))

    def pool(self, namespace: str) -> CompiledPool | None:
        """Return the pool that a namespace belongs to, compiled when it is needed first.

        A member that is not among the known namespaces is added to it.
        """
        policies = self.policies(namespace)
        if not policies.pool:
            return None
        found = self.compiled_pool(policies.pool)
        if namespace in found.shares:
            return found
        shares = {**found.shares, namespace: _shares(policies.quotas)}
        return msgspec.structs.replace(found, shares=shares, trees=Memo())

    def compiled_pool(self, name: str) -> CompiledPool:
        """Return a pool that there is by its name, with the members that are known."""
        found = self.compiled.pools.get(name)
        if found is None:
            pool = next(each for each in self.pools if each.metadata.name == name)
            found = self.compiled.pools.keep(name, _compile_pool(self, pool))
        return found

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """Return a namespace's labels; one that was never seen has its name only, as Kubernetes labels it."""
        return self.namespace_labels.get(namespace) or {NAMESPACE_NAME: namespace}

    def template(self, namespace: str, ref: TemplateRef | None) -> WorkflowSpec | None:
        """Return the spec of a (Cluster)WorkflowTemplate that is referred to, or None where it is unknown."""
        return None if ref is None else self.templates.get(key_of(ref, namespace))

    def header(self, key: TemplateKey) -> Metadata:
        """Return the metadata of a template, empty for one that is not known."""
        return self.headers.get(key, EMPTY_METADATA)

    def prepare(self) -> "Snapshot":
        """Index the locks of templates beforehand, in namespaces with lock policies; return this snapshot."""
        for namespace in {scope for scope, _ in self.templates if scope}:
            if self.policies(namespace).locks is not None:
                self.library.index(namespace)
        return self

    def with_usage(self, usage: UsageView) -> "Snapshot":
        """Return the same policies with another view of usage; all that was compiled is shared."""
        return msgspec.structs.replace(self, usage=usage)


def take_snapshot(
    documents: Iterable[Document],
    *,
    version: str,
    argo: ArgoVersion,
    identities: Identities = UPSTREAM,
    before: Snapshot | None = None,
    extent: Extent = WHOLE,
    read_manifest: ReadManifest = no_manifests,
) -> Snapshot:
    """Build the snapshot of documents that were already found valid; pools are ordered oldest first.

    With the snapshot `before`, only templates that changed are analysed again. `extent` is how much of the
    cluster was read. `read_manifest` reads the manifests of resource templates, which are YAML.
    """
    quotas: dict[str, list[WorkflowQuota]] = {}
    pools: list[ClusterWorkflowQuota] = []
    locks: list[LockPolicy] = []
    config_maps: dict[tuple[str, str], Mapping[str, str]] = {}
    namespaces: dict[str, Mapping[str, str]] = {}
    templates: dict[TemplateKey, WorkflowSpec] = {}
    texts: dict[TemplateKey, str] = {}
    headers: dict[TemplateKey, Metadata] = {}
    for document in documents:
        match document:
            case WorkflowQuota():
                quotas.setdefault(document.metadata.namespace, []).append(document)
            case ClusterWorkflowQuota():
                pools.append(document)
            case SynchronizationPolicy() | ClusterSynchronizationPolicy():
                locks.append(document)
            case ConfigMap():
                config_maps[document.metadata.namespace, document.metadata.name] = document.data
            case NamespaceObject():
                name = document.metadata.name
                namespaces[name] = {**document.metadata.labels, NAMESPACE_NAME: name}
            case TemplateObject():
                key = key_of_template(document)
                templates[key], texts[key] = document.spec, document.text
                headers[key] = document.metadata
    return Snapshot(
        version=version,
        argo=argo,
        quotas={name: tuple(sorted(each, key=_by_name)) for name, each in quotas.items()},
        pools=tuple(sorted(pools, key=_by_age)),
        lock_policies=tuple(sorted(locks, key=_by_kind_and_name)),
        config_maps=config_maps,
        namespace_labels=namespaces,
        templates=templates,
        compiled=Compiled(),
        library=library_of(templates, before.library if before is not None else None),
        identities=identities,
        argo_defaults=defaults_in(config_maps, identities.argo_controllers),
        texts=texts,
        headers=headers,
        extent=extent,
        read_manifest=read_manifest,
    )


def with_policy(snapshot: Snapshot, policy: Policy) -> Snapshot:
    """Return what would be in force with a policy that is new, or replaces the one of its name.

    A pool that was not stored yet counts as the newest. Nothing is compiled of it yet.
    """
    changed: dict[str, object]
    if isinstance(policy, WorkflowQuota):
        namespace = policy.metadata.namespace
        beside = _without(snapshot.quotas.get(namespace, ()), policy)
        own = tuple(sorted((*beside, policy), key=_by_name))
        changed = {"quotas": {**snapshot.quotas, namespace: own}}
    elif isinstance(policy, ClusterWorkflowQuota):
        pools = (*_without(snapshot.pools, policy), policy)
        stored = bool(policy.metadata.creation_timestamp)
        changed = {"pools": tuple(sorted(pools, key=_by_age)) if stored else pools}
    else:
        locks = (*_without(snapshot.lock_policies, policy), policy)
        changed = {"lock_policies": tuple(sorted(locks, key=_by_kind_and_name))}
    return msgspec.structs.replace(snapshot, compiled=Compiled(), **changed)


def with_templates(snapshot: Snapshot, templates: Iterable[TemplateObject]) -> Snapshot:
    """Return the snapshot with some templates as they will be, in place of those of the same name."""
    specs, texts, headers = dict(snapshot.templates), dict(snapshot.texts), dict(snapshot.headers)
    for each in templates:
        key = key_of_template(each)
        specs[key], texts[key], headers[key] = each.spec, each.text, each.metadata
    return msgspec.structs.replace(
        snapshot,
        templates=specs,
        texts=texts,
        headers=headers,
        library=library_of(specs, snapshot.library),
        compiled=Compiled(),
    )


def key_of_template(template: TemplateObject) -> TemplateKey:
    """Return the key of a template object, which is in the namespace default if it names none."""
    meta = template.metadata
    scope = "" if template.kind == "ClusterWorkflowTemplate" else meta.namespace or "default"
    return TemplateKey(scope, meta.name or "")


def _without(policies: tuple[_PolicyT, ...], one: Policy) -> tuple[_PolicyT, ...]:
    """Return the policies except the one of this kind and name."""
    named = (one.kind, one.metadata.namespace, one.metadata.name)
    return tuple(
        each for each in policies if (each.kind, each.metadata.namespace, each.metadata.name) != named
    )


def _by_name(quota: WorkflowQuota) -> str:
    return quota.metadata.name


def _by_age(pool: ClusterWorkflowQuota) -> tuple[str, str]:
    return pool.metadata.creation_timestamp, pool.metadata.name


def _by_kind_and_name(policy: LockPolicy) -> tuple[str, str, str]:
    return policy.kind, policy.metadata.namespace, policy.metadata.name


def _compile_namespace(snapshot: Snapshot, namespace: str) -> NamespacePolicies:
    pool = pool_of(snapshot, namespace)
    quotas = quotas_of_member(snapshot.quotas.get(namespace, ()), namespace, pool)
    if pool is not None:
        whole = pool_quota_of_member(pool.metadata.name, pool.spec, namespace)
        quotas = same_on_exceed((*quotas, whole)) if borrows(pool) else (*quotas, whole)
    groups = _groups_of(snapshot, namespace, quotas, pool)
    keys = {each.group.key.text: each.group.key for each in groups if each.group is not None}
    locks = compile_lock_policies(
        snapshot.lock_policies,
        namespace=namespace,
        labels_of=snapshot.labels_of,
        config_maps=snapshot.config_maps,
        extent=snapshot.extent,
        argo=snapshot.argo,
    )
    return NamespacePolicies(
        namespace=namespace,
        root=Root.of_namespace(namespace) if pool is None else Root.of_pool(pool.metadata.name),
        quotas=(*quotas, *groups),
        locks=locks,
        pool="" if pool is None else pool.metadata.name,
        rules=queue_rules(quotas),
        by_reference=any(quota.selector.match_references is not None for quota in quotas)
        or any(key.depends_on(part) for key in keys.values() for part in _REFERRING),
        group_keys=keys,
    )


def _groups_of(
    snapshot: Snapshot,
    namespace: str,
    quotas: Iterable[CompiledQuota],
    pool: ClusterWorkflowQuota | None,
) -> tuple[CompiledQuota, ...]:
    """Return the groups of the quotas of a namespace, compiled."""
    specs = {Account(namespace, each.metadata.name): each.spec for each in snapshot.quotas.get(namespace, ())}
    if pool is not None:
        specs[Account.of_pool(pool.metadata.name)] = pool.spec
        if pool.spec.namespace_defaults is not None:
            specs[Account.defaults(pool.metadata.name, namespace)] = pool.spec.namespace_defaults
    return tuple(group for quota in quotas for group in compile_groups(specs[quota.account], quota))


def pool_of(snapshot: Snapshot, namespace: str) -> ClusterWorkflowQuota | None:
    """Return the pool that a namespace belongs to: one at most, the oldest that selects it."""
    labels = snapshot.labels_of(namespace)
    return next((pool for pool in snapshot.pools if pool.spec.namespace_selector.matches(labels)), None)


def _compile_pool(snapshot: Snapshot, pool: ClusterWorkflowQuota) -> CompiledPool:
    name = pool.metadata.name
    quota = compile_pool_quota(name, pool.spec)
    members = [each for each in sorted(snapshot.namespace_labels) if pool_of(snapshot, each) is pool]
    shares = {
        each: _shares(same_on_exceed((*quotas_of_member(snapshot.quotas.get(each, ()), each, pool), quota)))
        for each in members
    }
    return compile_pool(name, pool.spec, quota, shares, defaults_of(pool, ""))


def _shares(quotas: Iterable[CompiledQuota]) -> tuple[CompiledQuota, ...]:
    return tuple(quota for quota in quotas if quota.is_share)
