"""What is not certain of a suggestion, in sentences: chance, few runs, and what the history does not tell."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from lockkeeper.histories.history import HistoryFacts
from lockkeeper.simulation.words import length
from lockkeeper.suggesting.strategies.wanted_waits import WantedWait
from lockkeeper.suggesting.suggestion import TradeOff
from lockkeeper.suggesting.suggestion_tables import told
from policy.core.policies.snapshot import Snapshot
from policy.service.simulation.result import GroupResult, PolicyResult

_SHARES: Final = {"median": 0.5, "p95": 0.95}
_FEW: Final = 5
_DIFFERENT: Final = 2.0
_MATTERS: Final = 600.0
_WEEK: Final = timedelta(days=7)
_SURE: Final = 0.9


def uncertainties(
    *,
    wanted: Sequence[WantedWait],
    present: PolicyResult,
    facts: HistoryFacts,
    trade_off: Sequence[TradeOff],
    drawn_by_seed: bool,
    snapshot: Snapshot,
) -> tuple[str, ...]:
    """Return what is not certain, what matters most first; `present` is the history at present."""
    found = list(_redrawn(wanted, trade_off, drawn_by_seed=drawn_by_seed))
    groups = {each.name: each for each in present.namespaces}
    for each in wanted:
        if each.namespace in groups:
            found += _few(each, groups[each.namespace])
    if not drawn_by_seed:
        for namespace in sorted({each.namespace for each in wanted} & groups.keys()):
            found += _hidden(groups[namespace])
    if facts.begin is not None and facts.end is not None and facts.end - facts.begin < _WEEK:
        span = length((facts.end - facts.begin).total_seconds())
        found.append(f"The history is {span} long: it does not have all days of a week.")
    if snapshot.lock_policies:
        found.append("Waits for locks are not in these waits: they begin when a Workflow has its slot.")
    found += [f"{each[:1].upper()}{each[1:]}." for each in present.notes if "follow nodes" in each]
    found.append(
        "Users are taken to create the same Workflows at the same times: where waits are shorter, more may "
        "come."
    )
    return tuple(dict.fromkeys(found))


def _redrawn(
    wanted: Sequence[WantedWait], trade_off: Sequence[TradeOff], *, drawn_by_seed: bool
) -> Iterator[str]:
    """Yield how much the waits change by chance, and which settings are safer."""
    row = next((each for each in trade_off if each.times == 1), None)
    if row is None:
        return
    drawn = row.redrawn
    if drawn is None:
        yield "How much is chance was not tried: the search needed all what-ifs; give more --what-ifs."
        return
    how = "other seeds of the load" if drawn_by_seed else "each run as long as another one of its template"
    waits = "; ".join(
        f"{each.namespace} {each.measure} from {told(low)} to {told(high)}"
        for each, low, high in zip(wanted, drawn.lowest, drawn.highest, strict=True)
    )
    yield (
        f"In {drawn.histories} histories that are drawn anew ({how}): {waits}; the waits are met in "
        f"{drawn.met} of them."
    )
    if drawn.met >= _SURE * drawn.histories:
        return
    safer = [
        each
        for each in trade_off
        if 0 < each.times < 1 and each.redrawn is not None and each.redrawn.met > drawn.met
    ]
    if safer:
        best = max(safer, key=lambda each: each.times)
        met = 0 if best.redrawn is None else best.redrawn.met
        changes = ", ".join(f"{each} {each.suggested}" for each in best.settings if each.changed)
        safe = changes or "what is at present"
        yield f"So it is met by chance. Safer is {safe}: met in {met} of {drawn.histories}."
    else:
        yield "So it is met by chance: leave room above what is suggested."


def _few(wanted: WantedWait, group: GroupResult) -> Iterator[str]:
    """Yield that a figure rests on few runs."""
    beyond = group.workflows * (1 - _SHARES.get(wanted.measure, 1.0))
    runs = "1 Workflow" if group.workflows == 1 else f"{group.workflows} Workflows"
    if wanted.measure == "longest":
        yield f"The longest wait of {group.name} is that of one of {runs}: a longer one may come."
    elif beyond < _FEW:
        yield (
            f"{group.name} has {runs} in the history: its {wanted.measure} rests on the "
            f"{max(1, round(beyond))} that wait longest."
        )


def _hidden(group: GroupResult) -> Iterator[str]:
    """Yield what the history says of waits itself, where that is another thing."""
    if not group.told_in_history:
        yield f"The history does not tell how long {group.name} waited; who was denied is not in it."
        return
    then, now = group.in_history.p95, group.waits.p95
    if abs(then - now) >= _MATTERS and max(then, now) > _DIFFERENT * min(then, now):
        yield (
            f"In the history 95 of 100 of {group.name} waited up to {told(then)}, and under the present "
            f"policies they would up to {told(now)}: it is of other policies, or of waits for something else."
        )
