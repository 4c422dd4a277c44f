"""A suggestion for a terminal: words, what changes, the trade-off, the other ways, what is not certain."""

from collections.abc import Iterator, Sequence

from lockkeeper.process.console import aligned, printable
from lockkeeper.simulation.words import length
from lockkeeper.suggesting.suggestion import ChangedSetting, Suggestion, TradeOff, WayOutcome
from policy.core.policy_kinds.quota_parts import WindowSpec


def suggestion_lines(found: Suggestion) -> Iterator[str]:
    """Yield all lines."""
    yield from suggestion_words(found)
    if found.way is not None:
        yield ""
        yield aligned(_settings(found.way.settings))
        if found.trade_off:
            yield ""
            yield aligned(_trade_off(found))
            for number, each in enumerate(shown_columns(found)):
                yield f"[{number + 1}] {found.trade_off[0].settings[each]}"
    if len(found.ways) > 1:
        yield ""
        yield aligned(_ways(found))
    if found.others:
        yield ""
        rows = [("OTHERS OF THE POOLS", "P95 AT PRESENT", "AS SUGGESTED")]
        rows += [(each.namespace, told(each.before), told(each.after)) for each in found.others]
        yield aligned(rows)
    for title, sentences in (("Not certain:", found.uncertain), ("Of the history:", found.remarks)):
        if sentences:
            yield ""
            yield title
            yield from (f"  {printable(each)}" for each in sentences)


def suggestion_words(found: Suggestion) -> Iterator[str]:
    """Yield the outcome in sentences."""
    for number, each in enumerate(found.wanted):
        after = f" and {told(found.waits[number])} as suggested" if found.way is not None else ""
        before = told(found.waits_before[number])
        yield (
            f"{each.namespace}: {each.measure} of the waits is {before} at present{after}; "
            f"wanted is {length(each.seconds)} at most."
        )
    if found.way is None:
        tried = ", ".join(each.way for each in found.ways)
        if all(each.finished for each in found.ways):
            yield f"That cannot be met by {tried}:"
        else:
            yield f"{found.what_ifs} what-ifs were not enough for {tried}: give more --what-ifs."
        yield from (f"  {printable(each)}" for each in found.why_not)
        return
    if not found.way.finished:
        yield "It is met, but the search was not finished: less may do as well; give more --what-ifs."
    if found.met_at_present and not any(each.changed for each in found.way.settings):
        yield "It is met at present, and no lower limit is suggested."
    elif found.met_at_present:
        yield "It is met at present; these limits would be enough:"
    elif found.way.window is not None:
        yield f"Other limits in some hours do that: {window_words(found.way.window)}"
    else:
        yield f"Other {found.way.way} do that:"


def window_words(window: WindowSpec) -> str:
    """Return when a window is open."""
    return (
        f'window {window.name}, schedule "{window.schedule}", duration {window.duration}, '
        f"timeZone {window.time_zone}:"
    )


def _settings(settings: Sequence[ChangedSetting]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("SETTING", "PRESENT", "SUGGESTED")]
    rows += [(str(each), str(each.present), str(each.suggested)) for each in settings]
    return rows


def shown_columns(found: Suggestion) -> list[int]:
    """Return the numbers of the settings that are not the same in all rows of the trade-off."""
    columns = list(zip(*(each.settings for each in found.trade_off), strict=True))
    return [number for number, each in enumerate(columns) if len({one.suggested for one in each}) > 1]


def row_name(row: TradeOff) -> str:
    """Return what a row of the trade-off is."""
    return {0.0: "at present", 1.0: "as suggested"}.get(row.times, f"waits x {row.times:g}")


def _trade_off(found: Suggestion) -> list[tuple[str, ...]]:
    columns = shown_columns(found)
    names = [f"{each.namespace} {each.measure}".upper() for each in found.wanted]
    drawn = any(each.redrawn is not None for each in found.trade_off)
    letters = [f"[{number + 1}]" for number in range(len(columns))]
    rows: list[tuple[str, ...]] = [
        ("TRADE-OFF", *letters, *names, *(["DRAWN ANEW", "MET IN"] if drawn else []))
    ]
    for row in found.trade_off:
        values = [str(row.settings[each].suggested) for each in columns]
        rows.append((row_name(row), *values, *map(told, row.waits), *(_drawn(row) if drawn else [])))
    return rows


def _drawn(row: TradeOff) -> list[str]:
    drawn = row.redrawn
    if drawn is None:
        return ["-", "-"]
    ranges = [f"{told(low)} to {told(high)}" for low, high in zip(drawn.lowest, drawn.highest, strict=True)]
    return ["; ".join(ranges), f"{drawn.met} of {drawn.histories}"]


def _ways(found: Suggestion) -> list[tuple[str, ...]]:
    names = [f"{each.namespace} {each.measure}".upper() for each in found.wanted]
    rows: list[tuple[str, ...]] = [("WAY", "MET", *names, "CHANGES")]
    for each in found.ways:
        met = "yes" if each.met else "no" if each.finished else "not finished"
        rows.append((each.way, met, *map(told, each.waits), way_changes(each)))
    return rows


def way_changes(way: WayOutcome) -> str:
    """Return what a way changes, in a line."""
    if not way.met:
        return way.why or "-"
    changes = ", ".join(f"{each} {each.present} -> {each.suggested}" for each in way.settings if each.changed)
    return changes or "nothing"


def told(seconds: float) -> str:
    """Return a wait as people read it."""
    return "endless for some" if seconds == float("inf") else length(seconds)
