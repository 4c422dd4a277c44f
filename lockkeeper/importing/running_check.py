"""Whether anybody who runs now would be over a limit: by what the quotas count, and by a review of each."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from lockkeeper.importing.drafts import Draft
from lockkeeper.manifests.manifest import Manifest, manifest_of
from lockkeeper.reviewing.assumptions import Assumptions, labels_of_new, usage_of_new
from lockkeeper.reviewing.object_review import review_manifest
from policy.core.decision.decision import Side
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.governing_quotas import accounts_of, demands, governing
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account
from policy.core.quota.demands import Demand
from policy.core.values.amounts import ZERO, Usage
from webhook.http_errors import BadRequest
from webhook.wire import admission_review, decode

_WORKFLOW = "Workflow"


class Over(msgspec.Struct, frozen=True):
    """A limit that those who run now are over."""

    policy: str
    message: str


class RunningCheck(msgspec.Struct, frozen=True):
    """How many Workflows run, what they would be over, and those that could not be counted.

    `already` are limits of policies that are there, which are passed whatever is imported.
    """

    running: int
    over: tuple[Over, ...]
    uncounted: tuple[str, ...] = ()
    already: tuple[Over, ...] = ()


def check_running(
    drafts: Sequence[Draft],
    manifests: Sequence[Manifest],
    *,
    namespace: str,
    snapshot: Snapshot,
    now: datetime,
) -> RunningCheck:
    """Count those that run under the drafts and what is there, and review each of them as if it were new."""
    running = [each for each in manifests if each.kind == _WORKFLOW and _runs(each.value)]
    counted = _Counted(snapshot, now)
    over: list[Over] = []
    uncounted: list[str] = []
    names = {draft.name for draft in drafts}
    for each in running:
        where = each.namespace_or(namespace)
        obj = _as_new(each)
        try:
            counted.add(obj, where)
            over += _alone(obj, where, snapshot, now, names)
        except BadRequest as error:
            uncounted.append(f"{each.kind} {where}/{each.name}: {error}")
    passed = list(counted.over())
    over = [
        *(each for each in passed if _is_of(each, names)),
        *_over_shares(drafts, counted.by_namespace),
        *over,
    ]
    already = tuple(each for each in passed if not _is_of(each, names))
    return RunningCheck(len(running) - len(uncounted), tuple(over), tuple(uncounted), already)


def _is_of(over: Over, names: set[str]) -> bool:
    """Return whether a limit is one of the drafts, also as what a pool gives one of its namespaces."""
    return any(over.policy == each or over.policy.startswith(f"{each} ") for each in names)


class _Counted:
    """What runs, by account, with the limits of each."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self._snapshot = snapshot
        self._now = now
        self._used: dict[Account, Usage] = {}
        self._demands: dict[Account, Demand] = {}
        self.by_namespace: dict[str, Usage] = {}

    def add(self, manifest: Manifest, namespace: str) -> None:
        """Count one that runs. Raises BadRequest."""
        envelope = admission_review(manifest.value, namespace=namespace, uid="running", user="")
        review = decode(msgspec.json.encode(envelope), Side.MUTATE).review
        if review.workflow is None:
            raise BadRequest("it is no Workflow that Argo could read; lockkeeper lint says where")
        labels = labels_of_new(review.workflow, review, self._snapshot)
        usage = usage_of_new(review.workflow, labels, namespace, self._snapshot, self._now)
        quotas = governing(self._snapshot.policies(namespace).quotas, labels)
        self.by_namespace[namespace] = self.by_namespace.get(namespace, ZERO) + usage
        for account in accounts_of(quotas, namespace, "", self._snapshot):
            self._used[account] = self._used.get(account, ZERO) + usage
        self._demands.update({each.account: each for each in demands(quotas, "", now=self._now)})

    def over(self) -> Iterator[Over]:
        """Yield the limits that are passed."""
        for account, demand in self._demands.items():
            used = self._used.get(account, ZERO)
            limits = demand.limits
            for name, limit, count in (
                ("workflows", limits.workflows.value, used.workflows),
                ("tasks", limits.tasks.value, used.task_amount.value),
            ):
                if limit is not None and (count is None or count > limit):
                    yield Over(demand.source, _sentence(name, count, limit))


def _over_shares(drafts: Sequence[Draft], used: Mapping[str, Usage]) -> Iterator[Over]:
    """Yield the members of a pool that use more than their share and what they may borrow."""
    for each in drafts:
        shares = part(each.policy, "spec", "borrowing", "shares")
        borrows = part(each.policy, "spec", "borrowing", "borrowingLimit", "tasks")
        for namespace, share in shares.items() if isinstance(shares, dict) else ():
            own = part(share, "tasks")
            count = used.get(namespace, ZERO).task_amount.value or 0
            if isinstance(own, int) and isinstance(borrows, int) and count > own + borrows:
                yield Over(f"{each.name} for {namespace}", _sentence("tasks", count, own + borrows))


def _alone(
    manifest: Manifest, namespace: str, snapshot: Snapshot, now: datetime, names: set[str]
) -> Iterator[Over]:
    """Yield what a draft refuses of one that runs, were it created now. Raises BadRequest."""
    reviewed = review_manifest(manifest, snapshot, namespace, "", assumed=Assumptions(now))
    for reason in reviewed.reasons:
        if reason.policy in names:
            yield Over(reason.policy, f"would refuse {reviewed}, which runs: {reason.code}: {reason.message}")


def _sentence(name: str, count: int | None, limit: int) -> str:
    if count is None:
        return f"{name} of those that run now cannot be counted, and the limit is {limit}"
    return (
        f"{name} of those that run now: {count}, limit {limit}. They run on, and nothing else starts until "
        f"they are fewer. Raise the limit to {count} if that is to be allowed"
    )


def _runs(value: JsonObject) -> bool:
    labels = part(value, "metadata", "labels")
    done = isinstance(labels, dict) and labels.get("workflows.argoproj.io/completed") == "true"
    return part(value, "status", "phase") == "Running" and not done


def _as_new(manifest: Manifest) -> Manifest:
    """Return a Workflow as it was created: without what Argo and the API server wrote."""
    value: JsonObject = {key: each for key, each in manifest.value.items() if key != "status"}
    return manifest_of(value, manifest.origin)
