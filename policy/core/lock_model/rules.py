"""Injection rules compiled for one namespace: the lock as Argo reads it, its condition and selector."""

from collections.abc import Iterable

import msgspec

from policy.core.lock_model.key_rules import KeyRule
from policy.core.lock_model.lock_names import lock_name
from policy.core.lock_model.semaphore_definitions import key_can_hold_condition
from policy.core.lock_model.template_selectors import CompiledSelector, compile_selector
from policy.core.lock_model.when_conditions import WhenCondition, parse_condition
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.label_selectors import LabelSelector
from policy.core.objects.workflow import ConfigMapKeyRef, DatabaseRef, MutexRef, SemaphoreRef
from policy.core.policy_kinds.kinds import (
    InjectRule,
    LockTarget,
    LockValidation,
    MatchedKind,
    Referenced,
    Singular,
    Strategy,
)


class CompiledLockPolicy(msgspec.Struct, frozen=True):
    """One policy as it applies to a namespace."""

    source: str
    workflows: LabelSelector
    key_rule: KeyRule | None
    kinds: frozenset[MatchedKind]
    referenced: Referenced
    validation: LockValidation


def refuses_singular(policies: Iterable[CompiledLockPolicy]) -> bool:
    """Return whether one of these policies refuses the singular form of a lock."""
    return any(each.validation.singular is Singular.DENY for each in policies)


class CompiledRule(msgspec.Struct, frozen=True):
    """An injection rule.

    `lock` is what Argo reads and `lock_name` its encoded name; `item` is the lock as JSON, and `whole` a
    `synchronization` block of it alone. The JSON is shared by all patches and must not be changed. Where the
    key of a semaphore depends on the condition, `always` is the same rule without it. A condition that no key
    can hold is in `choice`.
    """

    name: str
    policy: CompiledLockPolicy
    selector: CompiledSelector
    strategy: Strategy
    lock: SemaphoreRef | MutexRef
    lock_name: str
    item: JsonObject
    whole: JsonObject
    when: WhenCondition | None = None
    choice: WhenCondition | None = None
    always: "CompiledRule | None" = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of locks that satisfy this rule: what it writes, and the same lock without a condition.

        A choice has a name too: by it, all that runs behind the choice is known to need no other.
        """
        if self.choice is not None:
            return (self.lock_name, chosen_name(self.lock_name, self.choice.holds))
        return (self.lock_name,) if self.always is None else (self.lock_name, self.always.lock_name)

    @property
    def plain_name(self) -> str:
        """The name of the lock without a condition."""
        return self.lock_name if self.always is None else self.always.lock_name


def chosen_name(lock: str, when: str) -> str:
    """Return the name of a choice whether to take a lock."""
    return f"{lock} {when}"


def compile_rule(
    rule: InjectRule, policy: CompiledLockPolicy, namespace: str, own: str | None
) -> CompiledRule:
    """Compile a rule for a namespace; `own` is the namespace of its policy, if that has one."""
    lock = _reference(rule.lock)
    item = item_of(lock)
    plain = CompiledRule(
        name=rule.name,
        policy=policy,
        selector=compile_selector(rule.templates),
        strategy=rule.strategy,
        lock=lock,
        lock_name=lock_name(lock, namespace),
        item=item,
        whole={list_of(lock): [item]},
    )
    if rule.when is None:
        return plain
    condition = parse_condition(rule.when)
    if key_can_hold_condition(rule.lock, own):
        return conditioned(msgspec.structs.replace(plain, when=condition, always=plain), condition)
    return conditioned(plain, condition)


def conditioned(rule: CompiledRule, condition: WhenCondition) -> CompiledRule:
    """Return a rule with a condition: in the key of its semaphore, where it has one, else as a choice."""
    plain = rule.always
    if plain is None or isinstance(plain.lock, MutexRef) or plain.lock.config_map_key_ref is None:
        return msgspec.structs.replace(rule, when=condition, choice=condition)
    ref = plain.lock.config_map_key_ref
    key = ConfigMapKeyRef(name=ref.name, key=condition.key(ref.key or ""))
    lock = msgspec.structs.replace(plain.lock, config_map_key_ref=key)
    head = plain.lock_name[: len(plain.lock_name) - len(ref.key or "")]
    item = item_of(lock)
    return msgspec.structs.replace(
        rule,
        lock=lock,
        lock_name=head + (key.key or ""),
        item=item,
        whole={list_of(lock): [item]},
        when=condition,
        always=plain,
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


class MissingLock(msgspec.Struct, frozen=True):
    """A lock that a rule requires on a template of another object (`of`), where it is missing."""

    rule: CompiledRule
    template: str
    of: str
    kind: MatchedKind
