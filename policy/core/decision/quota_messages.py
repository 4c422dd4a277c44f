"""The sentences about limits: which limit, its usage, what was requested, and what the user can do next."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason, ReservationRequest
from policy.core.objects.well_known import HOLD_VALUE
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Shortfall, share_shortfalls, shortfalls
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import ZERO, Amount, Limits, Usage

_PARALLELISM: Final = "spec.parallelism"
MAX_REASONS: Final = 10
"""Reasons shown in one message; the API server and terminals cut longer ones."""

_MOST_HOLDERS: Final = 3
"""Names of Workflows that a message shows."""

SEEN_BY_ARGO: Final = f"the argo CLI sees it with --instanceid {HOLD_VALUE}"
"""What is said of a Workflow that waits: without the option argo calls it one of another controller."""


class ShortResource(msgspec.Struct, frozen=True):
    """A resource ("workflows" or "tasks") of which a limit has not enough left."""

    name: str
    requested: int | Amount
    used: int | Amount
    limit: Amount


def short_resources(limits: Limits, used: Usage, requested: Usage) -> list[ShortResource]:
    """Return the resources of which limits do not admit what is requested on top of what is used."""
    total, found = used + requested, []
    if not limits.workflows.covers(total.workflows):
        found.append(ShortResource("workflows", requested.workflows, used.workflows, limits.workflows))
    if not Limits(tasks=limits.tasks).admits(total):
        found.append(ShortResource("tasks", requested.task_amount, used.task_amount, limits.tasks))
    return found


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
    rows = short_resources(short.demand.limits, short.used, short.requested)
    used = ",".join(f"{each.name}={each.used}" for each in rows)
    name = short.demand.source.partition(" ")[2]
    text = f"exceeded quota: {name}, requested: {_requested(rows)}, used: {used}, limited: {_limited(rows)}"
    if short.never_fits:
        return f"{text}. It can never fit: {_shrink(short)}"
    if short.must_rise:
        return f"{text}. It fits only when {short.demand.rises}{_up_to(short)}{_opens(short)}"
    if on_exceed is OnExceed.DENY and short.demand.account.group:
        return f"{text}. {of_holders(short.holders)}: try again when that has ended"
    if on_exceed is OnExceed.DENY:
        return f"{text}. Try again when a running Workflow has ended, or ask for a higher limit"
    return text


def of_holders(names: Sequence[str]) -> str:
    """Return who uses the key of a group, as the beginning of a sentence."""
    shown = " and ".join(names[:_MOST_HOLDERS]) or "Another Workflow"
    more = len(names) - _MOST_HOLDERS
    who = f"{shown} and {more} more" if more > 0 else shown
    return f"{who} {'has' if len(names) <= 1 else 'have'} this key"


def exceeded_reason(short: Shortfall) -> Reason:
    """Return the reason of a denial by a limit."""
    code = Code.GROUP_BUSY if short.demand.account.group else Code.EXCEEDED_QUOTA
    return Reason(code, "", exceeded(short, OnExceed.DENY), short.demand.source)


def shortage(wanted: ReservationRequest, used: Mapping[Account, Usage]) -> tuple[Reason, ...]:
    """Return why the ledger would not admit what is to be reserved, where so much is used."""
    found = shortfalls(used, wanted.requested, wanted.demands)
    if wanted.share is not None:
        found += share_shortfalls(used, wanted.requested, wanted.share)
    return tuple(exceeded_reason(each) for each in found)


def never_fits(short: Shortfall) -> str:
    """Return the warning for a Workflow that is queued and that present policies never release."""
    rows = short_resources(short.demand.most, ZERO, short.requested)
    needs = f"it needs {_requested(rows)} and {short.demand.source} allows {_limited(rows)}"
    return f"it can never start: {needs}; {_shrink(short)}"


def never_starts(short: Shortfall) -> Reason:
    """Return the same as a reason, with the field that is to be changed."""
    message = never_fits(short)
    field = _PARALLELISM if _PARALLELISM in message else ""
    return Reason(Code.EXCEEDS_MAX_QUOTA, field, message, short.demand.source)


def must_rise(short: Shortfall) -> str:
    """Return the warning for a Workflow that fits at another time, and not now, even if nothing else runs."""
    rows = short_resources(short.demand.limits, ZERO, short.requested)
    needs = f"it needs {_requested(rows)} and {short.demand.source} allows {_limited(rows)} now"
    return f"{needs}: it starts only when {short.demand.rises}{_up_to(short)}{_opens(short)}"


def _up_to(short: Shortfall) -> str:
    """Return the highest limits at any time, of the resources that are above the limits of now."""
    rows = short_resources(short.demand.limits, ZERO, short.requested)
    most = ",".join(f"{each.name}={getattr(short.demand.most, each.name)}" for each in rows)
    return f" (up to {most})" if most else ""


def _opens(short: Shortfall) -> str:
    """Return when a window allows it next, where that is known."""
    return f"; {short.demand.opens}" if short.demand.opens else ""


def _requested(rows: Iterable[ShortResource]) -> str:
    return ",".join(f"{each.name}={each.requested}" for each in rows)


def _limited(rows: Iterable[ShortResource]) -> str:
    return ",".join(f"{each.name}={each.limit}" for each in rows)


def _shrink(short: Shortfall) -> str:
    """Return what to change where a limit can never admit a Workflow."""
    limits = short.demand.most
    if not limits.workflows.covers(short.requested.workflows):
        return "the limit is 0, nothing may run until it is raised"
    if not limits.tasks.covers(1):
        return "the limit on tasks is 0, nothing may run until it is raised"
    return f"set {_PARALLELISM} to {limits.tasks} or less"


def queue_message(
    namespace: str,
    quotas: Sequence[CompiledQuota],
    view: UsageView,
    now: datetime,
    *,
    position: int,
    depth: int,
    about: bool = False,
) -> str:
    """Return the text on a held Workflow: its position, and the usage of the limit with the least left.

    Where the position is an estimate (`about`), so is the usage, and it is not shown.
    """
    if about:
        return f"about position {position} of {depth} in {namespace}"
    return f"position {position} of {depth} in {namespace}{fill(quotas, view, now)}"


def fill(quotas: Iterable[CompiledQuota], view: UsageView, now: datetime) -> str:
    """Return ` (10/10 running)` for the limit on Workflows with the least free capacity, or nothing.

    That of a pool names it: in the namespace itself there may be none that runs.
    A share of a pool that borrows is no limit: the pool may allow more than the share, or less.
    """
    tightest: tuple[int, str] | None = None
    for quota in quotas:
        limit = (quota.constant or quota.limits_at(now)).workflows
        if limit.value is None or quota.is_share:
            continue
        running = view.used.get(quota.account, ZERO).workflows
        where = "" if quota.account.namespace else f" in pool {quota.account.quota}"
        candidate = (limit.value - running, f" ({running}/{limit.value} running{where})")
        tightest = candidate if tightest is None or candidate < tightest else tightest
    return tightest[1] if tightest else ""
