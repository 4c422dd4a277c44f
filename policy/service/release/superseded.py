"""Which Workflows a newer one of the same key supersedes, in groups with KeepNewest or CancelRunning.

Of those that wait under a key, the newest stays and the others end without ever having run. With
CancelRunning so many of those that run are asked to end, the oldest first, that the newest has room once they
have ended; it starts then and not before. One that is on hold, by its user or by a quota, or that can never
start supersedes nobody.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from policy.core.policy_kinds.quota_parts import CancelBy, OnExceed, StopPolicy, WhenBusy
from policy.core.queue.planner import Planner
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import ZERO
from policy.service.tracking.tracked import Tracked

_SUPERSEDING = frozenset({WhenBusy.KEEP_NEWEST, WhenBusy.CANCEL_RUNNING})


class Superseded(msgspec.Struct, frozen=True):
    """A Workflow that the one of the name `by` supersedes; where it runs, how it is to be asked to end."""

    workflow: Tracked
    by: str
    group: str
    key: str
    cancel: CancelBy | None = None


class SupersedingGroups:
    """Those that wait and those that run under each key of such groups, folded change by change."""

    __slots__ = ("_changed", "_groups", "_members")

    def __init__(self, quotas: Iterable[CompiledQuota]) -> None:
        self._groups: Mapping[Account, CompiledQuota] = {
            each.account: each
            for each in quotas
            if each.group is not None
            and each.group.when_busy in _SUPERSEDING
            and each.on_exceed is not OnExceed.WARN
        }
        self._members: dict[Account, dict[str, Tracked]] = {}
        self._changed: dict[Account, None] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def left(self, workflow: Tracked, accounts: Iterable[Account]) -> None:
        """Forget a Workflow as it was."""
        for account in self._keys(accounts):
            members = self._members.get(account, {})
            members.pop(workflow.uid, None)
            if not members:
                self._members.pop(account, None)

    def came(self, workflow: Tracked, accounts: Iterable[Account]) -> None:
        """Note a Workflow that waits or runs now."""
        for account in self._keys(accounts):
            self._members.setdefault(account, {})[workflow.uid] = workflow
            self._changed[account] = None

    def look_again(self) -> None:
        """Look at every key again: under other limits one may start that could not before."""
        self._changed.update(dict.fromkeys(self._members))

    def superseded(
        self, planner: Planner, quotas_of: Callable[[Tracked], Iterable[CompiledQuota]]
    ) -> list[Superseded]:
        """Return those that are superseded, under keys that changed since a call that found none.

        The planner knows what counts on each account, and who waits and is not being released.
        """
        found: list[Superseded] = []
        for account in list(self._changed):
            of_key = list(self._of_key(account, planner, quotas_of))
            found += of_key
            if not of_key:
                del self._changed[account]
        return found

    def _of_key(
        self, account: Account, planner: Planner, quotas_of: Callable[[Tracked], Iterable[CompiledQuota]]
    ) -> Iterator[Superseded]:
        quota, members = self._groups[account.whole], self._members.get(account, {})
        used = planner.headroom.used.get(account, ZERO)
        waiting = [each for each in members.values() if planner.pending.get(each.uid) is not None]
        able = [each for each in waiting if _may_start(each, planner, quotas_of(each))]
        if not able or quota.group is None:
            return
        newest = max(able, key=_age)
        for each in sorted(waiting, key=_age):
            if _age(each) < _age(newest):
                yield Superseded(each, newest.name, quota.source, account.key)
        if quota.group.when_busy is not WhenBusy.CANCEL_RUNNING:
            return
        for each in sorted((one for one in members.values() if not one.held), key=_age):
            if quota.per_user.admits(used + newest.weight) or _age(each) > _age(newest):
                return
            used -= each.weight
            yield Superseded(each, newest.name, quota.source, account.key, quota.group.cancel)

    def _keys(self, accounts: Iterable[Account]) -> list[Account]:
        return [each for each in accounts if each.key and each.whole in self._groups]


def _may_start(one: Tracked, planner: Planner, quotas: Iterable[CompiledQuota]) -> bool:
    """Return whether one that waits starts as it is, once enough has ended: neither on hold nor too large."""
    waiter, pending = planner.pending.get(one.uid), planner.pending
    if waiter is None or waiter.stands_aside:
        return False
    stopped = pending.rules(one.namespace).stop_policy is not StopPolicy.NONE
    if stopped or any(quota.stops_its_own for quota in quotas):
        return False
    return not any(True for _ in planner.headroom.never_fitting(waiter.needs))


def _age(workflow: Tracked) -> tuple[int, str]:
    """Return the place of a Workflow in the order of creation."""
    return workflow.order, workflow.uid
