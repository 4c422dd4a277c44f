"""The quota roots of a reading, each built as a leader has it: now, later, or under one change."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from policy.core.cluster_view.expected_starts import ComputedRange, computed_starts, stated_starts
from policy.core.cluster_view.forward_play import go_on
from policy.core.cluster_view.live_root import Arrival, LiveRoot, Slot
from policy.core.cluster_view.run_lengths import AllSeries, series_of
from policy.core.cluster_view.view import RunningRow, StartRange
from policy.core.policies.conflicts import PolicyName
from policy.core.policies.snapshot import Snapshot
from policy.core.policies.status_figures import QuotaFigures
from policy.core.quota.accounts import Account, Root
from policy.core.quota.ledger import Ledger
from policy.core.values.amounts import Amount, Limits, Usage
from policy.service.reading.cluster_reading import Reading
from policy.service.release.root_state import RootState
from policy.service.tracking.tracked import Tracked

_NO_CHANGE: Final[Mapping[str, Tracked]] = {}


class LiveRoots:
    """Builds the roots of a reading; each as it is now only once.

    `rest` is called after short parts of the computation of starts.
    """

    def __init__(self, reading: Reading, *, rest: Callable[[], None] = go_on) -> None:
        self.reading = reading
        self._rest = rest
        self._known: dict[Root, LiveRoot] = {}
        self._computed: dict[Root, Mapping[str, ComputedRange]] = {}
        self._given: Mapping[Root, Mapping[str, StartRange]] | None = None

    def of_namespace(self, namespace: str) -> LiveRoot:
        """Return the root of a namespace as it is now."""
        root = self.reading.snapshot.policies(namespace).root
        known = self._known.get(root)
        if known is None:
            known = self._known[root] = self.build(root, self.reading.snapshot, self.reading.at)
        return known

    def expected(self, root: Root) -> Mapping[str, StartRange]:
        """Return when those that wait in a root are expected to start, by uid, as far as enough is known.

        Where a root was not read whole, none is: others may go before them.
        """
        if self._given is not None:
            return self._given.get(root, {})
        lengths = self.reading.lengths
        if lengths is None:
            return {}
        return stated_starts(self.computed(root), lengths, str(root), self.reading.at)

    def computed(self, root: Root) -> Mapping[str, ComputedRange]:
        """Return the same as it is before earlier misses are taken into account."""
        lengths, known = self.reading.lengths, self._computed.get(root)
        if lengths is None or not self.knows_all_of(root):
            return {}
        if known is None:
            reading = self.reading
            known = computed_starts(
                lambda: self.build(root, reading.snapshot, reading.at), lengths, reading.at, rest=self._rest
            )
            self._computed[root] = known
        return known

    def take_expected(self, found: Mapping[Root, Mapping[str, StartRange]]) -> None:
        """Expect these starts, which were computed before, in place of computing them now."""
        self._given = found

    def tells_starts(self, root: Root) -> bool:
        """Return whether it can be told of those that wait in a root when they start, or why not."""
        computed = self._given is None or root in self._given
        return self.reading.lengths is not None and computed and self.knows_all_of(root)

    def roots(self) -> set[Root]:
        """Return the roots of the namespaces that were read and are governed."""
        return {self.reading.snapshot.policies(each).root for each in self.governed()}

    def members(self, root: Root, snapshot: Snapshot) -> set[str]:
        """Return the known namespaces of a root."""
        return {each for each in self._namespaces(snapshot) if snapshot.policies(each).root == root}

    def governed(self) -> set[str]:
        """Return the namespaces that were read and that have quotas, or Workflows that wait."""
        reading, snapshot = self.reading, self.reading.snapshot
        return {
            each
            for each in self._namespaces(snapshot)
            if reading.knows(each) and (snapshot.policies(each).quotas or reading.tracker.holds_in(each))
        }

    def knows_all_of(self, root: Root) -> bool:
        """Return whether the Workflows of all its namespaces were read."""
        if root.pool and not self.reading.knows_members:
            return False
        return all(map(self.reading.knows, self.members(root, self.reading.snapshot)))

    def capacity(self, root: Root) -> Limits | None:
        """Return what nodes allow a pool: by its ledger, or else by the limits in its status."""
        ledger = self.reading.ledgers.get(root)
        if ledger is not None and ledger.capacity is not None:
            return ledger.capacity
        found = self._pool_figures(root)
        pools = self.reading.snapshot.pools
        if found is None or not any(each.spec.elastic for each in pools if each.metadata.name == root.pool):
            return None
        limits = found.effective_limits
        return Limits(Amount.parse(limits.workflows), Amount.parse(limits.tasks))

    def build(
        self, root: Root, snapshot: Snapshot, now: datetime, *, replaced: Mapping[str, Tracked] = _NO_CHANGE
    ) -> LiveRoot:
        """Return a root as its leader would have it: everything counted, and what fits released.

        `replaced` are Workflows, by uid, that are taken for those that were read.
        """
        tracker = self.reading.tracker
        members = self.members(root, snapshot)
        ledger = self.reading.ledgers.get(root, Ledger(root))
        state = RootState(
            root=root,
            snapshot=snapshot,
            namespaces=members,
            find=lambda uid: replaced.get(uid) or tracker.get(uid),
            now=now,
            ledger=ledger,
            capacity=self.capacity(root),
        )
        workflows = [replaced.get(each.uid, each) for each in tracker.in_namespaces(members)]
        for each in workflows:
            state.change(None, each, now)
        counted = state.count(ledger).total_usage()
        state.planner.set_used({**counted, **self._elsewhere(root)})
        pending = state.planner.pending
        had = [each for each in workflows if pending.get(each.uid) is None]
        state.planner.plan(now)
        had_slot = {each.uid for each in had}

        def series(uid: str) -> AllSeries:
            found = replaced.get(uid) or tracker.get(uid)
            return series_of(found.namespace, found.name, found.refers_to) if found is not None else ()

        def slots() -> Iterator[Slot]:
            for each in workflows:
                if pending.get(each.uid) is None:
                    starts_now = each.held or each.uid not in had_slot
                    since = now if starts_now else each.created
                    exact = starts_now or each.holds is None
                    yield Slot(state.load(each), series(each.uid), since, exact)

        def arrivals() -> Iterator[Arrival]:
            for each in workflows:
                if each.root_labels is None and (each.held or each.admitted):
                    waiter = pending.get(each.uid) or state.waiter(each)
                    limited = waiter.needs.wants or waiter.needs.shares
                    if limited and not waiter.on_hold and not waiter.fault:
                        yield Arrival(waiter, series(each.uid))

        return LiveRoot(
            root=root,
            planner=state.planner,
            running=lambda: [_running(each, root) for each in workflows if pending.get(each.uid) is None],
            usage=state.view(),
            loads=lambda: [state.load(each) for each in sorted(had, key=lambda each: each.order)],
            slots=slots,
            series_of=series,
            limits=state,
            capacity=self.capacity(root),
            arrivals=arrivals,
        )

    def _namespaces(self, snapshot: Snapshot) -> set[str]:
        return {*self.reading.tracker.namespaces(), *snapshot.quotas, *snapshot.namespace_labels}

    def _elsewhere(self, root: Root) -> dict[Account, Usage]:
        """Return what is used in namespaces that were not read, as the status of the pool has it."""
        found = self._pool_figures(root)
        if found is None or self.knows_all_of(root):
            return {}
        shares = {
            Account.share(root.pool, each.name): Usage(each.running, each.tasks)
            for each in found.namespaces
            if not self.reading.knows(each.name)
        }
        return {Account.of_pool(root.pool): Usage(found.running, found.tasks), **shares}

    def _pool_figures(self, root: Root) -> QuotaFigures | None:
        name = PolicyName("ClusterWorkflowQuota", "", root.pool)
        return self.reading.figures.get(name) if root.pool else None


def _running(tracked: Tracked, root: Root) -> RunningRow:
    """Return a Workflow that has its slot; one that is still held is being released."""
    return RunningRow(
        namespace=tracked.namespace,
        name=tracked.name,
        uid=tracked.uid,
        user=tracked.user,
        priority=tracked.usage_marks.priority,
        tasks=tracked.usage_marks.tasks.value,
        created=tracked.created,
        root=str(root),
        releasing=tracked.held,
        parent=tracked.parent if tracked.root_labels is not None else "",
    )
