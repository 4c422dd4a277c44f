"""Drafts with their check, and how many tasks a Workflow counts as that says none.

Where `--default-tasks` is not given, it is 10, or the most below it with which those that run are over no
limit for that reason: what runs fits the limits of today, so a number with which it would not is too high.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from lockkeeper.importing.all_drafts import all_drafts
from lockkeeper.importing.drafts import Drafts, TaskSize
from lockkeeper.importing.present_policies import PresentPolicies, notes_beside, snapshot_of
from lockkeeper.importing.running_check import RunningCheck, check_running
from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.argo_version import ArgoVersion

MOST_TASKS: Final = 10
_GIVEN: Final = "--default-tasks"
_USUAL: Final = "the default of --default-tasks"
_LOWERED: Final = "those that run: with more they would be over the limit"


class CheckedDrafts(msgspec.Struct, frozen=True):
    """Policies, who that runs would be over a limit by them, and what is there `beside` them."""

    found: Drafts
    checked: RunningCheck
    beside: tuple[str, ...] = ()


def checked_drafts(
    manifests: Sequence[Manifest],
    requests: dict[str, str],
    default_tasks: int | None,
    *,
    namespace: str,
    argo: ArgoVersion,
    now: datetime,
) -> CheckedDrafts:
    """Return policies for what these objects limit."""
    present = PresentPolicies(manifests, namespace)

    def made(default: int, source: str) -> CheckedDrafts:
        drawn = all_drafts(manifests, TaskSize(requests, default, source), namespace, present)
        found = present.without_doubles(drawn)
        snapshot = snapshot_of(found, manifests, namespace, argo)
        checked = check_running(found.drafts, manifests, namespace=namespace, snapshot=snapshot, now=now)
        return CheckedDrafts(found, checked, notes_beside(present, found, snapshot))

    if default_tasks is not None:
        return made(default_tasks, _GIVEN)
    usual = made(MOST_TASKS, _USUAL)
    return _lowered(usual, made) if usual.checked.over else usual


def _lowered(usual: CheckedDrafts, made: Callable[[int, str], CheckedDrafts]) -> CheckedDrafts:
    """Return the drafts of the highest number with which the fewest limits are passed."""
    best, low, high = made(1, _LOWERED), 1, MOST_TASKS
    fewest = len(best.checked.over)
    if fewest == len(usual.checked.over):
        return usual
    while high - low > 1:
        middle = (low + high) // 2
        each = made(middle, _LOWERED)
        if len(each.checked.over) == fewest:
            best, low = each, middle
        else:
            high = middle
    return best
