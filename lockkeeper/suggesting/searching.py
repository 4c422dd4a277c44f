"""The order of a search: the present, each way, the one that costs least, other waits, other histories."""

from collections.abc import Sequence
from typing import Final

import msgspec

from lockkeeper.suggesting.rounds import PlayedWhatIfs, what_if
from lockkeeper.suggesting.strategies.busy_hours import busy_hours
from lockkeeper.suggesting.strategies.settings import Values, limit_settings
from lockkeeper.suggesting.strategies.smallest_settings import BudgetSpentError, Found, smallest
from lockkeeper.suggesting.strategies.wanted_waits import (
    NO_WAITS,
    AllWaits,
    WaitRequirement,
    WantedWait,
    kept_waits,
    waits_of,
)
from lockkeeper.suggesting.strategies.ways import (
    Way,
    WayKind,
    both_way,
    limits_way,
    shares_way,
    window_ways,
    zone_of,
)
from lockkeeper.suggesting.suggestion import (
    ChangedSetting,
    OtherWaits,
    RedrawnWaits,
    TradeOff,
    TriedSettings,
    WayOutcome,
)
from lockkeeper.suggesting.what_if import PolicyWhatIf, Runs, played_waits
from policy.core.policies.snapshot import Snapshot

_TIMES: Final = (0.25, 0.5, 2.0, 4.0)
"""How many times as long as wanted the other waits of the trade-off curve are."""
MOST_DRAWN: Final = 500
"""Histories that are drawn anew for each row of the trade-off at most."""
_ORDER: Final = tuple(WayKind)
_AT_PRESENT: Final = PolicyWhatIf()


class Asked(msgspec.Struct, frozen=True):
    """What is asked for: waits, ways to meet them, and whether others of the pools wait no longer."""

    wanted: tuple[WantedWait, ...]
    kinds: frozenset[WayKind]
    keep_others: bool = True

    @property
    def namespaces(self) -> list[str]:
        """The namespaces of the waits."""
        return sorted({each.namespace for each in self.wanted})


class Ended(msgspec.Struct, frozen=True):
    """How a search for one way ended."""

    way: Way
    found: Found


class Searching:
    """One search; `run` goes through it, and the rest tells what came of it."""

    def __init__(
        self,
        *,
        asked: Asked,
        snapshot: Snapshot,
        runs: Runs,
        what_ifs: PlayedWhatIfs,
        span: tuple[float, float],
        most_drawn: int = MOST_DRAWN,
    ) -> None:
        self._asked = asked
        self._snapshot = snapshot
        self._runs = runs
        self._what_ifs = what_ifs
        self._span = span
        self._most_drawn = most_drawn
        self._waited: list[tuple[float, float]] = []
        self.present: AllWaits = {}
        self.requirement = WaitRequirement(asked.wanted)
        self.ended: list[Ended] = []
        self.best: Ended | None = None
        self.loosest: tuple[Way, Values] | None = None
        self.loosest_waits: AllWaits = {}

    def run(self) -> None:
        """Search in each way, and choose."""
        self._play_present()
        namespaces = self._asked.namespaces
        limits, both = limits_way(self._snapshot, namespaces), both_way(self._snapshot, namespaces)
        self._require([each for each in (limits, both) if each is not None])
        ways = [way for way in self._ways(limits) if way.kind in self._asked.kinds]
        self._search(ways)
        none = all(each.found.values is None for each in self.ended)
        if none and both is not None and {WayKind.LIMITS, WayKind.SHARES} <= self._asked.kinds:
            self._search([both])
        done = [each for each in self.ended if each.found.values is not None]
        self.best = min(done, key=_cost, default=None)

    @property
    def met_at_present(self) -> bool:
        """Whether the waits are met already."""
        return self.requirement.met(self.present)

    @property
    def played(self) -> int:
        """How many what-ifs were played."""
        return len(self._what_ifs.known)

    # The steps.

    def _play_present(self) -> None:
        namespaces = set(self._asked.namespaces)

        def note(namespace: str, since: float, until: float) -> None:
            if namespace in namespaces:
                self._waited.append((since, until))

        self.present = played_waits(self._runs, self._snapshot, waited=note)
        self._what_ifs.known[_AT_PRESENT] = self.present

    def _require(self, ways: Sequence[Way]) -> None:
        """Find who never starts whatever the limits are, and what others are to keep."""
        loosest = [what_if(way, way.highest) for way in ways]
        found = [self.present, *(each for each in self._what_ifs.answers(loosest) if each is not None)]
        if ways:
            self.loosest, self.loosest_waits = (ways[-1], ways[-1].highest), found[-1]
        namespaces = self._asked.namespaces
        lost = {name: min(each.get(name, NO_WAITS).lost for each in found) for name in namespaces}
        kept = kept_waits(self.present, self._others()) if self._asked.keep_others else {}
        self.requirement = WaitRequirement(self._asked.wanted, kept, lost)

    def _ways(self, limits: Way | None) -> list[Way]:
        found = [] if limits is None else [limits]
        if self.met_at_present:
            return found
        namespaces = self._asked.namespaces
        shares = shares_way(self._snapshot, namespaces)
        found += [] if shares is None else [shares]
        busy = busy_hours(self._waited, zone_of(self._snapshot, namespaces), self._span)
        return [*found, *window_ways(self._snapshot, namespaces, busy)]

    def _search(self, ways: Sequence[Way]) -> None:
        if not self.met_at_present:  # Who wants shorter waits has not asked for lower limits.
            ways = [msgspec.structs.replace(way, lowest=way.present) for way in ways]
        found = self._what_ifs.search([(way, smallest(way, self.requirement.met)) for way in ways])
        self.ended += [Ended(way, each) for way, each in zip(ways, found, strict=True)]

    def _others(self) -> list[str]:
        """Return the namespaces of the same pools that were not asked for."""
        named = set(self._asked.namespaces)
        pools = {self._snapshot.policies(each).pool for each in named} - {""}
        return sorted(
            each for each in self._runs.namespaces - named if self._snapshot.policies(each).pool in pools
        )

    # What came of it.

    def outcomes(self) -> tuple[WayOutcome, ...]:
        """Return what each way came to; of windows the one that costs least."""
        found = []
        for kind in _ORDER:
            of_kind = [each for each in self.ended if each.way.kind is kind]
            if of_kind:
                found.append(self.outcome(min(of_kind, key=_cost)))
        return tuple(found)

    def outcome(self, ended: Ended) -> WayOutcome:
        """Return what a way came to."""
        way, values = ended.way, ended.found.values
        shown = way.highest if values is None else values
        waits = self._waits(way, shown)
        return WayOutcome(
            way=way.kind.value,
            met=values is not None,
            finished=ended.found.finished,
            cost=round(way.cost(shown), 4) if values is not None else 0.0,
            settings=() if values is None else changed_settings(way, values),
            waits=waits_of(self._asked.wanted, waits),
            window=way.window,
            why=self._why(way, waits) if values is None and ended.found.finished else "",
        )

    def _why(self, way: Way, waits: AllWaits) -> str:
        """Return why a way does not do, even with its highest settings."""
        hurt = self.requirement.hurt(waits)
        if hurt:
            return f"{', '.join(hurt)} would wait for longer"
        fields = {key.field[0] for key in limit_settings(self._snapshot, self._asked.namespaces)}
        if way.kind is WayKind.WINDOWS and "perUser" in fields:
            return "not even the highest are enough; a window has no limits of users (perUser)"
        return "not even the highest are enough"

    def others(self) -> tuple[OtherWaits, ...]:
        """Return how long the others of the pools wait, before and after."""
        if self.best is None or self.best.found.values is None:
            return ()
        after = self._waits(self.best.way, self.best.found.values)
        return tuple(
            OtherWaits(each, self.present[each].figures.p95, after.get(each, NO_WAITS).figures.p95)
            for each in self._others()
            if each in self.present
        )

    def trade_off(self) -> tuple[TradeOff, ...]:
        """Return the smallest settings for shorter and longer waits, each tried on histories drawn anew."""
        best = self.best
        if best is None or best.found.values is None:
            return ()
        searches = [(best.way, smallest(best.way, self.requirement.times(each).met)) for each in _TIMES]
        found = self._what_ifs.search(searches)
        rows: dict[tuple[object, ...], tuple[float, Values]] = {}
        done = [
            (times, each.values)
            for times, each in zip(_TIMES, found, strict=True)
            if each.values is not None and each.finished
        ]
        for times, values in [(1.0, best.found.values), (0.0, best.way.present), *done]:
            rows.setdefault(best.way.changes(values), (times, values))
        ordered = sorted(rows.values(), key=lambda each: each[0])
        redrawn = self._redrawn(best.way, [values for _, values in ordered])
        return tuple(
            TradeOff(
                times,
                changed_settings(best.way, values),
                waits_of(self._asked.wanted, self._waits(best.way, values)),
                drawn,
            )
            for (times, values), drawn in zip(ordered, redrawn, strict=True)
        )

    def tried(self) -> tuple[TriedSettings, ...]:
        """Return all that was tried on the history itself."""
        return tuple(
            TriedSettings(
                window=each.window,
                changes={str(key): value for key, value in each.changes},
                waits=waits_of(self._asked.wanted, waits),
                met=self.requirement.met(waits),
            )
            for each, waits in self._what_ifs.known.items()
            if not each.drawing and waits is not None
        )

    def _redrawn(self, way: Way, rows: Sequence[Values]) -> list[RedrawnWaits | None]:
        """Return what comes of settings in histories that are drawn anew, as many as may still be played."""
        count = min(self._most_drawn, self._what_ifs.left // len(rows))
        if not count:
            return [None] * len(rows)
        self._what_ifs.goal = len(self._what_ifs.known) + count * len(rows)
        asked = [what_if(way, values, drawing) for values in rows for drawing in range(1, count + 1)]
        try:
            found = self._what_ifs.answers(asked)
        except BudgetSpentError:
            return [None] * len(rows)
        return [self._range(found[at * count : (at + 1) * count]) for at in range(len(rows))]

    def _range(self, played: Sequence[AllWaits | None]) -> RedrawnWaits:
        waits = [each for each in played if each is not None]
        each_wanted = list(zip(*(waits_of(self._asked.wanted, each) for each in waits), strict=True))
        alone = msgspec.structs.replace(self.requirement, kept={})
        return RedrawnWaits(
            histories=len(waits),
            met=sum(alone.met(each) for each in waits),
            lowest=tuple(map(min, each_wanted)),
            highest=tuple(map(max, each_wanted)),
        )

    def _waits(self, way: Way, values: Values) -> AllWaits:
        return self._what_ifs.known.get(what_if(way, values)) or {}


def changed_settings(way: Way, values: Values) -> tuple[ChangedSetting, ...]:
    """Return all settings of a way, at present and as suggested."""
    return tuple(
        ChangedSetting(str(key.policy), ".".join(key.field), way.present[key], value)
        for key, value in sorted(values.items())
    )


def _cost(ended: Ended) -> tuple[bool, float, int]:
    values = ended.found.values
    if values is None:
        return (True, 0.0, _ORDER.index(ended.way.kind))
    return (False, round(ended.way.cost(values), 6), _ORDER.index(ended.way.kind))
