"""What a play comes to: the stable form that reports show and `-o json` writes (docs/planning.md).

Times are seconds. `workflows` are all that were created in a group: they started, were denied, gave up
(`maxWait`), or never started.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.service.simulation.wait_counts import WaitFigures


class GroupResult(msgspec.Struct, frozen=True, rename="camel"):
    """A group of Workflows: a namespace, a pool, a user, a priority or a template; or all of them.

    `in_history` are the waits that the history tells, of as many as it tells them of. `borrowed` are those
    that started beyond the share of their namespace in its pool. `lost` is the part of the time of its
    Workflows that they waited for quotas and locks, from 0 to 1.
    """

    name: str
    workflows: int
    started: int
    denied: int
    gave_up: int
    never_started: int
    waited: int
    borrowed: int
    waits: WaitFigures
    lock_waits: WaitFigures
    in_history: WaitFigures
    told_in_history: int
    run_seconds: float
    lost: float


class CurveResult(msgspec.Struct, frozen=True, rename="camel"):
    """A number over time in parts of `partSeconds`: its mean and its highest value in each."""

    means: tuple[float, ...]
    peaks: tuple[float, ...]
    mean: float
    highest: float


class UseResult(msgspec.Struct, frozen=True, rename="camel"):
    """Queue and use of a namespace or pool over time: Workflows that wait and run, tasks, borrowed."""

    name: str
    waiting: CurveResult
    running: CurveResult
    tasks: CurveResult
    borrowed: CurveResult


class QuotaResult(msgspec.Struct, frozen=True, rename="camel"):
    """How much of the limits of a quota was used: from 0 to 1 of each limit that it has, None without one."""

    quota: str
    workflows: float | None
    tasks: float | None
    highest_workflows: int
    highest_tasks: int


class LockResult(msgspec.Struct, frozen=True, rename="camel"):
    """The waits for one lock; without a `limit` it is not known, and nobody waited for it."""

    lock: str
    limit: int | None
    uses: int
    waits: WaitFigures


class DeniedResult(msgspec.Struct, frozen=True, rename="camel"):
    """Denials of one reason in a namespace, and the first of them."""

    namespace: str
    code: str
    count: int
    example: str
    message: str


class StarvedResult(msgspec.Struct, frozen=True, rename="camel"):
    """A Workflow that never started, or waited long while others of its root did not."""

    namespace: str
    name: str
    user: str
    priority: int
    created: datetime
    waited: float
    started: bool
    root: str


class FairnessResult(msgspec.Struct, frozen=True, rename="camel"):
    """Jain's index of a pool, or of all: 1 where all namespaces run for the same part of their time."""

    name: str
    namespaces: int
    index: float


class PolicyResult(msgspec.Struct, frozen=True, rename="camel"):
    """What a history comes to under one set of policies."""

    policies: str
    version: str
    begin: datetime
    end: datetime
    part_seconds: float
    all: GroupResult
    namespaces: tuple[GroupResult, ...]
    pools: tuple[GroupResult, ...]
    users: tuple[GroupResult, ...]
    priorities: tuple[GroupResult, ...]
    templates: tuple[GroupResult, ...]
    use: tuple[UseResult, ...]
    pool_use: tuple[UseResult, ...]
    quotas: tuple[QuotaResult, ...]
    locks: tuple[LockResult, ...]
    denied: tuple[DeniedResult, ...]
    starved: tuple[StarvedResult, ...]
    starved_count: int
    fairness: tuple[FairnessResult, ...]
    notes: tuple[str, ...]


KINDS_OF_GROUPS: Final = {
    "namespace": "namespaces",
    "pool": "pools",
    "user": "users",
    "priority": "priorities",
    "template": "templates",
}
"""By what a group is, the field of a result that has all of them."""


def groups_of(result: PolicyResult, kind: str) -> Sequence[GroupResult]:
    """Return the groups of a kind."""
    found: Sequence[GroupResult] = getattr(result, KINDS_OF_GROUPS[kind])
    return found
