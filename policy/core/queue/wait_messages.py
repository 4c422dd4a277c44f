"""The sentences about waiting: why a Workflow waits or may not join the queue, and what the user can do."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from policy.core.argo_types.decodability import TypeMismatch
from policy.core.decision import quota_messages
from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.positions import Position, WaitReason
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.demands import Shortfall
from policy.core.values.durations import written

NOT_LOOKED_AT: Final = "it bypassed the webhook, and was not checked yet"
_RETRY_LATER: Final = "try again when the queue is shorter, or ask for a higher spec.queue.maxLength"


def reason(position: Position, rules: QueueRules) -> str:
    """Return why a Workflow waits and what to do about it; `rules` are those of its namespace."""
    waiter, short = position.waiter, position.short
    match position.reason:
        case WaitReason.MISCONFIGURED:
            text = f"it is not released: {waiter.fault}"
        case WaitReason.ON_HOLD if waiter.on_hold:
            resume = f"lockkeeper resume {waiter.name} -n {waiter.namespace}"
            text = f"it is on hold (annotation lockkeeper.dev/on-hold); {resume} ends that"
        case WaitReason.ON_HOLD:
            text = on_hold(waiter.namespace, rules)
        case WaitReason.EXCEEDS_MAX_QUOTA:
            text = quota_messages.never_fits(short[0])
        case WaitReason.WAITING_FOR_QUOTA if short[0].must_rise:
            text = quota_messages.must_rise(short[0])
        case WaitReason.WAITING_FOR_QUOTA:
            text = f"waits for {_missing(short[0])}; it starts when enough of what runs has ended"
        case WaitReason.WAITING_FOR_GROUP:
            text = f"waits for {_missing(short[0])}: {_who_has(short[0])}"
        case WaitReason.WAITING_FOR_HIGHER_PRIORITY if short:
            text = (
                f"waits for {_missing(short[0])}; the rest is reserved for higher priorities than "
                f"{waiter.priority}, so raise spec.priority or wait until more of what runs has ended"
            )
        case WaitReason.WAITING_FOR_HIGHER_PRIORITY:
            text = f"there is room, but others that wait go first; {_how_to_advance(rules)}"
        case _:
            text = "it is being released"
    return text


def undecodable(mismatches: Sequence[TypeMismatch]) -> str:
    """Return why a Workflow that Argo cannot decode is not released, and how to correct it."""
    first = mismatches[0]
    more = f", and {len(mismatches) - 1} more" if len(mismatches) > 1 else ""
    return (
        f"{first.path}: {first.message}{more}. Argo cannot decode such a Workflow, and its controller would "
        "stop for everybody: correct it with kubectl edit, or delete it"
    )


def refusal(namespace: str, depth: int, rules: QueueRules) -> str | None:
    """Return why a new Workflow may not join a queue of this depth (code 429), None where it may."""
    if rules.stop_policy is StopPolicy.HOLD_AND_DRAIN:
        return on_hold(namespace, rules)
    if rules.max_length is not None and depth >= rules.max_length:
        return f"the queue of {namespace} is full: {depth} wait, {rules.max_length} may; {_RETRY_LATER}"
    return None


def waited_too_long(namespace: str, waited: timedelta, longest: timedelta) -> str:
    """Return the message of a Workflow that is failed because it was not released in time."""
    return (
        f"lockkeeper: it waited {written(waited)} in {namespace} and did not start: spec.queue.maxWait is "
        f"{written(longest)}. Submit it again, or ask for a higher limit"
    )


def ended_by_request(how: str, namespace: str, *, retried: bool) -> str:
    """Return the message of a Workflow that was `stopped` or `deleted` while it waited.

    A retry has run before; its exit handler ran then.
    """
    ran = "it did not run again" if retried else "nothing of it ran, and its exit handler did not run either"
    return f"lockkeeper: it was {how} while it waited in {namespace}: {ran}"


def superseded(by: str, group: str, key: str) -> str:
    """Return the message of a Workflow that ends in the queue because a newer one of its key is there."""
    return (
        f"lockkeeper: superseded by {by}, which is newer and has the same key {key} ({group}): it never ran"
    )


def cancelled(how: str, by: str, group: str, key: str) -> str:
    """Return the message of an event: a running Workflow is asked to end for a newer one of its key."""
    why = f"superseded by {by}, which is newer and has the same key {key} ({group})"
    return f"{why}: spec.shutdown is set to {how}"


def on_hold(namespace: str, rules: QueueRules) -> str:
    """Return the sentence for a queue that releases nothing."""
    drained = rules.stop_policy is StopPolicy.HOLD_AND_DRAIN
    what = "nothing starts, and nothing new may queue" if drained else "nothing starts"
    by, its = (f"by {rules.stopped_by} ", "its ") if rules.stopped_by else ("", "")
    return f"{namespace} is on hold {by}({rules.stop_policy}): {what} until {its}spec.stopPolicy is None"


def _how_to_advance(rules: QueueRules) -> str:
    """Return what moves a Workflow forward in the queue that waits because of its priority alone."""
    if rules.aging is None:
        return "a higher spec.priority brings it forward"
    return (
        f"it passes more of the priorities above its own with every {written(rules.aging)} that it waits, "
        "and a higher spec.priority brings it forward at once"
    )


def _missing(short: Shortfall) -> str:
    """Return what is missing: `room in WorkflowQuota team-a/main (tasks: 5 needed, 18 of 20 used)`."""
    rows = quota_messages.short_resources(short.demand.limits, short.used, short.requested)
    parts = [f"{each.name}: {each.requested} needed, {each.used} of {each.limit} used" for each in rows]
    return f"room in {short.demand.source} ({'; '.join(parts)})"


def _who_has(short: Shortfall) -> str:
    """Return who uses the key of a group, and when it is free."""
    who = quota_messages.of_holders(short.holders)
    return f"{who if short.holders else who[0].lower() + who[1:]}; it starts when that has ended"
