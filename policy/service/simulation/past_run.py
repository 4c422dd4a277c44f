"""One run of a history: what its creator wrote, when it was created, and how long each part of it took.

Times are seconds since 1970 with their fraction, as runs are sorted and stored by the hundred thousand.
"""

from typing import Final

import msgspec

UNKNOWN: Final = -1.0
LAST_TIME: Final = 7_258_118_400.0
"""The beginning of 2200: what is said to be later than that is an error."""


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """A part of a run, in which the same templates run at the same time: their references, and the seconds.

    The parts of a run follow each other. Where the history does not tell which templates ran, it is one part
    without any.
    """

    seconds: float
    templates: tuple[str, ...] = ()


class PastRun(msgspec.Struct, frozen=True, array_like=True):
    """A run as a history tells it.

    `manifest` is the Workflow as its creator wrote it, as JSON, without a status. `started` and `ended` are
    those of the history, `UNKNOWN` where it has none. `user` is who created it, "" where that is not known.
    `template` names what it is a run of: `kind/name` of a template, the CronWorkflow, or the name without its
    random end. `owner` is the uid of the Workflow that created it. One that `runs_already` has its slot when
    a play begins.
    """

    created: float
    namespace: str
    name: str
    uid: str
    user: str
    template: str
    stretches: tuple[Stretch, ...]
    manifest: bytes
    started: float = UNKNOWN
    ended: float = UNKNOWN
    phase: str = ""
    owner: str = ""
    runs_already: bool = False

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return sum(each.seconds for each in self.stretches)

    @property
    def waited(self) -> float | None:
        """How long it waited in the history, None where that is not told."""
        return None if self.started < 0 else max(0.0, self.started - self.created)
