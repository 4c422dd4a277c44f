"""Other limits of a semaphore while a window is open: checked, and made ready to ask for a moment.

Windows are those of quotas (`policy.core.windows`), with one number in place of Workflows and tasks.
"""

from collections.abc import Iterator, Sequence

from policy.core import windows
from policy.core.kinds import SemaphoreDefinition, SemaphoreWindow
from policy.core.locks.naming import INT64_MAX
from policy.core.problems import Problem
from policy.core.quota_kinds import QuotaLimits, WindowSpec


def limit_problems(limit: int, path: str) -> Iterator[Problem]:
    """Yield what Argo could not read as a limit."""
    if limit < 1:
        yield Problem(path, f"must be 1 or more (Argo fails Workflows at 0); got {limit}")
    if limit > INT64_MAX:
        yield Problem(path, f"must be at most {INT64_MAX}, or Argo cannot read it")


def window_problems(specs: Sequence[SemaphoreWindow], path: str) -> Iterator[Problem]:
    """Yield what is wrong with the windows of a semaphore."""
    yield from windows.window_problems([_as_quota_window(each) for each in specs], path)
    for index, spec in enumerate(specs[: windows.MAX_WINDOWS]):
        yield from limit_problems(spec.limit, f"{path}[{index}].limit")


def elastic(definition: SemaphoreDefinition) -> windows.ElasticLimits:
    """Return the limit of a valid definition over time; at a moment it is what `.limits.workflows` says."""
    compiled = windows.compile_windows(_as_quota_window(each) for each in definition.windows)
    return windows.ElasticLimits(QuotaLimits(workflows=definition.limit), compiled)


def _as_quota_window(spec: SemaphoreWindow) -> WindowSpec:
    return WindowSpec(
        name=spec.name,
        schedule=spec.schedule,
        duration=spec.duration,
        limits=QuotaLimits(workflows=spec.limit),
        time_zone=spec.time_zone,
    )
