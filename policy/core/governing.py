"""Which quotas govern a Workflow, what it weighs, and what it therefore demands of which accounts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from policy.core.amounts import UNLIMITED, Amount, Usage
from policy.core.decision import Code, Reason
from policy.core.kinds import OnExceed
from policy.core.ledger import Account, Demand
from policy.core.selectors import Labels
from policy.core.snapshot import CompiledQuota, Snapshot
from policy.core.workflow import WorkflowSpec

PARALLELISM: Final = "spec.parallelism"
ANONYMOUS: Final = "system:anonymous"
"""Kubernetes' name for whoever gives none; an account without a user is the quota's own."""


class Tasks(msgspec.Struct, frozen=True):
    """How many tasks a Workflow may run at once. `injected` is the default to write, where it has none."""

    amount: Amount
    injected: int | None = None
    faults: tuple[Reason, ...] = ()


def governing(quotas: Sequence[CompiledQuota], labels: Labels) -> tuple[CompiledQuota, ...]:
    """Return the quotas whose selector matches a Workflow with these labels."""
    return tuple([quota for quota in quotas if quota.selects_all or quota.selector.matches(labels)])


def demands(quotas: Iterable[CompiledQuota], user: str) -> tuple[Demand, ...]:
    """Return the accounts that a Workflow of `user` touches, each with the limits that must hold."""
    found = []
    for quota in quotas:
        found.append(Demand(quota.account, quota.limits, quota.source))
        if quota.bounds_users:
            name = user or ANONYMOUS
            account = Account(quota.account.namespace, quota.account.quota, name)
            found.append(Demand(account, quota.per_user, f"{quota.source} for user {name}"))
    return tuple(found)


def by_effect(quotas: Iterable[CompiledQuota], effect: OnExceed) -> tuple[CompiledQuota, ...]:
    """Return the quotas with this `onExceed`."""
    return tuple([quota for quota in quotas if quota.on_exceed == effect])


def tasks_of(
    spec: WorkflowSpec, namespace: str, quotas: Sequence[CompiledQuota], snapshot: Snapshot
) -> Tasks:
    """Return a Workflow's weight in tasks: its own `spec.parallelism`, else its template's, else the default.

    With none of them it is unbounded, which is a fault where a task limit applies. A value above the
    smallest cap, or below 1 (Argo would start nothing), is a fault too.
    """
    own = spec.parallelism
    written = own if own is not None else _template_parallelism(spec, namespace, snapshot)
    defaults = [quota.default_tasks for quota in quotas if quota.default_tasks is not None]
    if written is None and defaults:
        default = Amount(min(defaults)).tightest(_cap(quotas))
        return Tasks(default, injected=default.value)
    if written is None:
        return Tasks(UNLIMITED, faults=tuple(_unbounded(quotas)))
    return Tasks(Amount(max(written, 0)), faults=tuple(_out_of_bounds(written, quotas)))


def _template_parallelism(spec: WorkflowSpec, namespace: str, snapshot: Snapshot) -> int | None:
    ref = spec.workflow_template_ref
    template = snapshot.template(namespace, ref) if ref is not None else None
    return template.parallelism if template is not None else None


def _unbounded(quotas: Sequence[CompiledQuota]) -> Iterable[Reason]:
    for quota in quotas:
        if quota.on_exceed == OnExceed.WARN:
            continue
        if quota.limits.bounds_tasks or quota.per_user.bounds_tasks:
            limit = quota.limits.tasks.tightest(quota.per_user.tasks)
            message = (
                f"is not set, and {quota.source} limits tasks to {limit}: set it to the number of tasks that "
                f"may run at once, at most {limit.tightest(_cap(quotas))}"
            )
            yield Reason(Code.UNBOUNDED_TASKS, PARALLELISM, message, quota.source)


def _out_of_bounds(written: int, quotas: Sequence[CompiledQuota]) -> Iterable[Reason]:
    for quota in quotas:
        if quota.max_tasks is not None and written > quota.max_tasks:
            message = f"{written} is above the cap of {quota.max_tasks} tasks of one Workflow: lower it"
            yield Reason(Code.TASKS_ABOVE_CAP, PARALLELISM, message, quota.source)
        elif written < 1 and (
            quota.limits.bounds_tasks or quota.per_user.bounds_tasks or quota.max_tasks is not None
        ):
            message = f"{written} lets Argo start no task at all: set it to 1 or more"
            yield Reason(Code.TASKS_ABOVE_CAP, PARALLELISM, message, quota.source)


def _cap(quotas: Sequence[CompiledQuota]) -> Amount:
    caps = [quota.max_tasks for quota in quotas if quota.max_tasks is not None]
    return Amount(min(caps)) if caps else UNLIMITED


def charged(
    quotas: Sequence[CompiledQuota], user: str, weight: Usage, *, held: bool
) -> Mapping[Account, Usage]:
    """Return what a Workflow that exists is counted for.

    A live one counts everywhere; a held one nowhere, since its release asks every quota anew.
    """
    return {} if held else {demand.account: weight for demand in demands(quotas, user)}
