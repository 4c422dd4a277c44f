"""The worlds that are checked, and what each planted bug needs to do its harm."""

from typing import Final

import msgspec

from tests.protocol.exploring import Explored, Explorer
from tests.protocol.rules import Bug, Model

SOUND: Final = (
    Model(queued=2, denied=1),
    Model(queued=1, denied=2),
    Model(queued=1, denied=1, retry=True, delete=True),
)
_WORLDS: Final = {
    Bug.NO_EPOCH: Model(queued=2, denied=0),
    Bug.LIST_BEFORE_FENCE: Model(queued=2, denied=0),
    Bug.PATCH_BEFORE_RESERVE: Model(queued=1, denied=1),
    Bug.CANCEL_RELEASE: Model(queued=2, denied=0),
    Bug.UNTESTED_PATCH: Model(queued=2, denied=0, retry=True),
    Bug.EXPIRE_WITHOUT_LIST: Model(queued=1, denied=1),
    Bug.EXPIRE_TOO_SOON: Model(queued=1, denied=1),
    Bug.SAME_ID: Model(queued=0, denied=2),
    Bug.BLIND_WRITE: Model(queued=0, denied=2),
    Bug.CANCEL_LATE: Model(queued=1, denied=1),
}
PLANTED: Final = {bug: msgspec.structs.replace(model, bug=bug) for bug, model in _WORLDS.items()}


def check(model: Model) -> Explored:
    """Explore a world whole, or as far as its first bad state."""
    explorer = Explorer(model.first(), model.moves)
    return explorer.run(bad=model.bad, good=model.good, may_be_stuck=model.may_be_stuck)
