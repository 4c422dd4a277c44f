"""Conflicts that only the whole set of policies shows: one counts instead of another, or selects nothing.

Every replica resolves a conflict in the same way (the older pool wins, one of two definitions counts), and
reviews decide by it. The author would not know; so it is reported here, on the policy that has no effect.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.decision.decision import Reason
from policy.core.lock_checks.reference_faults import faults_of_rule
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.semaphore_definitions import LockPolicy
from policy.core.objects.label_selectors import EVERYTHING, Labels, LabelSelector, why_nothing
from policy.core.objects.read_extent import CONFIG_MAP
from policy.core.policies.argo_limits import lower_limits
from policy.core.policies.rule_conditions import conditions_in_front
from policy.core.policies.snapshot import Snapshot, pool_of
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    Policy,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.core.policy_kinds.quota_parts import RESOURCES
from policy.core.quota.accounts import Account
from policy.core.quota.namespace_quotas import left_open, spec_bounds_all
from policy.core.quota.pools import CompiledPool
from policy.core.values.budget import UNBOUNDED, Budget, Part

_MOST_NAMESPACES: Final = 100
"""Namespaces in which the rules of a cluster policy are tried; a mistake is mostly one in all of them."""
SHOWN: Final = 5
"""Namespaces that a message names."""


class FindingKind(StrEnum):
    """What a finding is about; also the reason of a condition."""

    OLDER_POOL = "OlderPool"
    DEFINED_ELSEWHERE = "DefinedElsewhere"
    RULE_REFUSED = "RuleRefused"
    SELECTS_NOTHING = "SelectsNothing"
    OWNED_ELSEWHERE = "OwnedElsewhere"
    NOT_WRITTEN = "NotWritten"
    RESERVES_NOTHING = "ReservesNothing"
    SHARE_CUT = "ShareCut"
    DEFAULTS_HOLD = "DefaultsHold"
    BOUND_REACHED = "BoundReached"
    CONDITION_IN_FRONT = "ConditionInFront"
    ARGO_LIMIT = "LowerLimitOfArgo"


class Finding(msgspec.Struct, frozen=True):
    """One thing about a policy in force: where, what, and which policy counts instead of it, if any."""

    kind: FindingKind
    path: str
    message: str
    winner: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class PolicyName(msgspec.Struct, frozen=True):
    """The name by which a policy is identified; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class _Definition(msgspec.Struct, frozen=True):
    """One definition of a semaphore: the policy that it is in, and the limit."""

    policy: LockPolicy
    limit: int


def name_of(policy: Policy) -> PolicyName:
    """Return the name of a policy."""
    namespaced = isinstance(policy, WorkflowQuota | SynchronizationPolicy)
    return PolicyName(policy.kind, policy.metadata.namespace if namespaced else "", policy.metadata.name)


def all_findings(snapshot: Snapshot) -> dict[PolicyName, tuple[Finding, ...]]:
    """Return what is to be reported about each policy in force; those with nothing are left out."""
    policies: list[Policy] = [quota for own in snapshot.quotas.values() for quota in own]
    policies += [*snapshot.pools, *snapshot.lock_policies]
    examiner = PolicyExaminer(snapshot)
    found = {name_of(policy): tuple(examiner.findings(policy)) for policy in policies}
    return {name: findings for name, findings in found.items() if findings}


class PolicyExaminer:
    """Finds the conflicts of the policies of one snapshot."""

    def __init__(self, snapshot: Snapshot, budget: Budget = UNBOUNDED) -> None:
        self._snapshot, self._budget = snapshot, budget
        self._definitions: dict[tuple[str, str], list[_Definition]] = {}
        for policy in snapshot.lock_policies:
            for each in policy.spec.semaphores:
                definition = _Definition(policy, each.limit)
                self._definitions.setdefault((each.config_map, each.key), []).append(definition)

    def findings(self, policy: Policy) -> Iterator[Finding]:
        """Yield what is to be reported about one policy of the snapshot."""
        yield from self._of_bounds(policy)
        for lower in lower_limits(policy, self._snapshot):
            yield Finding(FindingKind.ARGO_LIMIT, lower.path, lower.message)
        match policy:
            case WorkflowQuota():
                yield from _contradictory(policy.spec.selector, "spec.selector")
                yield from self._of_member(policy)
            case ClusterWorkflowQuota():
                yield from self._of_pool(policy)
            case SynchronizationPolicy() | ClusterSynchronizationPolicy():
                yield from self._of_locks(policy)

    def _of_bounds(self, policy: Policy) -> Iterator[Finding]:
        """Yield that some templates or ConfigMaps of the namespaces of a policy are left out: too many."""
        left_out = self._snapshot.extent.left_out
        if not left_out:
            return
        namespaces = {*self._governed(policy), ""}
        path = "metadata.namespace" if name_of(policy).namespace else "spec.namespaceSelector"
        for each in left_out.values():
            if each.namespace in namespaces:
                follows = (
                    "semaphores in those left out count as not defined"
                    if each.kind == CONFIG_MAP
                    else "Workflows that refer to those left out are refused"
                )
                yield Finding(FindingKind.BOUND_REACHED, path, f"{each}; {follows}: delete some of them")

    def _of_member(self, quota: WorkflowQuota) -> Iterator[Finding]:
        """Yield how the pool of its namespace changes what a quota does."""
        snapshot, namespace = self._snapshot, quota.metadata.namespace
        pool, compiled = pool_of(snapshot, namespace), snapshot.pool(namespace)
        if pool is None or compiled is None:
            return
        winner = str(name_of(pool))
        yield from _beside_defaults(quota, snapshot.quotas[namespace], pool, winner)
        account = Account(namespace, quota.metadata.name)
        if any(each.is_share and each.account == account for each in snapshot.policies(namespace).quotas):
            yield from _reserving_nothing(quota, winner)
            yield from _cut(quota, compiled, winner)

    def _governed(self, policy: Policy) -> list[str]:
        """Return the namespace of a policy, or the known namespaces that it selects, by name."""
        if isinstance(policy, WorkflowQuota | SynchronizationPolicy):
            return [policy.metadata.namespace]
        known, selector = sorted(self._snapshot.namespace_labels.items()), policy.spec.namespace_selector
        return [name for name, labels in known if selector.matches(labels)]

    def _of_pool(self, pool: ClusterWorkflowQuota) -> Iterator[Finding]:
        yield from _contradictory(pool.spec.selector, "spec.selector")
        if pool.spec.namespace_defaults is not None:
            yield from _contradictory(
                pool.spec.namespace_defaults.selector, "spec.namespaceDefaults.selector"
            )
        selected = self._governed(pool)
        if not selected:
            yield _no_namespace(pool.spec.namespace_selector)
        lost: dict[str, list[str]] = {}
        for namespace in selected:
            winner = pool_of(self._snapshot, namespace)
            if winner is not None and winner is not pool:
                lost.setdefault(str(name_of(winner)), []).append(namespace)
        for winner_name, namespaces in lost.items():
            whole = " (all that this one selects)" if len(namespaces) == len(selected) else ""
            message = (
                f"{winner_name} is the oldest pool that selects {some_namespaces(namespaces)}{whole}, and "
                "its limits count there: select other namespaces in one of the two"
            )
            yield Finding(FindingKind.OLDER_POOL, "spec.namespaceSelector", message, winner_name)

    def _of_locks(self, policy: LockPolicy) -> Iterator[Finding]:
        yield from _contradictory(policy.spec.match.workflows, "spec.match.workflows")
        governed = self._governed(policy)
        if isinstance(policy, ClusterSynchronizationPolicy) and not governed:
            yield _no_namespace(policy.spec.namespace_selector)
        for problem in conditions_in_front(policy):
            yield Finding(FindingKind.CONDITION_IN_FRONT, problem.path, problem.message)
        yield from self._overridden_definitions(policy, governed)
        if policy.spec.inject:
            yield from self._refused_rules(policy, governed[:_MOST_NAMESPACES])

    def _overridden_definitions(self, policy: LockPolicy, governed: Sequence[str]) -> Iterator[Finding]:
        """Yield the definitions of semaphores instead of which that of another policy counts."""
        for index, own in enumerate(policy.spec.semaphores):
            self._budget.check(Part.POLICY)
            lost: dict[tuple[str, str], list[str]] = {}
            others = self._definitions[own.config_map, own.key]
            if all(other.limit == own.limit for other in others):
                continue
            for namespace in governed:
                winner = _counting(others, namespace, self._snapshot.labels_of(namespace))
                if winner is not None and winner.limit != own.limit:
                    source, limit = str(name_of(winner.policy)), _limit_shown(winner, policy)
                    lost.setdefault((source, limit), []).append(namespace)
            for (name, limit), namespaces in lost.items():
                message = (
                    f"{name} gives key {own.key} of ConfigMap {own.config_map} {limit}, and that counts in "
                    f"{some_namespaces(namespaces)}: give both the same limit, or remove one of them"
                )
                path = f"spec.semaphores[{index}]"
                yield Finding(FindingKind.DEFINED_ELSEWHERE, path, message, name)

    def _refused_rules(self, policy: LockPolicy, governed: Sequence[str]) -> Iterator[Finding]:
        """Yield the rules whose lock a policy refuses, so that no Workflow they select can be created."""
        source, everywhere = str(name_of(policy)), isinstance(policy, ClusterSynchronizationPolicy)
        refused: dict[tuple[str, str, str], list[str]] = {}
        texts: dict[tuple[str, str, str], str] = {}
        for namespace in governed:
            self._budget.check(Part.POLICY)
            locks = self._snapshot.policies(namespace).locks
            for rule in locks.rules if locks is not None else ():
                if locks is None or rule.policy.source != source:
                    continue
                for fault in _certain(locks, rule, discreet=everywhere):
                    key = (rule.name, fault.code.value, fault.policy)
                    refused.setdefault(key, []).append(namespace)
                    texts.setdefault(key, fault.message)
        for key, namespaces in refused.items():
            rule_name, _, winner = key
            message = (
                f"every Workflow of {some_namespaces(namespaces)} that it selects is refused by {winner}, "
                f"because of the lock that it injects: {texts[key]}"
            )
            path = f"spec.inject[name={rule_name}]"
            yield Finding(FindingKind.RULE_REFUSED, path, message, winner if winner != source else "")


def _beside_defaults(
    quota: WorkflowQuota, own: Sequence[WorkflowQuota], pool: ClusterWorkflowQuota, winner: str
) -> Iterator[Finding]:
    """Yield that the defaults of a pool count beside a quota that governs every Workflow, as they do."""
    fields = left_open([each.spec for each in own], pool) if spec_bounds_all(quota.spec) else ()
    if fields:
        message = (
            f"namespaceDefaults of {winner} hold beside it, since the quotas of {quota.metadata.namespace} "
            f"do not bound {', '.join(fields)} for every Workflow: bound that too, for them to count instead"
        )
        yield Finding(FindingKind.DEFAULTS_HOLD, "spec", message, winner)


def _reserving_nothing(quota: WorkflowQuota, winner: str) -> Iterator[Finding]:
    """Yield that a quota reserves a part of something that is no limit, but a share of a pool."""
    if quota.spec.reserve:
        message = (
            f"reserves nothing: {winner} lets its members borrow, so these limits are the share of "
            f"{quota.metadata.namespace} in it, which others use too. Give the pool a reserve"
        )
        yield Finding(FindingKind.RESERVES_NOTHING, "spec.reserve", message, winner)


def _cut(quota: WorkflowQuota, pool: CompiledPool, winner: str) -> Iterator[Finding]:
    """Yield the limits of a quota that are above what its namespace may have as its share."""
    namespace, spec = quota.metadata.namespace, quota.spec
    most, written = pool.share_bound(namespace, None), pool.assigned_to(namespace, None)
    given = [("spec.limits", spec.limits)]
    given += [(f"spec.windows[{index}].limits", each.limits) for index, each in enumerate(spec.windows)]
    for path, limits in given:
        for name in RESOURCES:
            amount, bound = getattr(limits, name), getattr(most, name)
            if not isinstance(amount, int) or bound.covers(amount):
                continue
            whose = "the limit" if getattr(written, name).unlimited else f"the share of {namespace}"
            message = (
                f"{amount} is above {bound}, {whose} in {winner}, and {bound} counts: a quota may lower what "
                f"the pool gives, and not raise it. Ask for a larger spec.borrowing.shares.{namespace} there"
            )
            yield Finding(FindingKind.SHARE_CUT, f"{path}.{name}", message, winner)


def _contradictory(selector: LabelSelector, path: str) -> Iterator[Finding]:
    if selector != EVERYTHING and (why := why_nothing(selector)):
        yield Finding(FindingKind.SELECTS_NOTHING, path, f"selects no Workflow: {why}")


def _no_namespace(selector: LabelSelector) -> Finding:
    why = why_nothing(selector) or "none that exists now has such labels"
    return Finding(FindingKind.SELECTS_NOTHING, "spec.namespaceSelector", f"selects no namespace: {why}")


def _counting(definitions: Iterable[_Definition], namespace: str, labels: Labels) -> _Definition | None:
    """Return the definition that counts in a namespace, as reviews look it up: its own before the cluster's.

    Of several of its own the last by name counts, of several of the cluster the first.
    """
    own = everywhere = None
    for each in definitions:
        if isinstance(each.policy, SynchronizationPolicy):
            own = each if each.policy.metadata.namespace == namespace else own
        elif everywhere is None and each.policy.spec.namespace_selector.matches(labels):
            everywhere = each
    return own or everywhere


def _limit_shown(winner: _Definition, loser: LockPolicy) -> str:
    """Return the limit as it is reported: readers of a cluster policy may not read those of namespaces."""
    if isinstance(winner.policy, SynchronizationPolicy) and isinstance(loser, ClusterSynchronizationPolicy):
        return "another limit"
    return f"the limit {winner.limit}"


def _certain(locks: LockPolicies, rule: CompiledRule, *, discreet: bool) -> Sequence[Reason]:
    """Return what is wrong with an injected lock for every Workflow, whatever its labels are.

    A reader of a policy of the cluster may not read the ConfigMaps of the namespaces (`discreet`).
    """
    active = [each for each in locks.policies if each.workflows == EVERYTHING or each is rule.policy]
    return faults_of_rule(rule, Rulebook(locks, active, discreet=discreet))


def some_namespaces(namespaces: Sequence[str]) -> str:
    """Return the names of some namespaces, and how many more there are."""
    more = len(namespaces) - SHOWN
    names = ", ".join(namespaces[:SHOWN])
    word = "namespace" if len(namespaces) == 1 else "namespaces"
    return f"{word} {names} and {more} more" if more > 0 else f"{word} {names}"
