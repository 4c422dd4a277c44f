"""The whole outcome of `simulate`: the stable form of `-o json` (docs/planning.md)."""

from typing import Final

import msgspec

from lockkeeper.histories.history import HistoryFacts
from lockkeeper.simulation.comparison import Comparison
from lockkeeper.simulation.starts import WaitingStart
from policy.service.simulation.result import PolicyResult

FORM: Final = "lockkeeper.dev/simulation/v1"


class SimulationOutcome(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a history comes to under one set of policies, or under two, with what is different for whom.

    `starts` are those of Workflows that wait in a cluster now. With two sets `result` is that of the proposed
    ones, and `before` that of the present ones.
    """

    form: str = FORM
    history: HistoryFacts
    sentences: tuple[str, ...]
    result: PolicyResult
    before: PolicyResult | None = None
    comparison: Comparison | None = None
    starts: tuple[WaitingStart, ...] = ()
