"""Why a CronWorkflow would never run: what Argo's controller refuses in it once it is stored.

Argo reports it in a condition that is easily overlooked (workflow/validate `CronWorkflow`, and the schedule
fields of each version). The rules are those of its parser (`policy.core.values.cron_schedule`).
"""

import re
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import Final

from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.workflow import EMPTY_METADATA, CronWorkflow, CronWorkflowSpec
from policy.core.values.cron_schedule import EVERY, Cron, zone_in, zone_named
from policy.core.values.problems import Problem

_FIRST_WITH_LIST: Final = ArgoVersion(3, 6)
_FIRST_WITHOUT_SINGLE: Final = ArgoVersion(4, 0)
_POLICIES: Final = ("Allow", "Forbid", "Replace")
_LONGEST_NAME: Final = 52
"""The name of a run is that of its CronWorkflow, and eleven characters of its time."""
_DURATION: Final = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
"""A duration as Go reads it (`time.ParseDuration`)."""
_OF_THE_MACHINE: Final = "Local"
_MOST_SCHEDULES: Final = 100
"""Schedules of one CronWorkflow that are checked."""


def schedule_problems(cron: CronWorkflow, argo: ArgoVersion) -> Iterator[Problem]:
    """Yield why a CronWorkflow would never run under this version of Argo."""
    spec = cron.spec or CronWorkflowSpec()
    name = (cron.metadata or EMPTY_METADATA).name or ""
    if len(name) > _LONGEST_NAME:
        message = f"has {len(name)} characters: Argo runs no CronWorkflow with more than {_LONGEST_NAME}"
        yield Problem("metadata.name", message)
    yield from _forms(spec, argo)
    try:
        _zone(spec.timezone or "")
    except ValueError as error:
        yield Problem("spec.timezone", f"{error}; Argo never runs it")
    for path, schedule in _schedules(spec, argo):
        yield from _schedule(schedule, path, spec.timezone or "")
    if (spec.starting_deadline_seconds or 0) < 0:
        yield Problem("spec.startingDeadlineSeconds", "is below 0: Argo never runs it; write 0 or more")
    if spec.concurrency_policy and spec.concurrency_policy not in _POLICIES:
        word = spec.concurrency_policy[:_LONGEST_NAME]
        message = f"{word!r} is none of {', '.join(_POLICIES)}: Argo never runs it"
        yield Problem("spec.concurrencyPolicy", message)


def _forms(spec: CronWorkflowSpec, argo: ArgoVersion) -> Iterator[Problem]:
    """Yield that the schedule is in a field that this version does not read, or missing."""
    if argo >= _FIRST_WITHOUT_SINGLE:
        if spec.schedule and not spec.schedules:
            message = (
                f"is dropped by Argo {argo}, which reads schedules, so it never runs: "
                f'write schedules: ["{spec.schedule[:_LONGEST_NAME]}"]'
            )
            yield Problem("spec.schedule", message)
            yield from _schedule(spec.schedule, "spec.schedule", spec.timezone or "")
        elif not spec.schedules:
            yield Problem("spec.schedules", "is empty: Argo runs no CronWorkflow without a schedule")
        return
    if argo < _FIRST_WITH_LIST and spec.schedules and not spec.schedule:
        message = f"is dropped by Argo {argo}, which reads schedule alone, so it never runs: write schedule"
        yield Problem("spec.schedules", message)
    elif not (spec.schedule or spec.schedules):
        yield Problem("spec.schedule", "is missing: Argo runs no CronWorkflow without a schedule")


def _schedules(spec: CronWorkflowSpec, argo: ArgoVersion) -> Iterator[tuple[str, str]]:
    """Yield the schedules that Argo reads, with their paths; the single one has precedence over the list."""
    if spec.schedule and argo < _FIRST_WITHOUT_SINGLE:
        yield "spec.schedule", spec.schedule
    elif argo >= _FIRST_WITH_LIST:
        for index, each in enumerate((spec.schedules or ())[:_MOST_SCHEDULES]):
            yield f"spec.schedules[{index}]", each


def _schedule(schedule: str, path: str, timezone: str) -> Iterator[Problem]:
    """Yield what is wrong with one schedule: one that cannot be read stops them all."""
    zone, rest = zone_in(schedule)
    if zone is not None and timezone:
        message = "names a time zone, as spec.timezone does, and Argo reads neither then: keep one of them"
        yield Problem(path, message)
        return
    if rest.startswith(EVERY):
        if not _DURATION.fullmatch(rest.removeprefix(EVERY)):
            yield Problem(path, f"{rest[:_LONGEST_NAME]!r} names no duration: write one, as in @every 1h30m")
        return
    try:
        Cron(rest, _zone(zone or ""))
    except ValueError as error:
        yield Problem(path, str(error))


def _zone(name: str) -> tzinfo:
    """Return a time zone; Argo takes that of its machine, too, and which moments that has does not matter."""
    return UTC if name in ("", _OF_THE_MACHINE) else zone_named(name)
