"""Which policies and rules apply in a namespace, and which rules select a template there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from policy.core.decision.decision import Reason
from policy.core.lock_model.generated_names import Sibling, base_name, is_layer
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.key_rules import key_rule
from policy.core.lock_model.rules import (
    CompiledLockPolicy,
    CompiledRule,
    MissingLock,
    compile_rule,
    refuses_singular,
)
from policy.core.lock_model.semaphore_definitions import Definitions, LabelsOf, LockPolicy, definitions_in
from policy.core.lock_model.template_bodies import (
    ForeignTemplate,
    TemplateBody,
    collect_bodies,
    images_of,
    type_of,
)
from policy.core.lock_model.template_pods import PLAIN_PODS, PodView, pod_differs
from policy.core.lock_model.template_selectors import LONGEST_TEXT, Match
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.label_selectors import EVERYTHING, Labels
from policy.core.objects.read_extent import WHOLE, Extent
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import EMPTY_SPEC, Template, WorkflowSpec
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    MatchedKind,
    Strategy,
    TemplateType,
)
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced
from policy.core.values.memo import MOST_KEPT, Memo

_CALLER_TYPES: Final = frozenset({TemplateType.DAG, TemplateType.STEPS})
_RuleKey: TypeAlias = tuple[str | None, str | None]
"""Name and image of a container template."""
_Fits: TypeAlias = Callable[[str], object]
_RuleTest: TypeAlias = tuple[CompiledRule, frozenset[TemplateType], _Fits | None, _Fits | None]
"""A rule in its parts, for templates not seen before: types, and what names and images have to fit."""


class LockCaches:
    """What reviews have found out by the lock policies of one namespace, which own it.

    A change of policies or templates creates new policies with new caches. Those are bounded whose keys a
    user chooses: names and images of templates, which Workflows repeat run after run (`rules`), and
    references to templates of other objects (`foreign`, `missing`, `siblings`). `faults` has the locks that
    rules write. `version` stands for these policies where others store what follows from them.
    """

    def __init__(self) -> None:
        self.version = object()
        self.rules: Memo[_RuleKey, tuple[CompiledRule, ...]] = Memo(most=MOST_KEPT)
        self.faults: Memo[str, tuple[Reason, ...]] = Memo()
        self.foreign: Memo[tuple[str, str, str, bool], ForeignTemplate | None] = Memo(most=MOST_KEPT)
        self.missing: Memo[tuple[str, str, str], tuple[MissingLock, ...]] = Memo(most=MOST_KEPT)
        self.siblings: Memo[tuple[str, str, tuple[str, ...]], Sibling | None] = Memo(most=MOST_KEPT)


class LockPolicies(msgspec.Struct, frozen=True):
    """All lock policies of one namespace.

    `argo` tells what may be written: lists of locks with `writes_lists`, and with `drops_singular` Argo drops
    single ones. A rule selects by what templates run (`by_pod`) and by more than name, image and type
    (`selects_pod_fields`), may need more than an edit in place (`structural`), has a condition
    (`conditional`), or may put a lock on a DAG or steps, which then hold it for all that these call
    (`on_callers`). All policies apply to all objects of `kinds_of_all`.
    """

    namespace: str
    argo: ArgoVersion
    policies: tuple[CompiledLockPolicy, ...]
    rules: tuple[CompiledRule, ...]
    tests: tuple[_RuleTest, ...]
    definitions: Definitions
    kinds_of_all: frozenset[MatchedKind]
    selects_pod_fields: bool
    by_pod: bool
    structural: bool
    conditional: bool
    writes_lists: bool
    drops_singular: bool
    refuses_singular: bool
    on_callers: bool
    lock_names: frozenset[str]
    caches: LockCaches

    def active(
        self, labels: Labels, kind: MatchedKind = MatchedKind.WORKFLOW
    ) -> tuple[CompiledLockPolicy, ...]:
        """Return the policies that apply to an object of a kind with these labels."""
        if kind in self.kinds_of_all:
            return self.policies
        return tuple(
            policy for policy in self.policies if kind in policy.kinds and policy.workflows.matches(labels)
        )

    def relevant_bodies(
        self,
        spec: WorkflowSpec,
        at: str = "/spec",
        view: PodView | None = None,
        budget: Budget = UNBOUNDED,
    ) -> list[TemplateBody]:
        """Return the template bodies that hold a lock, call others, or are selected by a rule.

        So are those whose Pods have to be looked at. Most templates of most Workflows are none of these, and
        a review should not pay for them.
        """
        view = self.view(spec) if view is None else view
        templates = spec.templates
        if isinstance(templates, SharedTemplates) and not (view.sets_pods or self.selects_pod_fields):
            # Then it follows from the templates and these policies alone.
            return templates.once(
                (self.caches.version, at), lambda: self._look_for_bodies(spec, at, view, budget)
            )
        return self._look_for_bodies(spec, at, view, budget)

    def _look_for_bodies(
        self, spec: WorkflowSpec, at: str, view: PodView, budget: Budget
    ) -> list[TemplateBody]:
        found: list[TemplateBody] = []
        recall, by_pod, all_fields = self.caches.rules.get, self.by_pod, self.selects_pod_fields
        plain = not view.sets_pods and not all_fields
        for index, template in enumerate(paced(spec.templates or (), budget, Part.LOCKS)):
            if template.dag is None and template.steps is None and template.synchronization is None:
                container = template.container
                rules = recall((template.name, container.image)) if container is not None else None
                if (
                    rules is None
                    or not plain
                    or template.sidecars is not None
                    or template.init_containers is not None
                    or template.pod_spec_patch is not None
                ):
                    differs = by_pod and (view.sets_pods or pod_differs(template, all_fields=all_fields))
                    if not (differs or self._as_written(template, view)):
                        continue
                elif not rules:
                    continue  # Nearly all templates are of this kind.
            collect_bodies(template, f"{at}/templates/{index}", found)
        return found

    def view(self, spec: WorkflowSpec, *, open_ended: bool = False) -> PodView:
        """Return how a spec's templates run, as far as a rule selects by that."""
        return PodView(spec, self.namespace, open_ended=open_ended) if self.by_pod else PLAIN_PODS

    def rules_for(
        self, template: Template, view: PodView = PLAIN_PODS, caller: Caller | None = None
    ) -> tuple[CompiledRule, ...]:
        """Return the rules that select a template of a spec, in the order of policies and rules.

        `caller` is the call of a template of another object.
        """
        container = template.container
        if container is not None and not (view.sets_pods or self.selects_pod_fields):
            known = self.caches.rules.get((template.name, container.image))
            if (
                known is not None
                and template.sidecars is None
                and template.init_containers is None
                and template.pod_spec_patch is None
            ):
                return known
        if self._needs_pod(template, sets_pods=view.sets_pods):
            return tuple(rule for rule, match in self.matches(template, view, caller) if match is Match.YES)
        return self._as_written(template, view)

    def _needs_pod(self, template: Template, *, sets_pods: bool) -> bool:
        """Return whether rules have to look at the Pod of a template, not only at what is written in it."""
        return self.by_pod and (sets_pods or pod_differs(template, all_fields=self.selects_pod_fields))

    def _as_written(self, template: Template, view: PodView) -> tuple[CompiledRule, ...]:
        """Return the rules that select a template which runs what is written in it."""
        container = template.container
        if container is None:
            rules = self._match(template)
        else:
            key = (template.name, container.image)  # Containers are nearly all of what is reviewed.
            known = self.caches.rules.get(key)
            rules = self._match(template) if known is None else known
            if known is None and len(template.name or "") + len(container.image or "") <= LONGEST_TEXT:
                self.caches.rules.keep(key, rules)
        if not rules or not self.selects_pod_fields:
            return rules
        return tuple(rule for rule in rules if rule.selector.matches_pod_fields(template, view.spec))

    def matches(
        self, template: Template, view: PodView, caller: Caller | None = None
    ) -> tuple[tuple[CompiledRule, Match], ...]:
        """Return the rules that may select a template by what it runs, with the match; once a review."""
        if view is PLAIN_PODS:
            return tuple(self._matches(template, PodView(EMPTY_SPEC, self.namespace), caller))
        if caller is not None:
            return tuple(self._matches(template, view, caller))
        known = view.matches.get(id(template))
        if known is None:  # The template is stored, too, so that nothing else gets its id meanwhile.
            known = view.matches[id(template)] = (template, tuple(self._matches(template, view, None)))
        return known[1]

    def _matches(
        self, template: Template, view: PodView, caller: Caller | None
    ) -> Iterator[tuple[CompiledRule, Match]]:
        type_ = type_of(template)
        if type_ is None or is_layer(template):
            return
        name = base_name(template.name or "")
        named = [rule for rule in self.rules if rule.selector.matches_name_and_type(name, type_)]
        if not named:
            return
        pod = view.pod(template, caller)
        for rule in named:
            match = rule.selector.match(pod)
            if match is not Match.NO:
                yield rule, match

    def may_select_when_called(self, template: Template, *, sets_pods: bool) -> bool:
        """Return whether a rule may select a template by what its caller sets in its Pod."""
        if not self._needs_pod(template, sets_pods=sets_pods):
            return False
        type_, name = type_of(template), base_name(template.name or "")
        return type_ is not None and any(
            rule.selector.matches_name_and_type(name, type_) for rule in self.rules
        )

    def _match(self, template: Template) -> tuple[CompiledRule, ...]:
        """Return the rules whose name, image and type match; a generated template counts as its base."""
        type_ = type_of(template)
        if type_ is None or is_layer(template):
            return ()
        name, images = base_name(template.name or ""), images_of(template)
        if len(name) > LONGEST_TEXT or (images and max(map(len, images)) > LONGEST_TEXT):
            named = (rule for rule in self.rules if rule.selector.matches_name_and_type(name, type_))
            return tuple(rule for rule in named if rule.selector.matches_image(images))
        return tuple(
            [
                rule
                for rule, types, fits_name, fits_image in self.tests
                if type_ in types
                and (fits_name is None or fits_name(name))
                and (fits_image is None or any(map(fits_image, images)))
            ]
        )


def compile_lock_policies(
    policies: Iterable[LockPolicy],
    *,
    namespace: str,
    labels_of: LabelsOf,
    config_maps: Mapping[tuple[str, str], Mapping[str, str]],
    argo: ArgoVersion,
    extent: Extent = WHOLE,
) -> LockPolicies | None:
    """Compile the policies that govern a namespace; None where none does."""
    everyone = tuple(policies)
    governing = [policy for policy in everyone if _governs(policy, namespace, labels_of)]
    if not governing:
        return None
    compiled = [(_compile_policy(policy), policy) for policy in governing]
    rules = tuple(
        compile_rule(
            rule, own, namespace, None if isinstance(policy, ClusterSynchronizationPolicy) else namespace
        )
        for own, policy in compiled
        for rule in policy.spec.inject
    )
    return LockPolicies(
        namespace=namespace,
        argo=argo,
        policies=tuple(own for own, _ in compiled),
        rules=rules,
        tests=tuple(map(_test, rules)),
        definitions=definitions_in(everyone, config_maps, labels_of, extent=extent),
        kinds_of_all=_kinds_of_all([own for own, _ in compiled]),
        by_pod=any(rule.selector.by_pod for rule in rules),
        selects_pod_fields=any(not rule.selector.by_name_and_image for rule in rules),
        structural=any(_is_structural(rule) for rule in rules),
        conditional=any(rule.when is not None for rule in rules),
        writes_lists=argo.reads_lists,
        drops_singular=not argo.reads_singular,
        refuses_singular=refuses_singular(own for own, _ in compiled),
        on_callers=any(rule.selector.types & _CALLER_TYPES for rule in rules),
        lock_names=frozenset(name for rule in rules for name in rule.names),
        caches=LockCaches(),
    )


def _test(rule: CompiledRule) -> _RuleTest:
    select = rule.selector
    return (
        rule,
        select.types,
        select.names.compiled.fullmatch if select.names is not None else None,
        select.images.compiled.fullmatch if select.images is not None else None,
    )


def _kinds_of_all(policies: list[CompiledLockPolicy]) -> frozenset[MatchedKind]:
    """Return the kinds to whose objects all policies apply, whatever their labels are."""
    if any(policy.workflows != EVERYTHING for policy in policies):
        return frozenset()
    return frozenset(MatchedKind).intersection(*(policy.kinds for policy in policies))


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
        key_rule=key_rule(pattern) if pattern is not None else None,
        validation=validation,
        kinds=frozenset(policy.spec.match.kinds),
        referenced=policy.spec.match.referenced,
    )
