"""Which policies apply to the locks of one review, and what that review has found out about them so far."""

from collections.abc import Sequence
from typing import Final

import msgspec

from policy.core.decision.decision import Reason
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy, refuses_singular
from policy.core.objects.workflow import Metadata
from policy.core.policy_kinds.kinds import CrossNamespace
from policy.core.values.budget import UNBOUNDED, Budget
from policy.core.values.memo import Memo
from policy.core.values.problems import Hints

LABELS: Final = "workflow.labels."
ANNOTATIONS: Final = "workflow.annotations."
MAX_FAULTS: Final = 100
"""Faults of locks that are looked for; a message shows ten, and looking for thousands would take seconds."""


def marks_of(metadata: Metadata) -> frozenset[str]:
    """Return the tags of the labels and annotations of a Workflow."""
    labels = (f"{LABELS}{key}" for key in metadata.labels or ())
    return frozenset((*labels, *(f"{ANNOTATIONS}{key}" for key in metadata.annotations or ())))


class LockFindings(msgspec.Struct, frozen=True):
    """Reasons to refuse an object for its locks, and warnings."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()


NO_FINDINGS: Final = LockFindings()


class Rulebook(msgspec.Struct, frozen=True):
    """The lock policies of a namespace, and those of them (`policies`) that apply to the reviewed object.

    With `lenient`, a ConfigMap that is not known at all may be in the cluster. With `discreet`, messages are
    for people outside of the namespace, and tell nothing of the contents of its ConfigMaps. `hints` and
    `faults` store what was found out, the faults for each lock that a rule writes; `budget` is the time.
    `marks` are the labels and annotations that a Workflow has, as tags name them; None where unknown.
    """

    locks: LockPolicies
    policies: Sequence[CompiledLockPolicy]
    lenient: bool = False
    discreet: bool = False
    hints: Hints = msgspec.field(default_factory=Hints)
    faults: Memo[str, tuple[Reason, ...]] = msgspec.field(default_factory=Memo)
    budget: Budget = UNBOUNDED
    marks: frozenset[str] | None = None

    @property
    def refuses_singular(self) -> bool:
        """Whether a policy refuses the single form."""
        return self.locks.refuses_singular and refuses_singular(self.policies)

    @property
    def converts_singular(self) -> bool:
        """Whether single locks are written as lists: Argo drops them, and no policy refuses them."""
        return self.locks.drops_singular and not self.refuses_singular

    @property
    def source(self) -> str:
        """The policy that faults of form and place are reported under."""
        return self.policies[0].source

    @property
    def closed_by(self) -> CompiledLockPolicy | None:
        """The policy that denies locks of other namespaces, if one does."""
        denying = (each for each in self.policies if each.validation.cross_namespace is CrossNamespace.DENY)
        return next(denying, None)
