"""Bugs that can be planted: each breaks one rule of the protocol, and each is found (test_planted.py).

They live on this side alone: a part is made of a subclass or put behind a wrapper that forgets one thing.
"""

from typing import Final

from tests.simulation.bugs_of_accounts import (
    BoundlessRoot,
    LabelBelieved,
    LeftBehind,
    RootForEver,
    UncountedAccount,
)
from tests.simulation.bugs_of_groups import (
    EndsTooEarly,
    KeyLeftBehind,
    KeyRecomputed,
    KeyUnreserved,
)
from tests.simulation.bugs_of_leaders import (
    CancelRelease,
    ExpireTooSoon,
    ExpireWithoutList,
    ListBeforeFence,
    NeverExpire,
    NoEpoch,
    OldEvents,
    PatchBeforeReserve,
    ReleaseOnce,
)
from tests.simulation.bugs_of_reviews import DropsTogether, NoCancel, SameReservationId, TakesOver, UsedAlone
from tests.simulation.bugs_of_writes import BlindWrite, InstanceLost, PriorityIgnored, UntestedPatch
from tests.simulation.faithful import Faithful

PLANTED: Final[dict[str, type[Faithful]]] = {
    "no-epoch": NoEpoch,
    "list-before-fence": ListBeforeFence,
    "patch-before-reserve": PatchBeforeReserve,
    "cancel-release": CancelRelease,
    "untested-patch": UntestedPatch,
    "expire-without-list": ExpireWithoutList,
    "expire-too-soon": ExpireTooSoon,
    "never-expire": NeverExpire,
    "same-reservation-id": SameReservationId,
    "no-cancel": NoCancel,
    "used-alone": UsedAlone,
    "blind-write": BlindWrite,
    "instance-lost": InstanceLost,
    "old-events": OldEvents,
    "priority-ignored": PriorityIgnored,
    "release-once": ReleaseOnce,
    "uncounted-account": UncountedAccount,
    "left-behind": LeftBehind,
    "label-believed": LabelBelieved,
    "takes-over": TakesOver,
    "drops-together": DropsTogether,
    "boundless-line": BoundlessRoot,
    "root-for-ever": RootForEver,
    "key-unreserved": KeyUnreserved,
    "key-left-behind": KeyLeftBehind,
    "key-recomputed": KeyRecomputed,
    "ends-too-early": EndsTooEarly,
}
