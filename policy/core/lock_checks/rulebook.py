"""What a review holds locks to: the policies that speak, and what it has found out about them so far."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from policy.core.decision.decision import Reason
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy, refuses_singular
from policy.core.policy_kinds.kinds import CrossNamespace
from policy.core.values.budget import UNBOUNDED, Budget
from policy.core.values.problems import Hints

MAX_FAULTS: Final = 100
"""Faults of locks that are looked for; a message shows ten, and looking for thousands would take seconds."""


class RuleFaults(msgspec.Struct):
    """What one review has found wrong with the locks of rules; its rulebook owns it, and has few rules."""

    found: dict[str, tuple[Reason, ...]] = {}

    def get_or(self, lock: str, work_out: Callable[[], tuple[Reason, ...]]) -> tuple[Reason, ...]:
        """Return the faults of a lock, looked for at the first time."""
        if lock not in self.found:
            self.found[lock] = work_out()
        return self.found[lock]


class Rulebook(msgspec.Struct, frozen=True):
    """What is checked, and by the word of which policies.

    With `lenient`, a ConfigMap that is not known at all may be in the cluster. With `discreet`, what is said
    is for people outside of the namespace, and tells nothing of what stands in its ConfigMaps. `hints` and
    `faults` keep what was found out, so that it is found out once a review; `budget` is its time.
    """

    locks: LockPolicies
    policies: Sequence[CompiledLockPolicy]
    lenient: bool = False
    discreet: bool = False
    hints: Hints = msgspec.field(default_factory=Hints)
    faults: RuleFaults = msgspec.field(default_factory=RuleFaults)
    budget: Budget = UNBOUNDED

    @property
    def refuses_singular(self) -> bool:
        """Whether a policy refuses the single form."""
        return self.locks.refuses_singular and refuses_singular(self.policies)

    @property
    def source(self) -> str:
        """The policy that faults of form and place are reported under."""
        return self.policies[0].source

    @property
    def closed_by(self) -> CompiledLockPolicy | None:
        """The policy that keeps locks of other namespaces out, if one does."""
        denying = (each for each in self.policies if each.validation.cross_namespace is CrossNamespace.DENY)
        return next(denying, None)
