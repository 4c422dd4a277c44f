"""What a search comes to: the form of `-o json` (docs/planning.md). Waits are seconds, null is no end."""

from collections.abc import Mapping
from typing import Final

import msgspec

from lockkeeper.suggesting.strategies.wanted_waits import WantedWait
from policy.core.policy_kinds.quota_parts import WindowSpec

FORM: Final = "lockkeeper.dev/suggestion/v1"


class ChangedSetting(msgspec.Struct, frozen=True, rename="camel"):
    """One number of a policy: `field` is where it is in the spec, a window by its name."""

    policy: str
    field: str
    present: int
    suggested: int

    @property
    def changed(self) -> bool:
        """Whether it is not as at present."""
        return self.present != self.suggested

    def __str__(self) -> str:
        return f"{self.policy} {self.field}"


class WayOutcome(msgspec.Struct, frozen=True, rename="camel"):
    """What one way comes to, and `why` it is not met; not `finished` where the what-ifs were used up."""

    way: str
    met: bool
    finished: bool
    cost: float
    settings: tuple[ChangedSetting, ...]
    waits: tuple[float, ...]
    window: WindowSpec | None = None
    why: str = ""


class RedrawnWaits(msgspec.Struct, frozen=True, rename="camel"):
    """The waits in histories that were drawn anew: lowest and highest, and in how many all are met."""

    histories: int
    met: int
    lowest: tuple[float, ...]
    highest: tuple[float, ...]


class TradeOff(msgspec.Struct, frozen=True, rename="camel"):
    """The smallest settings for waits that are `times` as long as wanted; 0 is the present."""

    times: float
    settings: tuple[ChangedSetting, ...]
    waits: tuple[float, ...]
    redrawn: RedrawnWaits | None = None


class OtherWaits(msgspec.Struct, frozen=True, rename="camel"):
    """How long a namespace waits that was not asked for, though it is in one of the pools: 95 of 100."""

    namespace: str
    before: float
    after: float


class TriedSettings(msgspec.Struct, frozen=True, rename="camel"):
    """One what-if: the changes, the waits, and whether all is met."""

    changes: Mapping[str, int]
    waits: tuple[float, ...]
    met: bool
    window: WindowSpec | None = None


class Suggestion(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The outcome; `way` is the one that is suggested, of all `ways` that were tried."""

    form: str = FORM
    met: bool
    met_at_present: bool
    wanted: tuple[WantedWait, ...]
    way: WayOutcome | None
    waits_before: tuple[float, ...]
    waits: tuple[float, ...]
    ways: tuple[WayOutcome, ...]
    trade_off: tuple[TradeOff, ...]
    others: tuple[OtherWaits, ...]
    why_not: tuple[str, ...]
    uncertain: tuple[str, ...]
    remarks: tuple[str, ...]
    what_ifs: int
    tried: tuple[TriedSettings, ...]
