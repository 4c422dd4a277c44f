"""The view of some namespaces of a reading: quotas with their figures, those that wait, those that run."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from policy.core.cluster_view.live_root import LiveRoot, waiting_rows
from policy.core.cluster_view.view import ClusterView, QuotaRow, RunningRow, WaitingRow
from policy.core.policies.conflicts import PolicyName, name_of
from policy.core.policies.status_figures import QuotaFigures, figures
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.queue.waits import all_waits, waits_in
from policy.core.quota.accounts import Account, Root
from policy.core.quota.usage_view import NamespaceQueue, UsageView, Waits
from policy.core.quota.windows import NEVER
from policy.core.values.amounts import Usage
from policy.service.reading.live_roots import LiveRoots


def cluster_view(roots: LiveRoots, namespaces: Collection[str] = ()) -> ClusterView:
    """Return the view of some namespaces; of all that are governed without any."""
    shown = sorted(namespaces or roots.governed())
    by_root: dict[Root, list[str]] = {}
    for each in shown:
        by_root.setdefault(roots.of_namespace(each).root, []).append(each)
    waiting: list[WaitingRow] = []
    running: list[RunningRow] = []
    for members in by_root.values():
        live = roots.of_namespace(members[0])
        read = [each for each in members if roots.reading.knows(each)]
        waiting += waiting_rows(live, read, roots.expected(live.root))
        running += [each for each in live.running() if each.namespace in read]
    return ClusterView(
        at=roots.reading.at,
        quotas=tuple(_quota_rows(roots, shown)),
        waiting=tuple(waiting),
        running=tuple(running),
        unread=roots.reading.unread,
    )


def _quota_rows(roots: LiveRoots, namespaces: Collection[str]) -> Iterator[QuotaRow]:
    """Yield the pools of some namespaces, then their quotas."""
    snapshot, now = roots.reading.snapshot, roots.reading.at
    known = _figures(roots, namespaces)
    for pool in snapshot.pools:
        member = next(
            (each for each in namespaces if snapshot.policies(each).pool == pool.metadata.name), None
        )
        compiled = None if member is None else snapshot.pool(member)
        if compiled is not None and name_of(pool) in known:
            yield _quota_row(pool, known[name_of(pool)], compiled.until(now))
    for namespace in namespaces:
        policies = snapshot.policies(namespace)
        until = {each.account.quota: each.elastic.at(now).until for each in policies.quotas}
        for quota in snapshot.quotas.get(namespace, ()):
            name = name_of(quota)
            if name in known:
                yield _quota_row(quota, known[name], until.get(name.name, NEVER), pool=policies.pool)


def _figures(roots: LiveRoots, namespaces: Iterable[str]) -> Mapping[PolicyName, QuotaFigures]:
    """Return the figures of quotas: counted here, or from the status of pools that were not read whole."""
    reading = roots.reading
    counted = figures(
        _usage(_roots_of(roots, namespaces)),
        reading.snapshot,
        reading.at,
        lambda pool: roots.capacity(Root.of_pool(pool)),
    )
    partly = {
        name: found
        for name, found in reading.figures.items()
        if name in counted and not name.namespace and not roots.knows_all_of(Root.of_pool(name.name))
    }
    return {**counted, **partly}


def _roots_of(roots: LiveRoots, namespaces: Iterable[str]) -> Iterator[LiveRoot]:
    """Yield the roots of some namespaces, each once."""
    found = (roots.of_namespace(each) for each in namespaces)
    yield from {each.root: each for each in found}.values()


def _usage(lives: Iterable[LiveRoot]) -> UsageView:
    """Return the usage of some roots together, and where there are groups, who waits for their keys."""
    waits: list[Waits] = []
    used: dict[Account, Usage] = {}
    queues: dict[str, NamespaceQueue] = {}
    running: dict[str, Usage] = {}
    for each in lives:
        used.update(each.usage.used)
        queues.update(each.usage.queues)
        running.update(each.usage.running)
        if any(account.group for account in each.planner.headroom.limits):
            waits.append(waits_in(each.planner))
    return UsageView(used, queues, running, waits=all_waits(waits))


def _quota_row(
    quota: WorkflowQuota | ClusterWorkflowQuota, found: QuotaFigures, until: datetime, *, pool: str = ""
) -> QuotaRow:
    name = name_of(quota)
    return QuotaRow(
        kind=name.kind,
        namespace=name.namespace,
        name=name.name,
        on_exceed=quota.spec.on_exceed,
        stop_policy=quota.spec.stop_policy,
        figures=found,
        changes_at=until if until < NEVER else None,
        pool=pool,
    )
