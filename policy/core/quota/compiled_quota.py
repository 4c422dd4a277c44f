"""Quotas compiled: whom each selects, its account, its limits as time goes by, and its queue."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.objects.label_selectors import LabelSelector
from policy.core.policy_kinds.kinds import OnExceed, PriorityAbove, WorkflowQuotaSpec
from policy.core.policy_kinds.quota_parts import QueueSpec, QueueStrategy, QuotaLimits, StopPolicy
from policy.core.quota.accounts import Account
from policy.core.quota.windows import ElasticLimits, compile_windows
from policy.core.values.amounts import UNLIMITED, Amount, Limits, Reserve, Usage
from policy.core.values.durations import duration

NOTHING: Final = Limits(Amount(0), Amount(0))
_UNSAID: Final = QueueSpec()
_WINDOWS_ALLOW: Final = "its windows allow it"
_STOP_ENDS: Final = "its spec.stopPolicy is None"
_STRICTNESS: Final = (StopPolicy.NONE, StopPolicy.HOLD, StopPolicy.HOLD_AND_DRAIN)


class CompiledQuota(msgspec.Struct, frozen=True):
    """One quota ready to judge: whom it selects, and the account and limits that it adds.

    `is_share` says that its limits are the share of its namespace in a pool that borrows, and no bound of
    their own: what is beyond them is borrowed (`policy.core.quota.pools`). `bounds_tasks` says that tasks are
    limited at some time, by windows or nodes too, or for one user. `highest` are the limits at their most,
    and `moves` says in words by what they get there, or nothing where they stay. `constant` are the limits
    where no window, node or stop ever changes them: nobody has to ask then what they are at a moment.
    """

    source: str
    account: Account
    selector: LabelSelector
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
    moves: str
    constant: Limits | None = None
    is_share: bool = False

    def limits_at(self, now: datetime) -> Limits:
        """Return the limits at `now`: those of open windows before those that are always there.

        Nothing may run where a stopped quota does not queue, or speaks of a part of its namespace only; the
        queue of a whole namespace is stopped by its rules.
        """
        if self.constant is not None:
            return self.constant
        if self.stops_its_own:
            return NOTHING
        limits = self.elastic.at(now).limits
        # Nodes may never allow what is written.
        return limits.tightest(self.highest) if self.moves else limits

    @property
    def rises(self) -> str:
        """By what its limits get higher than at another time, in words, or nothing where they stay."""
        return _STOP_ENDS if self.stops_its_own else self.moves

    @property
    def stops_its_own(self) -> bool:
        """Whether nothing may run on it, by its `stopPolicy`; what stops a whole queue is not meant."""
        return self.rules.stop_policy is not StopPolicy.NONE and not self.stops_the_queue

    @property
    def counts_tasks(self) -> bool:
        """Whether it goes by how many tasks one Workflow may run: it limits, caps or sets them."""
        return self.bounds_tasks or self.max_tasks is not None or self.default_tasks is not None

    @property
    def stops_the_queue(self) -> bool:
        """Whether its rules are those of every Workflow of the namespace."""
        return self.selects_all and self.on_exceed is OnExceed.QUEUE

    @property
    def limits(self) -> Limits:
        """The limits apart from windows."""
        return self.elastic.base


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
        selects_all=not (spec.selector.match_labels or spec.selector.match_expressions),
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
            aging=None if spec.queue == _UNSAID else duration(spec.queue.aging),
            max_length=spec.queue.max_length,
            max_wait=None if spec.queue.max_wait is None else duration(spec.queue.max_wait),
            stop_policy=spec.stop_policy,
        ),
        highest=elastic.highest,
        moves=_WINDOWS_ALLOW if spec.windows else "",
        constant=elastic.base if not spec.windows and spec.stop_policy is StopPolicy.NONE else None,
    )


def queue_rules(quotas: Iterable[CompiledQuota]) -> QueueRules:
    """Return how the Workflows of a namespace wait: of its quotas that queue, whatever is stricter.

    A quota that selects only some of them has no say: one queue cannot have two orders. Nor has one that says
    nothing about its queue.
    """
    asked = [quota.rules for quota in quotas if quota.stops_the_queue]
    if not asked:
        return USUAL_RULES
    strict = any(each.strategy is QueueStrategy.STRICT_FIFO for each in asked)
    return QueueRules(
        strategy=QueueStrategy.STRICT_FIFO if strict else QueueStrategy.BEST_EFFORT_FIFO,
        aging=_least(each.aging for each in asked) or DEFAULT_AGING,
        max_length=min((each.max_length for each in asked if each.max_length is not None), default=None),
        max_wait=_least(each.max_wait for each in asked),
        stop_policy=max((each.stop_policy for each in asked), key=_STRICTNESS.index),
    )


def limits_of(limits: QuotaLimits) -> Limits:
    """Return limits as they are reckoned with."""
    return Limits(Amount.parse(limits.workflows), Amount.parse(limits.tasks))


def tightest(limits: Iterable[Limits]) -> Limits:
    """Return the smallest bound of each kind; none at all is unlimited."""
    found = Limits(UNLIMITED, UNLIMITED)
    for each in limits:
        found = found.tightest(each)
    return found


def _least(times: Iterable[timedelta | None]) -> timedelta | None:
    return min((each for each in times if each is not None), default=None)


DEFAULT_AGING: Final = timedelta(hours=1)


class QueueRules(msgspec.Struct, frozen=True):
    """How the Workflows of one namespace wait. `aging` None: priorities stay as they are."""

    strategy: QueueStrategy = QueueStrategy.BEST_EFFORT_FIFO
    aging: timedelta | None = DEFAULT_AGING
    max_length: int | None = None
    max_wait: timedelta | None = None
    stop_policy: StopPolicy = StopPolicy.NONE


USUAL_RULES: Final = QueueRules()
