"""Synchronization policies compiled for one namespace: definitions, rules, and what is valid."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from policy.core.decision import Reason
from policy.core.kinds import (
    LEAF_TYPES,
    ClusterSynchronizationPolicy,
    CrossNamespace,
    InjectRule,
    LockTarget,
    LockValidation,
    SynchronizationPolicy,
    TemplateType,
)
from policy.core.locks.definitions import projected
from policy.core.locks.forms import ArgoVersion
from policy.core.locks.naming import compile_key_pattern, name_of_mutex, name_of_semaphore
from policy.core.locks.places import Place, collect, images_of, type_of
from policy.core.patches import JsonObject
from policy.core.selectors import EVERYTHING, Labels, LabelSelector
from policy.core.workflow import ConfigMapKeyRef, DatabaseRef, MutexRef, SemaphoreRef, Template, WorkflowSpec

LockPolicy: TypeAlias = SynchronizationPolicy | ClusterSynchronizationPolicy
LabelsOf: TypeAlias = Callable[[str], Labels]
MAX_REMEMBERED_TEMPLATES: Final = 10_000
"""Templates whose matching rules are remembered; Workflows repeat their templates run after run."""


class CompiledLockPolicy(msgspec.Struct, frozen=True):
    """One policy as it applies to a namespace."""

    source: str
    workflows: LabelSelector
    require_defined: bool
    key_pattern: re.Pattern[str] | None
    key_pattern_text: str
    cross_namespace: CrossNamespace
    validation: LockValidation = LockValidation()


class CompiledRule(msgspec.Struct, frozen=True):
    """An injection rule with its globs compiled.

    `lock` is what Argo reads and `lock_name` its encoded name; `item` is the lock as JSON, and `whole` a
    `synchronization` block of it alone. The JSON is shared by all patches and must not be changed.
    """

    name: str
    policy: CompiledLockPolicy
    names: re.Pattern[str] | None
    images: re.Pattern[str] | None
    types: frozenset[TemplateType]
    labels: Mapping[str, str]
    lock: SemaphoreRef | MutexRef
    lock_name: str
    item: JsonObject
    whole: JsonObject

    def selects(self, template: Template, type_: TemplateType) -> bool:
        """Tell whether every given part of the selector matches the template."""
        if type_ not in self.types:
            return False
        if self.names is not None and not self.names.fullmatch(template.name or ""):
            return False
        if self.images is not None and not any(map(self.images.fullmatch, images_of(template))):
            return False
        own = (template.metadata.labels if template.metadata else None) or {}
        return all(own.get(key) == value for key, value in self.labels.items())


class Definitions(msgspec.Struct, frozen=True):
    """Which semaphores exist: those that policies define, then the keys of known ConfigMaps."""

    owned: Mapping[tuple[str, str, str], int]
    everywhere: tuple[tuple[LabelSelector, Mapping[tuple[str, str], int]], ...]
    config_maps: Mapping[tuple[str, str], Mapping[str, str]]
    labels_of: LabelsOf

    def limit(self, namespace: str, config_map: str, key: str) -> str | None:
        """Return a semaphore's limit as it stands or will stand in its ConfigMap; None where undefined."""
        own = self.owned.get((namespace, config_map, key))
        if own is not None:
            return str(own)
        for selector, limits in self.everywhere:
            found = limits.get((config_map, key))
            if found is not None and selector.matches(self.labels_of(namespace)):
                return str(found)
        return self.config_maps.get((namespace, config_map), {}).get(key)

    def keys_beside(self, namespace: str, config_map: str) -> list[str]:
        """Return the keys known in a ConfigMap, to suggest the nearest one."""
        known = {key for ns, name, key in self.owned if (ns, name) == (namespace, config_map)}
        known.update(self.config_maps.get((namespace, config_map), {}))
        for selector, limits in self.everywhere:
            if selector.matches(self.labels_of(namespace)):
                known.update(key for name, key in limits if name == config_map)
        return sorted(known)


RuleKey: TypeAlias = tuple[str | None, str | None]
"""Name and image of a container template."""


class LockPolicies(msgspec.Struct, frozen=True):
    """All lock policies of one namespace and the memory of which rules select which templates."""

    namespace: str
    argo: ArgoVersion
    policies: tuple[CompiledLockPolicy, ...]
    rules: tuple[CompiledRule, ...]
    definitions: Definitions
    match_everyone: bool
    reads_labels: bool
    remembered: dict[RuleKey, tuple[CompiledRule, ...]]
    rule_faults: dict[str, tuple[Reason, ...]]

    def active(self, labels: Labels) -> tuple[CompiledLockPolicy, ...]:
        """Return the policies that match a Workflow with these labels."""
        if self.match_everyone:
            return self.policies
        return tuple(policy for policy in self.policies if policy.workflows.matches(labels))

    def concerned(self, spec: WorkflowSpec) -> list[Place]:
        """Return the template bodies that hold a lock, call others, or are selected by a rule.

        Most templates of most Workflows are none of these, and a review should not pay for them.
        """
        found: list[Place] = []
        recall = {} if self.reads_labels else self.remembered
        for index, template in enumerate(spec.templates or ()):
            if template.dag is None and template.steps is None and template.synchronization is None:
                container = template.container
                rules = recall.get((template.name, container.image)) if container is not None else None
                if not (self.rules_for(template) if rules is None else rules):
                    continue
            collect(template, f"/spec/templates/{index}", found)
        return found

    def rules_for(self, template: Template) -> tuple[CompiledRule, ...]:
        """Return the rules that select a template, in the order of policies and rules."""
        container = template.container
        if container is None or (self.reads_labels and template.metadata is not None):
            return self._match(template)
        key = (template.name, container.image)  # Containers are nearly all of what is reviewed.
        found = self.remembered.get(key)
        if found is None:
            if len(self.remembered) >= MAX_REMEMBERED_TEMPLATES:
                self.remembered.clear()
            found = self.remembered[key] = self._match(template)
        return found

    def _match(self, template: Template) -> tuple[CompiledRule, ...]:
        type_ = type_of(template)
        if type_ is None:
            return ()
        return tuple(rule for rule in self.rules if rule.selects(template, type_))


def compile_lock_policies(
    policies: Iterable[LockPolicy],
    *,
    namespace: str,
    labels_of: LabelsOf,
    config_maps: Mapping[tuple[str, str], Mapping[str, str]],
    argo: ArgoVersion,
) -> LockPolicies | None:
    """Compile the policies that govern a namespace; None where none does."""
    everyone = tuple(policies)
    governing = [policy for policy in everyone if _governs(policy, namespace, labels_of)]
    if not governing:
        return None
    compiled = [(_compile_policy(policy), policy.spec) for policy in governing]
    rules = tuple(_compile_rule(rule, own, namespace) for own, spec in compiled for rule in spec.inject)
    return LockPolicies(
        namespace=namespace,
        argo=argo,
        policies=tuple(own for own, _ in compiled),
        rules=rules,
        definitions=_definitions(everyone, config_maps, labels_of),
        match_everyone=all(own.workflows == EVERYTHING for own, _ in compiled),
        reads_labels=any(rule.labels for rule in rules),
        remembered={},
        rule_faults={},
    )


def _governs(policy: LockPolicy, namespace: str, labels_of: LabelsOf) -> bool:
    if isinstance(policy, ClusterSynchronizationPolicy):
        return policy.spec.namespace_selector.matches(labels_of(namespace))
    return policy.metadata.namespace == namespace


def _compile_policy(policy: LockPolicy) -> CompiledLockPolicy:
    scope = "" if isinstance(policy, ClusterSynchronizationPolicy) else f"{policy.metadata.namespace}/"
    validation = policy.spec.validate
    pattern = validation.key_pattern
    return CompiledLockPolicy(
        source=f"{policy.kind} {scope}{policy.metadata.name}",
        workflows=policy.spec.match.workflows,
        require_defined=validation.require_defined,
        key_pattern=compile_key_pattern(pattern) if pattern is not None else None,
        key_pattern_text=pattern or "",
        cross_namespace=validation.cross_namespace,
        validation=validation,
    )


def _compile_rule(rule: InjectRule, policy: CompiledLockPolicy, namespace: str) -> CompiledRule:
    lock = _reference(rule.lock)
    name = (
        name_of_mutex(lock, namespace) if isinstance(lock, MutexRef) else name_of_semaphore(lock, namespace)
    )
    return CompiledRule(
        name=rule.name,
        policy=policy,
        names=_globs(rule.templates.names),
        images=_globs(rule.templates.images),
        types=frozenset(rule.templates.types) or LEAF_TYPES,
        labels=rule.templates.labels,
        lock=lock,
        lock_name=name,
        item=item_of(lock),
        whole={list_of(lock): [item_of(lock)]},
    )


def list_of(lock: SemaphoreRef | MutexRef) -> str:
    """Return the list of `synchronization` that a lock belongs to."""
    return "mutexes" if isinstance(lock, MutexRef) else "semaphores"


def item_of(lock: SemaphoreRef | MutexRef) -> JsonObject:
    """Return a reference as Argo reads it, without empty fields."""
    item: JsonObject = {}
    if lock.namespace:
        item["namespace"] = lock.namespace
    if isinstance(lock, MutexRef):
        item["name"] = lock.name
        if lock.database:
            item["database"] = True
    elif lock.database is not None:
        item["database"] = {"key": lock.database.key}
    elif lock.config_map_key_ref is not None:
        item["configMapKeyRef"] = {"name": lock.config_map_key_ref.name, "key": lock.config_map_key_ref.key}
    return item


def _reference(lock: LockTarget) -> SemaphoreRef | MutexRef:
    if lock.mutex is not None:
        return MutexRef(name=lock.mutex)
    if lock.semaphore is None:
        return SemaphoreRef(database=DatabaseRef(key=lock.database))
    target = lock.semaphore
    return SemaphoreRef(
        config_map_key_ref=ConfigMapKeyRef(name=target.config_map, key=target.key), namespace=target.namespace
    )


def _globs(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None


def _definitions(
    policies: tuple[LockPolicy, ...],
    config_maps: Mapping[tuple[str, str], Mapping[str, str]],
    labels_of: LabelsOf,
) -> Definitions:
    owned: dict[tuple[str, str, str], int] = {}
    everywhere: list[tuple[LabelSelector, Mapping[tuple[str, str], int]]] = []
    for policy in policies:
        namespaced = isinstance(policy, SynchronizationPolicy)
        keys = projected(policy.spec, policy.metadata.namespace if namespaced else None)
        limits = {(each.config_map, each.key): each.limit for each in keys}
        if isinstance(policy, ClusterSynchronizationPolicy):
            everywhere.append((policy.spec.namespace_selector, limits))
        else:
            owned.update(((policy.metadata.namespace, *key), limit) for key, limit in limits.items())
    return Definitions(owned, tuple(everywhere), config_maps, labels_of)
