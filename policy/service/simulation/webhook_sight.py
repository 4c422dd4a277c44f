"""What a webhook sees of a root: what the leader published last, and the ledger with what creates reserve.

It matters where that decides who is admitted: under quotas that deny, and where a queue has a `maxLength`.
Elsewhere no copy of it is made.
"""

import msgspec

from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.ledger import Ledger
from policy.service.simulation.lone_root import LoneRoot


class WebhookSight:
    """One root as it was after the last pass; `ledger` is replaced when a create reserves there."""

    __slots__ = ("ledger", "usage")

    def __init__(self, state: LoneRoot) -> None:
        self.usage = msgspec.structs.replace(state.view(), live=True)
        self.ledger = Ledger(state.root, used=self.usage.used)


def sight_matters(state: LoneRoot) -> bool:
    """Return whether what a webhook sees of a root decides who is admitted there."""
    policies = [state.policies(each) for each in state.namespaces]
    return any(
        each.rules.max_length is not None or any(one.on_exceed is OnExceed.DENY for one in each.quotas)
        for each in policies
    )
