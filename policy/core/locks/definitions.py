"""The semaphores that a policy asks to be written to ConfigMaps: its own, and what its conditions need."""

from typing import Final

from policy.core.kinds import LockTarget, SemaphoreDefinition, SynchronizationPolicySpec
from policy.core.locks.expressions import unlimited_key
from policy.core.locks.naming import parameterised

UNLIMITED: Final = 1_000_000
"""Limit of the key that stands for none; Argo keeps the holders in memory, and nobody runs that many pods."""


def says_by_key(lock: LockTarget, own: str | None) -> bool:
    """Tell whether a condition can be said in the key of the lock (argo-verified V.8a).

    A mutex or a database lock would need a free one for each holder, and a ConfigMap of another namespace is
    not ours to write the unlimited key to.
    """
    target = lock.semaphore
    if target is None or target.namespace not in (None, own):
        return False
    return not (parameterised(target.config_map) or parameterised(target.key) or "'" in target.key)


def projected(spec: SynchronizationPolicySpec, own: str | None) -> tuple[SemaphoreDefinition, ...]:
    """Return all keys that must stand in ConfigMaps for this policy, each once, its own definitions first.

    `own` is the namespace of the policy, if it has one. Where a rule has a condition, what it takes when it
    does not hold is a key without limit beside it. Argo does not see by such a conditional key who
    waits for a ConfigMap, so after a raise they have to be touched, as those are that reach a lock by
    templateRef (argo-verified V.4).
    """
    found = {(each.config_map, each.key): each for each in spec.semaphores}
    for rule in spec.inject:
        target = rule.lock.semaphore
        if rule.when is not None and target is not None and says_by_key(rule.lock, own):
            free = SemaphoreDefinition(target.config_map, unlimited_key(target.key), UNLIMITED)
            found.setdefault((free.config_map, free.key), free)
    return tuple(found.values())
