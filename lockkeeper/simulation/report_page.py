"""The report as one HTML file without scripts and other files: words, then charts, then tables."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from lockkeeper.simulation.charts import BarGroup, Line, TimeAxis, bars, curves
from lockkeeper.simulation.outcome import SimulationOutcome
from lockkeeper.simulation.report_tables import report_tables, starts_details
from lockkeeper.simulation.words import length, percent
from policy.service.simulation.result import GroupResult, PolicyResult, UseResult

_MOST_CHARTS: Final = 12
_MOST_BARS: Final = 20
_BEFORE: Final = "before"
_AFTER: Final = "after"
_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_UNCERTAIN: Final = (
    "Runs are taken to be as long as they were, also where more or fewer of them share what they work on.",
    "Users are taken to create the same Workflows at the same times, also where these waited or were denied.",
    "Workflows that were denied are in no history, nor those that were deleted before it was read.",
)
_STYLE: Final = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #59636e; --edge: #d1d9e0;
  --after: #0a66c2; --before: #b35900; --panel: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --soft: #9198a1;
  --edge: #3d444d; --after: #58a6ff; --before: #f0a04b; --panel: #151b23; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
ul.words { padding-left: 1.2rem; } ul.words li { margin: .35rem 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .5rem; background: var(--panel); border: 1px solid var(--edge);
  border-radius: .4rem; }
figcaption { font-size: .9rem; } svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--edge); stroke-width: 1; } .line { fill: none; stroke-width: 1.6; }
.line.after { stroke: var(--after); } .line.before { stroke: var(--before); stroke-dasharray: 4 2; }
rect.after { fill: var(--after); } rect.before { fill: var(--before); }
figcaption .key { white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .6em; }
.key.after::before { background: var(--after); } .key.before::before { background: var(--before); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--edge);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; }
summary { cursor: pointer; padding: .3rem 0; } .soft { color: var(--soft); }
"""


def report_page(outcome: SimulationOutcome, sections: Iterable[str] = ()) -> str:
    """Return the whole file; `sections` of others come after the words."""
    result, before = outcome.result, outcome.before
    title = f"What {result.policies} would do"
    if before is not None:
        title = f"What {result.policies} would change"
    body = [
        f"<h1>{escape(title)}</h1>",
        _words(outcome.sentences),
        *sections,
        *starts_details(outcome),
        *_key(result, before),
        *_wait_charts(result, before),
        *_use_charts(result, before),
        *report_tables(outcome),
        *_remarks(outcome),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _words(sentences: Iterable[str]) -> str:
    return '<ul class="words">' + "".join(f"<li>{escape(each)}</li>" for each in sentences) + "</ul>"


def _key(result: PolicyResult, before: PolicyResult | None) -> Iterator[str]:
    if before is not None:
        yield (
            f'<p><span class="key {_BEFORE}">{escape(before.policies)} (before)</span> '
            f'<span class="key {_AFTER}">{escape(result.policies)} (after)</span></p>'
        )


def _wait_charts(result: PolicyResult, before: PolicyResult | None) -> Iterator[str]:
    """Yield bars of the waits of namespaces, pools and priorities."""
    charts = []
    for title, now, old in (
        ("namespace", result.namespaces, () if before is None else before.namespaces),
        ("pool", result.pools, () if before is None else before.pools),
        ("user", result.users, () if before is None else before.users),
        ("priority", result.priorities, () if before is None else before.priorities),
    ):
        rows = list(_bars(now[:_MOST_BARS], {each.name: each for each in old}))
        if rows:
            charts.append(bars(f"How long 95 of 100 wait, by {title}", rows))
    quotas = list(_quota_bars(result, before))
    if quotas:
        charts.append(bars("How much of each limit is used over the whole time", quotas))
    if charts:
        yield "<h2>Waits and use</h2>"
        yield f'<div class="charts">{"".join(charts)}</div>'


def _bars(groups: Sequence[GroupResult], old: dict[str, GroupResult]) -> Iterator[BarGroup]:
    for group in groups:
        values = []
        if group.name in old:
            waited = old[group.name].waits.p95
            values.append((_BEFORE, waited, length(waited)))
        values.append((_AFTER, group.waits.p95, length(group.waits.p95)))
        yield BarGroup(group.name, values)


def _quota_bars(result: PolicyResult, before: PolicyResult | None) -> Iterator[BarGroup]:
    old = {} if before is None else {each.quota: each for each in before.quotas}
    for quota in result.quotas[:_MOST_BARS]:
        values = []
        for style, found in ((_BEFORE, old.get(quota.quota)), (_AFTER, quota)):
            shares = (None, None) if found is None else (found.workflows, found.tasks)
            known = [each for each in shares if each is not None]
            if known:
                values.append((style, max(known), percent(max(known))))
        if values:
            yield BarGroup(quota.quota, values)


def _use_charts(result: PolicyResult, before: PolicyResult | None) -> Iterator[str]:
    """Yield the queue and the use over time: of pools, then of the namespaces with the longest queues."""
    old_pools = {} if before is None else {each.name: each for each in before.pool_use}
    old = {} if before is None else {each.name: each for each in before.use}
    charts = []
    for use in result.pool_use:
        charts += _of_use(f"pool {use.name}", use, old_pools.get(use.name), result, before)
    ordered = sorted(result.use, key=lambda each: (-each.waiting.mean - each.running.mean, each.name))
    for use in ordered[:_MOST_CHARTS]:
        charts += _of_use(use.name, use, old.get(use.name), result, before)
    if charts:
        yield "<h2>Queue and use over time</h2>"
        if len(ordered) > _MOST_CHARTS:
            yield f'<p class="soft">The {_MOST_CHARTS} busiest of {len(ordered)} namespaces.</p>'
        yield f'<div class="charts">{"".join(charts)}</div>'


def _of_use(
    name: str, use: UseResult, old: UseResult | None, result: PolicyResult, before: PolicyResult | None
) -> list[str]:
    axis = TimeAxis(result.begin, result.part_seconds)
    same = before is not None and before.part_seconds == result.part_seconds
    found = []
    for title, field in (
        (f"Workflows that wait in {name}", "waiting"),
        (f"Workflows that run in {name}", "running"),
    ):
        lines = []
        if old is not None and same:
            lines.append(Line("before", _BEFORE, getattr(old, field).means))
        lines.append(Line("after" if lines else "", _AFTER, getattr(use, field).means))
        found.append(curves(title, lines, axis))
    if use.borrowed.highest:
        found.append(
            curves(f"Workflows beyond its share in {name}", [Line("", _AFTER, use.borrowed.means)], axis)
        )
    return found


def _remarks(outcome: SimulationOutcome) -> Iterator[str]:
    notes = [*outcome.history.remarks, *outcome.result.notes]
    yield "<h2>To be known</h2>"
    yield _words([*notes, *_UNCERTAIN])
