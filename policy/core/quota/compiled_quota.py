"""What a quota limits once it is compiled: which Workflows, on which account, how much, in which queue."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.objects.workflow_selectors import WorkflowSelector
from policy.core.policy_kinds.quota_parts import (
    CancelBy,
    GroupSpec,
    MissingPart,
    OnExceed,
    PriorityAbove,
    QueueSpec,
    QueueStrategy,
    QuotaLimits,
    StopPolicy,
    WhenBusy,
    WorkflowQuotaSpec,
)
from policy.core.quota.accounts import Account
from policy.core.quota.group_keys import GroupKey, parse_key
from policy.core.quota.windows import ElasticLimits, Opening, compile_windows, limits_of
from policy.core.values.amounts import Amount, Limits, Reserve, Usage, withheld
from policy.core.values.durations import duration

NOTHING: Final = Limits(Amount(0), Amount(0))
DEFAULT_AGING: Final = timedelta(hours=1)
_DEFAULT_QUEUE: Final = QueueSpec()
_WINDOWS_ALLOW: Final = "its windows allow it"
_STOP_ENDS: Final = "its spec.stopPolicy is None"
_STRICTNESS: Final = (StopPolicy.NONE, StopPolicy.HOLD, StopPolicy.HOLD_AND_DRAIN)


class QueueRules(msgspec.Struct, frozen=True):
    """How the Workflows of one namespace wait. Where `aging` is None, priorities do not rise.

    `stopped_by` is the quota whose stop policy counts, "" where none stops.
    """

    strategy: QueueStrategy = QueueStrategy.BEST_EFFORT_FIFO
    aging: timedelta | None = DEFAULT_AGING
    max_length: int | None = None
    max_wait: timedelta | None = None
    stop_policy: StopPolicy = StopPolicy.NONE
    stopped_by: str = ""


DEFAULT_RULES: Final = QueueRules()


class CompiledGroup(msgspec.Struct, frozen=True):
    """A group: its name, the key that its Workflows have, and what happens while a key is at its limit."""

    name: str
    key: GroupKey
    when_busy: WhenBusy
    cancel: CancelBy
    missing: MissingPart


class CompiledQuota(msgspec.Struct, frozen=True):
    """One quota, ready to be evaluated: which Workflows it selects, its account and its limits.

    `is_share`: its limits are the share of its namespace in a pool that borrows, and no bound of their own;
    what is above them is borrowed (`policy.core.quota.pools`). `bounds_tasks`: tasks are limited at some
    time, also by windows or nodes, or for one user. `highest` are the highest limits at any time, and
    `highest_when` has in words when they apply, empty where limits never change. `constant` are the limits
    where no window, node or stop ever changes them, so that a review need not compute them for its time.
    `first` is a label without which a Workflow is not selected, if there is one.

    A group of a quota is compiled to a quota of its own, which limits nothing but each key (`group`). That of
    one Workflow has its `key`.
    """

    source: str
    account: Account
    selector: WorkflowSelector
    selects_all: bool
    elastic: ElasticLimits
    per_user: Limits
    bounds_users: bool
    bounds_tasks: bool
    on_exceed: OnExceed
    default_tasks: int | None
    max_tasks: int | None
    max_priority: int | None
    lowers_priority: bool
    reserves: tuple[Reserve, ...]
    rules: QueueRules
    highest: Limits
    highest_when: str
    constant: Limits | None = None
    is_share: bool = False
    first: tuple[str, str] | None = None
    group: CompiledGroup | None = None
    key: str = ""

    def group_of(self, quota: "CompiledQuota") -> bool:
        """Return whether this is a group of that quota."""
        return self.group is not None and self.account == quota.account.of_group(self.group.name)

    @property
    def scope(self) -> str:
        """What counts together under it: its name, with the key of a group."""
        return f"{self.source} {self.key}" if self.key else self.source

    def limits_at(self, now: datetime) -> Limits:
        """Return the limits at `now`: those of open windows replace those that always hold.

        Nothing may run on a stopped quota that does not queue or that selects a part of its namespace; the
        queue of a whole namespace is stopped by its rules instead.
        """
        if self.constant is not None:
            return self.constant
        if self.stops_its_own:
            return NOTHING
        limits = self.elastic.at(now).limits
        # Nodes may never allow as much as the policy has.
        return limits.tightest(self.highest) if self.highest_when else limits

    def opening(self, now: datetime, requested: Usage, priority: int) -> Opening | None:
        """Return when a window lets a request of this priority in that does not fit the limits of now."""
        if self.stops_its_own or self.elastic.fixed:
            return None
        return self.elastic.opening(now, requested + withheld(self.reserves, priority))

    @property
    def rises(self) -> str:
        """When its limits are higher than at other times, in words; empty where they never change."""
        return _STOP_ENDS if self.stops_its_own else self.highest_when

    @property
    def stops_its_own(self) -> bool:
        """Whether its `stopPolicy` stops this quota alone, and not the queue of a whole namespace."""
        return self.rules.stop_policy is not StopPolicy.NONE and not self.stops_the_queue

    @property
    def of_pool(self) -> bool:
        """Whether a pool brings it: for all members together, or as the default of each."""
        return self.source.startswith("ClusterWorkflowQuota ")

    @property
    def counts_tasks(self) -> bool:
        """Whether it depends on the tasks of a Workflow: it limits, caps or sets them."""
        return self.bounds_tasks or self.max_tasks is not None or self.default_tasks is not None

    @property
    def stops_the_queue(self) -> bool:
        """Whether its queue rules hold for every Workflow of the namespace."""
        return self.selects_all and self.on_exceed is OnExceed.QUEUE


def compile_quota(spec: WorkflowQuotaSpec, account: Account, source: str) -> CompiledQuota:
    """Compile a quota that was found valid."""
    per_user = limits_of(spec.per_user)
    windows = compile_windows(spec.windows)
    elastic = ElasticLimits(spec.limits, windows)
    bounds = (spec.limits, spec.per_user, *(each.limits for each in windows))
    return CompiledQuota(
        source=source,
        account=account,
        selector=spec.selector,
        selects_all=spec.selector.selects_all,
        first=next(iter(spec.selector.match_labels.items()), None),
        elastic=elastic,
        per_user=per_user,
        bounds_users=per_user != Limits(),
        bounds_tasks=any(limits_of(each).bounds_tasks for each in bounds),
        on_exceed=spec.on_exceed,
        default_tasks=spec.per_workflow.default_tasks,
        max_tasks=spec.per_workflow.max_tasks,
        max_priority=spec.per_workflow.max_priority,
        lowers_priority=spec.per_workflow.on_priority_above is PriorityAbove.LOWER,
        reserves=tuple(
            Reserve(each.above_priority, Usage(each.workflows, each.tasks)) for each in spec.reserve
        ),
        rules=QueueRules(
            strategy=spec.queue.strategy,
            aging=None if spec.queue == _DEFAULT_QUEUE else duration(spec.queue.aging),
            max_length=spec.queue.max_length,
            max_wait=None if spec.queue.max_wait is None else duration(spec.queue.max_wait),
            stop_policy=spec.stop_policy,
            stopped_by=source if spec.stop_policy is not StopPolicy.NONE else "",
        ),
        highest=elastic.highest,
        highest_when=_WINDOWS_ALLOW if spec.windows else "",
        constant=elastic.base if not spec.windows and spec.stop_policy is StopPolicy.NONE else None,
    )


def queue_rules(quotas: Iterable[CompiledQuota]) -> QueueRules:
    """Return how the Workflows of a namespace wait: the strictest rules of its quotas that queue.

    Quotas that select only some Workflows do not count, since one queue cannot have two orders; nor does the
    aging of a quota that has no `queue`.
    """
    given = [quota.rules for quota in quotas if quota.stops_the_queue]
    if not given:
        return DEFAULT_RULES
    stopping = max(given, key=lambda each: _STRICTNESS.index(each.stop_policy))
    strict = any(each.strategy is QueueStrategy.STRICT_FIFO for each in given)
    return QueueRules(
        strategy=QueueStrategy.STRICT_FIFO if strict else QueueStrategy.BEST_EFFORT_FIFO,
        aging=_least(each.aging for each in given) or DEFAULT_AGING,
        max_length=min((each.max_length for each in given if each.max_length is not None), default=None),
        max_wait=_least(each.max_wait for each in given),
        stop_policy=stopping.stop_policy,
        stopped_by=stopping.stopped_by,
    )


def _least(times: Iterable[timedelta | None]) -> timedelta | None:
    return min((each for each in times if each is not None), default=None)


def compile_groups(spec: WorkflowQuotaSpec, quota: CompiledQuota) -> tuple[CompiledQuota, ...]:
    """Compile the groups of a quota that was compiled: the same Workflows, with limits for each key alone."""
    return tuple(_compile_group(each, quota) for each in spec.groups)


def _compile_group(spec: GroupSpec, quota: CompiledQuota) -> CompiledQuota:
    on_exceed = OnExceed.DENY if spec.when_busy is WhenBusy.REFUSE else OnExceed.QUEUE
    limits = limits_of(spec.limits)
    return msgspec.structs.replace(
        quota,
        source=f"{quota.source} group {spec.name}",
        account=quota.account.of_group(spec.name),
        selects_all=False,
        elastic=ElasticLimits(QuotaLimits(), ()),
        per_user=limits,
        bounds_users=True,
        bounds_tasks=limits.bounds_tasks,
        on_exceed=OnExceed.WARN if quota.on_exceed is OnExceed.WARN else on_exceed,
        default_tasks=None,
        max_tasks=None,
        max_priority=None,
        reserves=(),
        rules=DEFAULT_RULES,
        highest=Limits(),
        highest_when="",
        constant=Limits(),
        is_share=False,
        group=CompiledGroup(spec.name, parse_key(spec.key), spec.when_busy, spec.cancel, spec.missing),
    )
