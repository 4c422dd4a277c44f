"""What is wrong with the groups of a quota: names, keys, limits, and what happens while a key is busy."""

import re
from collections.abc import Iterator
from typing import Final

from policy.core.objects.label_selectors import LabelSelector, Operator
from policy.core.policies.quota_part_checks import limits_problems
from policy.core.policy_kinds.quota_parts import (
    RESOURCES,
    CancelBy,
    GroupSpec,
    MissingPart,
    OnExceed,
    QuotaLimits,
    WhenBusy,
    WorkflowQuotaSpec,
)
from policy.core.quota.group_keys import KeyPart, key_problems, parse_key
from policy.core.quota.key_parts import PartSource
from policy.core.values.amounts import UNLIMITED_WORD
from policy.core.values.problems import Problem, too_many

MAX_GROUPS: Final = 16
_AS_LIMITS: Final = (WhenBusy.QUEUE, WhenBusy.REFUSE)
"""What limits do as well; only groups end what a newer Workflow supersedes, also where all have one key."""
_LONGEST_NAME: Final = 63
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def group_problems(spec: WorkflowQuotaSpec, path: str, *, of_pool: bool) -> Iterator[Problem]:
    """Yield what is wrong with the groups of a quota; those `of_pool` count in several namespaces."""
    where = f"{path}.groups"
    yield from too_many(spec.groups, MAX_GROUPS, where)
    seen: dict[str, int] = {}
    for index, group in enumerate(spec.groups[:MAX_GROUPS]):
        at = f"{where}[{index}]"
        first = seen.setdefault(group.name, index)
        if not _NAME.fullmatch(group.name):
            yield Problem(f"{at}.name", _no_name(group.name))
        elif first != index:
            yield Problem(f"{at}.name", f"{group.name!r} is the name of {where}[{first}] too")
        yield from _key(group, f"{at}.key", spec, of_pool=of_pool)
        yield from _limits(group.limits, f"{at}.limits")
        yield from _busy(group, at)
        if spec.on_exceed is OnExceed.WARN:
            yield from _beside_warn(group, at)


def _no_name(name: str) -> str:
    fix = f"use at most {_LONGEST_NAME} lower-case letters, digits and - between them"
    return (
        f"{name!r} is no name: {fix}" if len(name) <= _LONGEST_NAME else f"has {len(name)} characters: {fix}"
    )


def _key(group: GroupSpec, path: str, spec: WorkflowQuotaSpec, *, of_pool: bool) -> Iterator[Problem]:
    found = key_problems(group.key)
    for message in found:
        yield Problem(path, message)
    if found:
        return
    parts = parse_key(group.key).parts
    for part in parts:
        if part.source is PartSource.LABEL and _lacks(spec.selector, part.name):
            message = (
                f"has {{{{{part.tag}}}}}, a label that the selector keeps out, so that no Workflow has it"
            )
            yield Problem(path, f"{message}: use another part, or change the selector")
    if group.when_busy in _AS_LIMITS and all(
        _is_fixed(part, spec.selector, of_pool=of_pool) for part in parts
    ):
        of_what = "of the namespace" if spec.selector.selects_all else "that the quota selects"
        message = f"is the same for all Workflows {of_what}: give it another part, or use limits of the quota"
        yield Problem(path, message)


def _is_fixed(part: KeyPart, selector: LabelSelector, *, of_pool: bool) -> bool:
    """Return whether a part has one value for all Workflows of a quota."""
    if part.source is PartSource.LABEL:
        return part.name in selector.match_labels or any(
            each.key == part.name and each.operator is Operator.IN and len(set(each.values)) == 1
            for each in selector.match_expressions
        )
    return part.source is PartSource.NAMESPACE and not of_pool


def _lacks(selector: LabelSelector, label: str) -> bool:
    """Return whether no Workflow that is selected has a label."""
    return any(
        each.key == label and each.operator is Operator.DOES_NOT_EXIST for each in selector.match_expressions
    )


def _limits(limits: QuotaLimits, path: str) -> Iterator[Problem]:
    given = {name: amount for name in RESOURCES if isinstance(amount := getattr(limits, name), int)}
    if not given:
        yield Problem(
            path, "limit nothing: give workflows, tasks or both; without limits a key has 1 Workflow"
        )
    small = {name: amount for name, amount in given.items() if amount < 1}
    for name, amount in small.items():
        yield Problem(f"{path}.{name}", f"must be 1 or more, or {UNLIMITED_WORD}; got {amount}")
    if not small:
        yield from limits_problems(limits, path)


def _busy(group: GroupSpec, path: str) -> Iterator[Problem]:
    if group.cancel is CancelBy.STOP and group.when_busy is not WhenBusy.CANCEL_RUNNING:
        message = (
            f"stops nothing under whenBusy: {group.when_busy}: set whenBusy: {WhenBusy.CANCEL_RUNNING}, or"
        )
        yield Problem(f"{path}.cancel", f"{message} leave it out")


def _beside_warn(group: GroupSpec, path: str) -> Iterator[Problem]:
    """Yield what a group asks for that a quota does not do which lets everybody start."""
    fix = "leave it out, or set onExceed: Queue"
    if group.when_busy is not WhenBusy.QUEUE:
        message = f"{group.when_busy} does not go with onExceed: Warn, which lets every Workflow start: {fix}"
        yield Problem(f"{path}.whenBusy", message)
    if group.missing is MissingPart.DENY:
        message = f"{group.missing} does not go with onExceed: Warn, which refuses no Workflow: {fix}"
        yield Problem(f"{path}.missing", message)
