"""What is wrong with the values of injection rules: each problem with its field path."""

from collections.abc import Iterator, Sequence
from typing import Final

from policy.core.lock_model.lock_names import empty_problems, name_problems
from policy.core.lock_model.semaphore_definitions import key_can_hold_condition
from policy.core.lock_model.template_selectors import LONGEST_GLOB
from policy.core.lock_model.when_conditions import parse_condition, unlimited_key
from policy.core.policy_kinds.kinds import (
    CrossNamespace,
    InjectRule,
    LockTarget,
    Strategy,
    SynchronizationPolicySpec,
    TemplateSelector,
    TemplateType,
)
from policy.core.values.budget import UNBOUNDED, Budget, Part
from policy.core.values.problems import Problem, too_many

_MAX_RULES: Final = 200
_MAX_GIVEN: Final = 100
"""Bounds of the CRDs: rules, and entries of each part of a template selector."""
_MOST_TEXT: Final = 100_000
"""Characters of all globs of a policy together: each replica compiles them, at some microseconds each."""
_PARTS: Final = ("names", "images", "types", "labels", "serviceAccounts", "volumes", "resources", "tasks")
_GLOBS: Final = ("names", "images", "serviceAccounts", "volumes", "tasks")


def rule_problems(
    spec: SynchronizationPolicySpec, path: str, own: str | None, budget: Budget = UNBOUNDED
) -> Iterator[Problem]:
    """Yield what is wrong with the rules of a policy; `own` is its namespace, if it has one."""
    yield from too_many(spec.inject, _MAX_RULES, path)
    yield from _too_long(spec.inject[:_MAX_RULES], path)
    seen: dict[str, int] = {}
    for index, rule in enumerate(spec.inject[:_MAX_RULES]):
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


def unlimited_problems(spec: SynchronizationPolicySpec, path: str) -> Iterator[Problem]:
    """Yield the definitions of keys that conditions need as their way without a limit."""
    taken = {
        (rule.lock.semaphore.config_map, unlimited_key(rule.lock.semaphore.key)): rule.name
        for rule in spec.inject
        if rule.when is not None and rule.lock.semaphore is not None
    }
    for index, definition in enumerate(spec.semaphores):
        rule = taken.get((definition.config_map, definition.key))
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


def _too_long(rules: Sequence[InjectRule], path: str) -> Iterator[Problem]:
    length = sum(len(glob) for rule in rules for part in _GLOBS for glob in _given(rule.templates, part))
    if length > _MOST_TEXT:
        message = f"has globs of {length} characters together, and may have {_MOST_TEXT}: split the policy"
        yield Problem(path, message)


def _given(templates: TemplateSelector, part: str) -> tuple[str, ...]:
    field = "service_accounts" if part == "serviceAccounts" else part
    return tuple(getattr(templates, field))


def _target(lock: LockTarget, path: str) -> Iterator[Problem]:
    given = [name for name in ("semaphore", "mutex", "database") if getattr(lock, name) is not None]
    if len(given) != 1:
        said = " and ".join(given) if given else "none of them"
        yield Problem(path, f"needs exactly one of semaphore, mutex, database; got {said}")
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
