"""When each Workflow starts that waits in a cluster now, under one set of policies or two."""

from collections.abc import Iterator
from typing import Final

import msgspec

from lockkeeper.histories.history import RunHistory
from lockkeeper.simulation.row_cells import shown_rows
from lockkeeper.simulation.words import length
from policy.service.simulation.fates import DENIED, GAVE_UP, Fates

_MOST: Final = 30


class WaitingStart(msgspec.Struct, frozen=True, rename="camel"):
    """One that waits: for how long so far, and seconds until it starts; `outcome` where it never does.

    With two sets of policies `before` are those of the present ones.
    """

    namespace: str
    name: str
    user: str
    waited: float
    seconds: float | None
    outcome: str
    before: float | None = None
    outcome_before: str = ""


def waiting_starts(history: RunHistory, fates: Fates, before: Fates | None) -> tuple[WaitingStart, ...]:
    """Return all that wait, in the order in which they start."""
    found = _starts(history, fates, before)
    return tuple(sorted(found, key=lambda each: (each.seconds is None, each.seconds or 0)))


def _starts(history: RunHistory, fates: Fates, before: Fates | None) -> Iterator[WaitingStart]:
    for number, run in enumerate(history.runs()):
        if run.runs_already:
            continue
        waited = history.begin - run.created
        start = WaitingStart(
            run.namespace, run.name, run.user, round(waited), *_outcome(fates.values[number], waited)
        )
        if before is not None:
            old, outcome = _outcome(before.values[number], waited)
            start = msgspec.structs.replace(start, before=old, outcome_before=outcome)
        yield start


def _outcome(value: float, waited: float) -> tuple[float | None, str]:
    if value >= 0:
        return round(max(0.0, value - waited)), ""
    return None, {DENIED: "denied", GAVE_UP: "gives up"}.get(value, "never starts")


def starts_table(starts: tuple[WaitingStart, ...], *, compared: bool) -> str:
    """Return the table of those that wait."""
    rows = [("NAMESPACE", "NAME", "USER", "WAITED", "STARTS IN")]
    for each in starts[:_MOST]:
        now, old = shown_start(each.seconds, each.outcome), shown_start(each.before, each.outcome_before)
        cell = f"{now} (was {old})" if compared and now != old else now
        rows.append((each.namespace, each.name, each.user or "-", length(each.waited), cell))
    return shown_rows(rows, len(starts), _MOST)


def shown_start(seconds: float | None, outcome: str) -> str:
    """Return in how long one starts, or why it never does."""
    return outcome if seconds is None else length(seconds)
