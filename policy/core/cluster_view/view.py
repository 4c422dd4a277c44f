"""What the view holds: quotas with their figures, and each Workflow that waits or runs.

Times are aware. `tasks` is None where nothing bounds the tasks of a Workflow. As JSON these are the stable
form of `-o json` (docs/commands.md).
"""

from datetime import datetime

import msgspec

from policy.core.policies.conflicts import PolicyName
from policy.core.policies.status_figures import QuotaFigures
from policy.core.policy_kinds.quota_parts import OnExceed, StopPolicy
from policy.core.queue.positions import WaitReason


class QuotaRow(msgspec.Struct, frozen=True, rename="camel"):
    """A quota and its figures. `changes_at` is when its limits change next by themselves."""

    kind: str
    namespace: str
    name: str
    on_exceed: OnExceed
    stop_policy: StopPolicy
    figures: QuotaFigures
    changes_at: datetime | None = None
    pool: str = ""

    @property
    def policy(self) -> PolicyName:
        """The name of the policy."""
        return PolicyName(self.kind, self.namespace, self.name)


class StartRange(msgspec.Struct, frozen=True, rename="camel"):
    """When a Workflow is expected to start: in six of ten cases from the `earliest` to the `latest` time."""

    earliest: datetime
    latest: datetime


class WaitingRow(msgspec.Struct, frozen=True, rename="camel"):
    """A Workflow that waits: its position in its namespace, and how many of its root go `ahead` of it.

    `blocked_by` names the quota that has not enough left, and is empty where another reason holds it. Without
    `expected` too little is known to say when it starts.
    """

    namespace: str
    name: str
    uid: str
    user: str
    priority: int
    tasks: int | None
    since: datetime
    position: int
    ahead: int
    reason: WaitReason
    message: str
    blocked_by: str
    root: str
    expected: StartRange | None = None


class RunningRow(msgspec.Struct, frozen=True, rename="camel"):
    """A Workflow that has its slot: it runs, or is `releasing`; `parent` is the one whose slot it uses."""

    namespace: str
    name: str
    uid: str
    user: str
    priority: int
    tasks: int | None
    created: datetime
    root: str
    releasing: bool = False
    parent: str = ""


class ClusterView(msgspec.Struct, frozen=True, rename="camel"):
    """All of it at one time. `unread` says in sentences what could not be read, and so is not in here."""

    at: datetime
    quotas: tuple[QuotaRow, ...] = ()
    waiting: tuple[WaitingRow, ...] = ()
    running: tuple[RunningRow, ...] = ()
    unread: tuple[str, ...] = ()
