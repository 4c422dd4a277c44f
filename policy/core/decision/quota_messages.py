"""Sentences for people: what, which object, limit, usage, request, and the next thing to do."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from policy.core.decision.decision import Code, Reason
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Shortfall
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import ZERO, Limits, Usage

MAX_REASONS: Final = 10
"""Reasons shown in one message; the API server and terminals cut longer ones."""


def denial(reasons: Sequence[Reason]) -> str:
    """Return the text of a denial: every reason with its policy and field, one a line."""
    lines = [_line(reason) for reason in reasons[:MAX_REASONS]]
    more = len(reasons) - MAX_REASONS
    if more > 0:
        lines.append(f"and {more} more")
    return "\n".join(lines)


def _line(reason: Reason) -> str:
    policy = f"[{reason.policy}] " if reason.policy else ""
    field = f"{reason.field}: " if reason.field else ""
    return f"{policy}{field}{reason.message}"


def exceeded(short: Shortfall, on_exceed: OnExceed) -> str:
    """Return the sentence for a limit that does not admit a Workflow.

    The first part has ResourceQuota's shape, which Argo and people match on (`isTransientErr` in
    util/errors/errors.go).
    """
    requested, used, limited = _columns(short.demand.limits, short.used, short.requested)
    name = short.demand.source.partition(" ")[2]
    text = f"exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
    if short.never_fits:
        return f"{text}. It can never fit: {_shrink(short)}"
    if short.must_rise:
        return f"{text}. It fits only when {short.demand.rises}{_up_to(short)}"
    if on_exceed is OnExceed.DENY:
        return f"{text}. Try again when a running Workflow has ended, or ask for a higher limit"
    return text


def exceeded_reason(short: Shortfall) -> Reason:
    """Return the reason of a denial by a limit."""
    return Reason(Code.EXCEEDED_QUOTA, "", exceeded(short, OnExceed.DENY), short.demand.source)


def never_fits(short: Shortfall) -> str:
    """Return the warning for a Workflow that is queued and that present policies never release."""
    requested, _, limited = _columns(short.demand.most, ZERO, short.requested)
    needs = f"it needs {requested} and {short.demand.source} allows {limited}"
    return f"it can never start: {needs}; {_shrink(short)}"


def must_rise(short: Shortfall) -> str:
    """Return the warning for a Workflow that fits at another time, and not now, even if nothing else runs."""
    requested, _, limited = _columns(short.demand.limits, ZERO, short.requested)
    needs = f"it needs {requested} and {short.demand.source} allows {limited} now"
    return f"{needs}: it starts only when {short.demand.rises}{_up_to(short)}"


def _up_to(short: Shortfall) -> str:
    """Return how much is allowed at the most, for what the limits of now do not allow."""
    _, _, most = _columns(short.demand.limits, ZERO, short.requested, shown=short.demand.most)
    return f" (up to {most})" if most else ""


def _columns(
    limits: Limits, used: Usage, weight: Usage, *, shown: Limits | None = None
) -> tuple[str, str, str]:
    """Return requested, used and limited for the resources that are short; of other limits if `shown`."""
    said = limits if shown is None else shown
    rows: list[tuple[str, str, str]] = []
    if not limits.workflows.covers(used.workflows + weight.workflows):
        rows.append(("workflows", str(weight.workflows), f"{used.workflows}|{said.workflows}"))
    if not Limits(tasks=limits.tasks).admits(used + weight):
        rows.append(("tasks", str(weight.task_amount), f"{used.task_amount}|{said.tasks}"))
    requested = ",".join(f"{name}={asked}" for name, asked, _ in rows)
    taken = ",".join(f"{name}={both.partition('|')[0]}" for name, _, both in rows)
    limited = ",".join(f"{name}={both.partition('|')[2]}" for name, _, both in rows)
    return requested, taken, limited


def _shrink(short: Shortfall) -> str:
    limits = short.demand.most
    if not limits.workflows.covers(short.requested.workflows):
        return "the limit is 0, nothing may run until it is raised"
    if not limits.tasks.covers(1):
        return "the limit on tasks is 0, nothing may run until it is raised"
    return f"set spec.parallelism to {limits.tasks} or less"


def queue_message(
    namespace: str,
    quotas: Sequence[CompiledQuota],
    view: UsageView,
    now: datetime,
    *,
    position: int,
    depth: int,
) -> str:
    """Return the sentence that a held Workflow carries: its position and how full the tightest limit is.

    Figures of statuses are some seconds old: they give the position approximately, and no more.
    """
    if view.partial:
        return f"about position {position} of {depth} in {namespace}"
    return f"position {position} of {depth} in {namespace}{fill(quotas, view, now)}"


def fill(quotas: Iterable[CompiledQuota], view: UsageView, now: datetime) -> str:
    """Return ` (10/10 running)` for the limit on Workflows with the least free capacity, or nothing.

    A share of a pool that borrows is no limit: the pool may give more than the quota says, or less.
    """
    tightest: tuple[int, str] | None = None
    for quota in quotas:
        limit = (quota.constant or quota.limits_at(now)).workflows
        if limit.value is None or quota.is_share:
            continue
        running = view.taken.get(quota.account, ZERO).workflows
        candidate = (limit.value - running, f" ({running}/{limit.value} running)")
        tightest = candidate if tightest is None or candidate < tightest else tightest
    return tightest[1] if tightest else ""
