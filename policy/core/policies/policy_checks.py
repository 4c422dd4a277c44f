"""What is wrong with the values of a policy, where its schema cannot express it: with field paths.

The entry for policies of all kinds, and all checks of lock policies.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from policy.core.lock_model.key_rules import checked_key_rule
from policy.core.lock_model.lock_names import empty_problems, name_problems
from policy.core.lock_model.semaphore_definitions import key_can_hold_condition
from policy.core.lock_model.template_selectors import LONGEST_GLOB
from policy.core.lock_model.when_conditions import parse_condition, unlimited_key
from policy.core.objects.label_selectors import EVERYTHING, changing_problems
from policy.core.policies.quota_checks import quota_problems
from policy.core.policies.quota_part_checks import MAX_WINDOWS, window_problems
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicySpec,
    ClusterWorkflowQuota,
    CrossNamespace,
    InjectRule,
    LockTarget,
    LockValidation,
    MatchedKind,
    Policy,
    SemaphoreWindow,
    Strategy,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
    TemplateSelector,
    TemplateType,
    WorkflowQuota,
)
from policy.core.quota.windows import as_quota_window
from policy.core.values.amounts import INT64_MAX
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced
from policy.core.values.problems import Problem, too_many

_MAX_SEMAPHORES: Final = 500
_MAX_RULES: Final = 200
_MAX_GIVEN: Final = 100
"""Bounds of the CRDs: semaphores, rules, and entries of each part of a template selector."""
_MOST_TEXT: Final = 100_000
"""Characters of all globs of a policy together: each replica compiles them, at some microseconds each."""
_PARTS: Final = ("names", "images", "types", "labels", "serviceAccounts", "volumes", "resources", "tasks")
_GLOBS: Final = ("names", "images", "serviceAccounts", "volumes", "tasks")


def problems(policy: Policy, budget: Budget = UNBOUNDED) -> list[Problem]:
    """Return everything that is wrong with the values of a policy that fits its schema."""
    if isinstance(policy, WorkflowQuota | ClusterWorkflowQuota):
        return list(quota_problems(policy.spec, "spec"))
    own = policy.metadata.namespace if isinstance(policy, SynchronizationPolicy) else None
    return list(_synchronization(policy.spec, "spec", own, budget))


def _synchronization(
    spec: SynchronizationPolicySpec, path: str, own: str | None, budget: Budget
) -> Iterator[Problem]:
    yield from spec.match.workflows.problems(f"{path}.match.workflows")
    yield from changing_problems(spec.match.workflows, f"{path}.match.workflows")
    if isinstance(spec, ClusterSynchronizationPolicySpec):
        yield from spec.namespace_selector.problems(f"{path}.namespaceSelector")
    yield from _kinds(spec, f"{path}.match.kinds")
    yield from _definitions(spec, f"{path}.semaphores", budget)
    yield from _rules(spec, f"{path}.inject", own, budget)
    yield from _validation(spec.validate, f"{path}.validate")


def _kinds(spec: SynchronizationPolicySpec, path: str) -> Iterator[Problem]:
    if not spec.match.kinds:
        yield Problem(path, "needs at least one kind; leave it out to match Workflow")
    for index, kind in enumerate(spec.match.kinds):
        if kind is not MatchedKind.CLUSTER_WORKFLOW_TEMPLATE:
            continue
        if not (isinstance(spec, ClusterSynchronizationPolicySpec) and spec.namespace_selector == EVERYTHING):
            message = (
                "needs a ClusterSynchronizationPolicy whose namespaceSelector is {}: all namespaces use such "
                "templates"
            )
            yield Problem(f"{path}[{index}]", message)


def _definitions(spec: SynchronizationPolicySpec, path: str, budget: Budget) -> Iterator[Problem]:
    yield from too_many(spec.semaphores, _MAX_SEMAPHORES, path)
    yield from _unlimited_keys(spec, path)
    seen: dict[tuple[str, str], int] = {}
    for index, definition in enumerate(paced(spec.semaphores[:_MAX_SEMAPHORES], budget, Part.POLICY)):
        where = f"{path}[{index}]"
        yield from name_problems(definition.config_map, f"{where}.configMap")
        yield from name_problems(definition.key, f"{where}.key")
        yield from _semaphore_limit(definition.limit, f"{where}.limit")
        yield from _semaphore_windows(definition.windows, f"{where}.windows")
        first = seen.setdefault((definition.config_map, definition.key), index)
        if first != index:
            yield Problem(where, f"defines the same ConfigMap key as {path}[{first}]: remove one of them")


def _semaphore_limit(limit: int, path: str) -> Iterator[Problem]:
    """Yield what Argo could not read as a limit."""
    if limit < 1:
        yield Problem(path, f"must be 1 or more (Argo fails Workflows at 0); got {limit}")
    if limit > INT64_MAX:
        yield Problem(path, f"must be at most {INT64_MAX}, or Argo cannot read it")


def _semaphore_windows(specs: Sequence[SemaphoreWindow], path: str) -> Iterator[Problem]:
    yield from window_problems([as_quota_window(each) for each in specs], path)
    for index, spec in enumerate(specs[:MAX_WINDOWS]):
        yield from _semaphore_limit(spec.limit, f"{path}[{index}].limit")


def _validation(validation: LockValidation, path: str) -> Iterator[Problem]:
    if validation.key_pattern is None:
        return
    try:
        checked_key_rule(validation.key_pattern)
    except ValueError as error:
        yield Problem(f"{path}.keyPattern", f"is not a usable pattern: {error}")


def _rules(spec: SynchronizationPolicySpec, path: str, own: str | None, budget: Budget) -> Iterator[Problem]:
    """Yield what is wrong with the injection rules of a policy; `own` is its namespace, if it has one."""
    rules = spec.inject[:_MAX_RULES]
    yield from too_many(spec.inject, _MAX_RULES, path)
    length = sum(len(glob) for rule in rules for part in _GLOBS for glob in _given(rule.templates, part))
    if length > _MOST_TEXT:
        message = f"has globs of {length} characters together, and may have {_MOST_TEXT}: split the policy"
        yield Problem(path, message)
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        budget.check(Part.POLICY)
        where = f"{path}[{index}]"
        first = seen.setdefault(rule.name, index)
        if first != index:
            yield Problem(f"{where}.name", f"{rule.name!r} is the name of {path}[{first}] too")
        yield from _selector(rule.templates, f"{where}.templates")
        yield from _target(rule.lock, f"{where}.lock")
        yield from _condition(rule, own, where)
        foreign = rule.lock.semaphore is not None and rule.lock.semaphore.namespace not in (None, own)
        if foreign and spec.validate.cross_namespace is CrossNamespace.DENY:
            message = "needs validate.crossNamespace: Allow here; this policy refuses such locks otherwise"
            yield Problem(f"{where}.lock.semaphore.namespace", message)


def _unlimited_keys(spec: SynchronizationPolicySpec, path: str) -> Iterator[Problem]:
    """Yield the definitions of keys that conditions need for the case without a limit."""
    needed = {
        (rule.lock.semaphore.config_map, unlimited_key(rule.lock.semaphore.key)): rule.name
        for rule in spec.inject
        if rule.when is not None and rule.lock.semaphore is not None
    }
    for index, definition in enumerate(spec.semaphores):
        rule = needed.get((definition.config_map, definition.key))
        if rule is not None:
            message = f'is the key that rule "{rule}" takes where its `when` does not hold: rename it'
            yield Problem(f"{path}[{index}].key", message)


def _selector(templates: TemplateSelector, path: str) -> Iterator[Problem]:
    given = {part: _given(templates, part) for part in _PARTS}
    if not any(given.values()):
        yield Problem(path, 'selects nothing: give names, images, types or labels (names: ["*"] for all)')
    for part, entries in given.items():
        yield from too_many(entries, _MAX_GIVEN, f"{path}.{part}")
    for part in _GLOBS:
        for index, glob in enumerate(given[part][:_MAX_GIVEN]):
            if not glob:
                yield Problem(f"{path}.{part}[{index}]", "is empty and would match nothing")
            if len(glob) > LONGEST_GLOB:
                message = f"has {len(glob)} characters, and {LONGEST_GLOB} are the most"
                yield Problem(f"{path}.{part}[{index}]", message)
    for index, resource in enumerate(templates.resources[:_MAX_GIVEN]):
        if resource.action is None and not resource.kind:
            message = 'selects nothing: give action, kind or both (types: ["resource"] selects all)'
            yield Problem(f"{path}.resources[{index}]", message)
    if templates.resources and templates.types and TemplateType.RESOURCE not in templates.types:
        yield Problem(f"{path}.resources", 'selects nothing beside these types: add "resource" to them')


def _given(templates: TemplateSelector, part: str) -> tuple[str, ...]:
    field = "service_accounts" if part == "serviceAccounts" else part
    return tuple(getattr(templates, field))


def _target(lock: LockTarget, path: str) -> Iterator[Problem]:
    given = [name for name in ("semaphore", "mutex", "database") if getattr(lock, name) is not None]
    if len(given) != 1:
        got = " and ".join(given) if given else "none of them"
        yield Problem(path, f"needs exactly one of semaphore, mutex, database; got {got}")
    if lock.semaphore is not None:
        yield from name_problems(lock.semaphore.config_map, f"{path}.semaphore.configMap")
        yield from name_problems(lock.semaphore.key, f"{path}.semaphore.key")
        if lock.semaphore.namespace is not None:
            yield from name_problems(lock.semaphore.namespace, f"{path}.semaphore.namespace")
    if lock.mutex is not None:
        yield from empty_problems(lock.mutex, f"{path}.mutex")
    if lock.database is not None:
        yield from empty_problems(lock.database, f"{path}.database")


def _condition(rule: InjectRule, own: str | None, path: str) -> Iterator[Problem]:
    if rule.when is None:
        return
    try:
        parse_condition(rule.when)
    except ValueError as error:
        yield Problem(f"{path}.when", str(error))
    if rule.strategy is Strategy.DIRECT and not key_can_hold_condition(rule.lock, own):
        message = (
            "cannot be said in place: only the key of a ConfigMap of the own namespace can depend on a "
            "condition. Use strategy Auto, which puts a choice in front"
        )
        yield Problem(f"{path}.when", message)
