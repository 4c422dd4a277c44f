"""Conditions of rules that most template objects cannot have: they are told where the rule is written.

A condition on a ConfigMap semaphore is a part of its key. One on a mutex, or on a lock in a database, is put
as a DAG in front of the template. Others may call a template of a template object, and may use of it what a
DAG does not have, such as its exit code; so there most are refused.
"""

from collections.abc import Iterator

from policy.core.lock_model.semaphore_definitions import LockPolicy, key_can_hold_condition
from policy.core.objects.template_keys import TEMPLATE_KINDS
from policy.core.policy_kinds.kinds import Referenced, SynchronizationPolicy
from policy.core.values.problems import Problem


def conditions_in_front(policy: LockPolicy) -> Iterator[Problem]:
    """Yield the conditions of a policy that selects template objects which most of these cannot have."""
    match = policy.spec.match
    kinds = [kind.value for kind in match.kinds if kind.value in TEMPLATE_KINDS]
    if match.referenced is Referenced.SIBLING:
        kinds.append("siblings of templates")
    if not kinds:
        return
    own = policy.metadata.namespace if isinstance(policy, SynchronizationPolicy) else None
    for index, rule in enumerate(policy.spec.inject):
        if rule.when is not None and not key_can_hold_condition(rule.lock, own):
            message = (
                "a condition on this lock is put as a DAG in front of a template, and most templates that "
                f"other objects may call ({', '.join(kinds)}) are refused with it. Let all who take this "
                "lock take a semaphore of limit 1 instead, in a ConfigMap of their namespace: its key holds "
                "the condition"
            )
            yield Problem(f"spec.inject[{index}].when", message)
