"""What a review holds locks to: the policies that speak, and what it has found out about them so far."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from policy.core.budget import UNBOUNDED, Budget
from policy.core.decision import Reason
from policy.core.kinds import CrossNamespace
from policy.core.locks.policies import LockPolicies
from policy.core.locks.rules import CompiledLockPolicy, refuses_singular
from policy.core.problems import nearest

MAX_FAULTS: Final = 100
"""Faults of locks that are looked for; a message shows ten, and looking for thousands would take seconds."""
MOST_HINTS: Final = 10
"""References of one review for which a near key is looked for; a message shows ten reasons."""


Hints: TypeAlias = dict[tuple[str, str], str]
"""Near keys by ConfigMap and the key that was asked for, "" where none is near."""


class Rulebook(msgspec.Struct, frozen=True):
    """What is checked, and by the word of which policies.

    With `lenient`, a ConfigMap that is not known at all may be in the cluster. With `discreet`, what is said
    is for people outside of the namespace, and tells nothing of what stands in its ConfigMaps. `hints` and
    `rule_faults` keep what was found out, so that it is found out once a review; `budget` is its time.
    """

    locks: LockPolicies
    policies: Sequence[CompiledLockPolicy]
    lenient: bool = False
    discreet: bool = False
    hints: Hints = {}
    rule_faults: dict[str, tuple[Reason, ...]] = {}
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
        denying = (each for each in self.policies if each.cross_namespace is CrossNamespace.DENY)
        return next(denying, None)

    def near(self, config_map: str, key: str, known: Sequence[str]) -> str:
        """Return the known key of an own ConfigMap that was meant by another, for the first few that ask."""
        found = self.hints.get((config_map, key))
        if found is None and len(self.hints) < MOST_HINTS:
            found = self.hints[config_map, key] = nearest(key, known)
        return found or ""
