"""How many keys of each group are in use, how many are at their limit, and how many Workflows wait for one.

The keys themselves are in no status and no metric: there may be any number of them.
"""

import msgspec

from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import ZERO, Limits, Usage


class GroupFigures(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of one group, as the status of its quota has them."""

    name: str
    keys_in_use: int = 0
    keys_at_limit: int = 0
    waiting: int = 0


class KeysInUse:
    """What the keys of groups use in one view, which is gone over once: when the first is asked for."""

    def __init__(self, view: UsageView) -> None:
        self._view = view
        self._used: dict[Account, list[Usage]] | None = None

    def of(self, group: CompiledQuota) -> GroupFigures:
        """Return the figures of a group, compiled as a quota of its own."""
        if self._used is None:
            self._used = {}
            for account, usage in self._view.used.items():
                if account.key and account.group and usage != ZERO:
                    self._used.setdefault(account.whole, []).append(usage)
        used = self._used.get(group.account, [])
        return GroupFigures(
            name=group.account.group,
            keys_in_use=len(used),
            keys_at_limit=sum(reached(group.per_user, each) for each in used),
            waiting=self._view.waits.keys.get(group.account, 0),
        )


def reached(limits: Limits, usage: Usage) -> bool:
    """Return whether nothing is left of a limit."""
    workflows, tasks = limits.workflows.value, limits.tasks.value
    return (workflows is not None and usage.workflows >= workflows) or (
        tasks is not None and usage.tasks >= tasks
    )
