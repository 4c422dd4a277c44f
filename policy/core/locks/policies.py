"""Synchronization policies compiled for one namespace: definitions, rules, and what is valid."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from policy.core.budget import UNBOUNDED, Budget, Part, paced
from policy.core.decision import Reason
from policy.core.kinds import (
    ClusterSynchronizationPolicy,
    MatchedKind,
    Strategy,
    SynchronizationPolicy,
    TemplateType,
)
from policy.core.locks.definitions import projected
from policy.core.locks.forms import ArgoVersion
from policy.core.locks.generated import base_name, is_layer
from policy.core.locks.naming import compile_key_pattern
from policy.core.locks.places import Place, collect, images_of, type_of
from policy.core.locks.rules import CompiledLockPolicy, CompiledRule, compile_rule
from policy.core.locks.scene import Foreign, Lacking
from policy.core.locks.sibling_names import Sibling
from policy.core.selectors import EVERYTHING, Labels, LabelSelector
from policy.core.workflow import EMPTY_SPEC, Template, WorkflowSpec

CALLER_TYPES: Final = frozenset({TemplateType.DAG, TemplateType.STEPS})
LockPolicy: TypeAlias = SynchronizationPolicy | ClusterSynchronizationPolicy
LabelsOf: TypeAlias = Callable[[str], Labels]
MAX_REMEMBERED_TEMPLATES: Final = 10_000
"""Templates whose matching rules are remembered; Workflows repeat their templates run after run."""


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
    """All lock policies of one namespace and the memory of which rules select which templates.

    `argo` says what may be written. `structural` tells that a rule may ask for more than an edit in place,
    `conditional` that one has a condition, and `on_callers` that one may put a lock on a DAG or steps, which
    then hold it for all that these call.
    """

    namespace: str
    argo: ArgoVersion
    policies: tuple[CompiledLockPolicy, ...]
    rules: tuple[CompiledRule, ...]
    definitions: Definitions
    everyone_for: frozenset[MatchedKind]
    looks_closer: bool
    structural: bool
    conditional: bool
    on_callers: bool
    lock_names: frozenset[str]
    remembered: dict[RuleKey, tuple[CompiledRule, ...]]
    rule_faults: dict[str, tuple[Reason, ...]]
    foreign: dict[tuple[str, str, str], Foreign | None]
    lacking: dict[tuple[str, str, str], tuple[Lacking, ...]]
    siblings: dict[tuple[str, str, tuple[str, ...]], Sibling | None]

    def active(
        self, labels: Labels, kind: MatchedKind = MatchedKind.WORKFLOW
    ) -> tuple[CompiledLockPolicy, ...]:
        """Return the policies that speak about an object of a kind with these labels."""
        if kind in self.everyone_for:
            return self.policies
        return tuple(
            policy for policy in self.policies if kind in policy.kinds and policy.workflows.matches(labels)
        )

    def concerned(self, spec: WorkflowSpec, at: str = "/spec", budget: Budget = UNBOUNDED) -> list[Place]:
        """Return the template bodies that hold a lock, call others, or are selected by a rule.

        Most templates of most Workflows are none of these, and a review should not pay for them.
        """
        found: list[Place] = []
        recall = self.remembered
        for index, template in enumerate(paced(spec.templates or (), budget, Part.LOCKS)):
            if template.dag is None and template.steps is None and template.synchronization is None:
                container = template.container
                rules = recall.get((template.name, container.image)) if container is not None else None
                if not (self.rules_for(template, spec) if rules is None else rules):
                    continue
            collect(template, f"{at}/templates/{index}", found)
        return found

    def rules_for(self, template: Template, spec: WorkflowSpec = EMPTY_SPEC) -> tuple[CompiledRule, ...]:
        """Return the rules that select a template of a spec, in the order of policies and rules."""
        container = template.container
        if container is None:
            rules = self._match(template)
        else:
            key = (template.name, container.image)  # Containers are nearly all of what is reviewed.
            remembered = self.remembered.get(key)
            if remembered is None:
                if len(self.remembered) >= MAX_REMEMBERED_TEMPLATES:
                    self.remembered.clear()
                remembered = self.remembered[key] = self._match(template)
            rules = remembered
        if not rules or not self.looks_closer:
            return rules
        return tuple(rule for rule in rules if rule.selector.selects_the_rest(template, spec))

    def _match(self, template: Template) -> tuple[CompiledRule, ...]:
        """Return the rules whose name, image and type match; what injection generated counts as its base."""
        type_ = type_of(template)
        if type_ is None or is_layer(template):
            return ()
        name, images = base_name(template.name or ""), images_of(template)
        return tuple(rule for rule in self.rules if rule.selector.may_select(name, images, type_))


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
    compiled = [(_compile_policy(policy), policy) for policy in governing]
    rules = tuple(
        compile_rule(rule, own, namespace, own_namespace(policy))
        for own, policy in compiled
        for rule in policy.spec.inject
    )
    return LockPolicies(
        namespace=namespace,
        argo=argo,
        policies=tuple(own for own, _ in compiled),
        rules=rules,
        definitions=_definitions(everyone, config_maps, labels_of),
        everyone_for=_everyone_for([own for own, _ in compiled]),
        looks_closer=any(not rule.selector.by_name_and_image for rule in rules),
        structural=any(_is_structural(rule) for rule in rules),
        conditional=any(rule.when is not None for rule in rules),
        on_callers=any(rule.selector.types & CALLER_TYPES for rule in rules),
        lock_names=frozenset(name for rule in rules for name in rule.names),
        remembered={},
        rule_faults={},
        foreign={},
        lacking={},
        siblings={},
    )


def _everyone_for(policies: list[CompiledLockPolicy]) -> frozenset[MatchedKind]:
    """Return the kinds whose objects all policies speak about, whatever their labels are."""
    if any(policy.workflows != EVERYTHING for policy in policies):
        return frozenset()
    return frozenset(MatchedKind).intersection(*(policy.kinds for policy in policies))


def own_namespace(policy: LockPolicy) -> str | None:
    """Return the namespace of a policy, None for one of the cluster."""
    return policy.metadata.namespace if isinstance(policy, SynchronizationPolicy) else None


def _is_structural(rule: CompiledRule) -> bool:
    return (
        rule.strategy in (Strategy.CLONE, Strategy.WRAPPER)
        or rule.choice is not None
        or rule.selector.tasks is not None
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
        kinds=frozenset(policy.spec.match.kinds),
        referenced=policy.spec.match.referenced,
    )


def _definitions(
    policies: tuple[LockPolicy, ...],
    config_maps: Mapping[tuple[str, str], Mapping[str, str]],
    labels_of: LabelsOf,
) -> Definitions:
    owned: dict[tuple[str, str, str], int] = {}
    everywhere: list[tuple[LabelSelector, Mapping[tuple[str, str], int]]] = []
    for policy in policies:
        keys = projected(policy.spec, own_namespace(policy))
        limits = {(each.config_map, each.key): each.limit for each in keys}
        if isinstance(policy, ClusterSynchronizationPolicy):
            everywhere.append((policy.spec.namespace_selector, limits))
        else:
            owned.update(((policy.metadata.namespace, *key), limit) for key, limit in limits.items())
    return Definitions(owned, tuple(everywhere), config_maps, labels_of)
