"""What is wrong with windows: those of quotas, and those of semaphores with their limit."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, timedelta
from functools import partial
from typing import Final, TypeVar

from policy.core.policy_kinds.kinds import SemaphoreWindow
from policy.core.policy_kinds.quota_parts import QuotaLimits, WindowSpec
from policy.core.quota.windows import as_quota_window
from policy.core.values.amounts import INT64_MAX
from policy.core.values.cron_schedule import Cron, zone_named
from policy.core.values.durations import duration
from policy.core.values.problems import Problem, too_many

MAX_WINDOWS: Final = 32
_LONGEST_NAME: Final = 63
_SHORTEST: Final = timedelta(minutes=1)
_Made = TypeVar("_Made")


def window_problems(specs: Sequence[WindowSpec], path: str) -> Iterator[Problem]:
    """Yield what is wrong with windows, but for the amounts of their limits, which all limits share."""
    yield from too_many(specs, MAX_WINDOWS, path)
    seen: dict[str, int] = {}
    for index, spec in enumerate(specs[:MAX_WINDOWS]):
        where = f"{path}[{index}]"
        first = seen.setdefault(spec.name, index)
        if not spec.name:
            yield Problem(f"{where}.name", "is empty: name the window, statuses and messages show it")
        elif len(spec.name) > _LONGEST_NAME:
            message = f"has {len(spec.name)} characters: at most {_LONGEST_NAME} are allowed"
            yield Problem(f"{where}.name", message)
        elif first != index:
            yield Problem(f"{where}.name", f"{spec.name!r} is the name of {path}[{first}] too")
        zone, problem = _tried(partial(zone_named, spec.time_zone), f"{where}.timeZone")
        yield from problem
        yield from _tried(partial(Cron, spec.schedule, zone or UTC), f"{where}.schedule")[1]
        length, problem = _tried(partial(duration, spec.duration), f"{where}.duration")
        yield from problem
        if length is not None and length < _SHORTEST:
            yield Problem(f"{where}.duration", f"{spec.duration!r} is shorter than a minute: use 1m or more")
        if spec.limits == QuotaLimits():
            yield Problem(f"{where}.limits", "sets no limit: give workflows, tasks or both")


def semaphore_limit_problems(limit: int, path: str) -> Iterator[Problem]:
    """Yield what Argo could not read as a limit."""
    if limit < 1:
        yield Problem(path, f"must be 1 or more (Argo fails Workflows at 0); got {limit}")
    if limit > INT64_MAX:
        yield Problem(path, f"must be at most {INT64_MAX}, or Argo cannot read it")


def semaphore_window_problems(specs: Sequence[SemaphoreWindow], path: str) -> Iterator[Problem]:
    """Yield what is wrong with the windows of a semaphore."""
    yield from window_problems([as_quota_window(each) for each in specs], path)
    for index, spec in enumerate(specs[:MAX_WINDOWS]):
        yield from semaphore_limit_problems(spec.limit, f"{path}[{index}].limit")


def _tried(make: Callable[[], _Made], path: str) -> tuple[_Made | None, list[Problem]]:
    try:
        return make(), []
    except ValueError as error:
        return None, [Problem(path, str(error))]
