"""The state of a root driven by hand: Workflows as a tracker shows them, passes, and drawn policies."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from hypothesis import strategies as st

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.governing_quotas import borrowed_from, demands
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.policy_kinds.quota_parts import OnExceed, QueueSpec, QueueStrategy, QuotaLimits, StopPolicy
from policy.core.queue.ordering import Waiter
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import NodeBound
from policy.core.quota.ledger import Ledger, Purpose, Reservation, reserve, under_nodes
from policy.core.quota.pools import share_demand
from policy.core.values.amounts import Limits, Usage, withheld
from policy.service.release.root_state import MOST_RELEASES, RootState
from policy.service.tracking.tracked import Tracked, order_of, track
from tests.policy.core.builders import namespace_object, pool, snapshot
from tests.policy.service.world import NOON

ROOT = Root.of_pool("data")
POOL = Account("", "data")


def live(
    uid: str,
    *,
    namespace: str = "a",
    held: bool = True,
    tasks: int | None = 1,
    user: str = "ann",
    priority: int = 0,
    gold: bool = False,
    reservation: str = "",
    holds: int = 1,
    arrival: int = 0,
) -> Tracked:
    """Return a live Workflow with the marks that admission gives it."""
    labels: JsonObject = {}
    if held:
        labels[well_known.INSTANCE_ID] = well_known.HOLD_VALUE
    if gold:
        labels["tier"] = "gold"
    if reservation:
        labels[well_known.RESERVATION] = reservation
    annotations: JsonObject = {
        well_known.TASKS: well_known.UNBOUNDED if tasks is None else str(tasks),
        well_known.PRIORITY: str(priority),
        well_known.USER: user,
        well_known.HOLDS: str(holds),
    }
    metadata: JsonObject = {
        "name": uid,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": "5",
        "labels": labels,
        "annotations": annotations,
        "creationTimestamp": "2026-11-23T12:00:00Z",
    }
    tracked = track({"metadata": metadata})
    return msgspec.structs.replace(tracked, order=order_of(tracked.created, arrival))


def reserved(
    identity: str,
    *accounts: Account,
    namespace: str = "a",
    weight: Usage = Usage(1, 1),  # noqa: B008 - a frozen value
    purpose: Purpose = Purpose.RELEASE,
    user: str = "",
) -> Reservation:
    """Return a reservation."""
    workflow = identity.partition(".")[0]
    return Reservation(identity, namespace, workflow, accounts, weight, NOON, purpose, user)


def ledger_of(*reservations: Reservation, root: Root = ROOT) -> Ledger:
    """Return a ledger with these reservations and a stale count."""
    return Ledger(root, 3, {POOL: Usage(99, 99)}, {each.id: each for each in reservations})


def one_pool(limit: int | None, *more: Document, **spec: JsonValue) -> Snapshot:
    """Return a pool of the namespaces a and b."""
    spec.setdefault("limits", {} if limit is None else {"workflows": limit})
    made = pool("data", created="", **spec)
    return snapshot(made, namespace_object("a"), namespace_object("b"), *more)


class DrivenState:
    """A RootState and what it is made from: the live Workflows by uid, and the ledger as it is."""

    def __init__(
        self,
        policies: Snapshot,
        *workflows: Tracked,
        ledger: Ledger | None = None,
        root: Root = ROOT,
        namespaces: Iterable[str] = ("a", "b"),
        now: datetime = NOON,
        capacity: Limits | None = None,
    ) -> None:
        self.policies = policies
        self.now = now
        self.capacity = capacity
        self.live = {each.uid: each for each in workflows}
        self.seen = set(self.live)
        self.ledger = Ledger(root) if ledger is None else ledger
        self._namespaces = frozenset(namespaces)
        self.state = self.opened()

    def opened(self) -> RootState:
        """Return a new state of all that is there."""
        state = RootState(
            root=self.ledger.root,
            snapshot=self.policies,
            namespaces=self._namespaces,
            find=self._find,
            now=self.now,
            ledger=self.ledger,
            capacity=self.capacity,
        )
        for each in self.live.values():
            state.change(None, each, self.now)
        return state

    def _find(self, uid: str) -> Tracked | None:
        return self.live.get(uid)

    def reopen(self, policies: Snapshot) -> None:
        """Go on by other policies."""
        self.policies = policies
        self.state = self.opened()

    def edit(self, policies: Snapshot) -> "DrivenState":
        """Go on by policies in which limits are others only, with the state as it is."""
        assert self.state.take_over(policies, self._namespaces)
        self.state.put_limits(self.now, self.capacity)
        self.policies = policies
        return self

    def see(self, *changed: Tracked, gone: Iterable[str] = ()) -> None:
        """Fold in what a watch shows at once: Workflows that are new or changed, and those that are gone."""
        before = {each.uid: self.live.get(each.uid) for each in changed}
        before |= {uid: self.live.get(uid) for uid in gone}
        for uid in gone:
            self.live.pop(uid, None)
        self.live |= {each.uid: each for each in changed}
        self.seen |= set(self.live)
        for uid, each in before.items():
            if each is not None or uid in self.live:
                self.state.change(each, self.live.get(uid), self.now)

    def runs(self, *uids: str) -> None:
        """Show that Workflows were released."""
        self.see(*(free(self.live[uid]) for uid in uids))

    def settled(self, *, most: int = MOST_RELEASES) -> Ledger:
        """Return what a pass would write."""
        return self.state.settle(self.ledger, self.now, most=most)

    def work(self) -> list[str]:
        """Make a pass whose write succeeds; return what it releases, in order."""
        before = self.ledger.reservations
        self.ledger = self.settled()
        self.state.written(self.ledger)
        return [each.workflow for each in self.ledger.reservations.values() if each.id not in before]

    def lose_the_answer(self) -> None:
        """Make a pass whose write succeeds that the state does not hear of."""
        self.ledger = self.settled()

    def fail(self) -> None:
        """Make a pass whose write fails."""
        self.settled()

    def later(self, by: timedelta, capacity: Limits | None) -> None:
        """Let time pass and nodes come or go."""
        self.now += by
        self.capacity = capacity
        self.state.put_limits(self.now, capacity)

    def waiting(self) -> dict[str, Waiter]:
        """Return what waits."""
        return {each.uid: each for each in self.state.planner.pending.waiters()}


def free(held: Tracked) -> Tracked:
    """Return a Workflow without its hold."""
    return msgspec.structs.replace(held, hold=None)


def fits(ledger: Ledger, each: Tracked, driven: DrivenState) -> bool:
    """Return whether a held Workflow has capacity, computed as admission does it where quotas deny."""
    governing = driven.state.quotas_of(each)
    quotas = [one for one in governing if one.on_exceed is not OnExceed.WARN]
    caps = [one.max_priority for one in governing if one.max_priority is not None]  # A warning one caps, too.
    priority, user = min([each.usage_marks.priority, *caps]), each.user
    wanted = demands(quotas, user, now=driven.now, priority=priority)
    pool_there = borrowed_from(quotas, each.namespace, driven.policies)
    share = None if pool_there is None else share_demand(pool_there, each.namespace, priority, driven.now)
    found = driven.policies.pool(each.namespace)
    bound = None
    if found is not None and found.capacity is not None:
        kept = withheld(found.quota.reserves, priority)
        bound = NodeBound(found.quota.account, found.capacity.lowest, kept)
    wanted, share = under_nodes(ledger, wanted, share, bound)
    asked = reserved(each.release, namespace=each.namespace, weight=each.weight)
    return not reserve(ledger, asked, wanted, share)[1]


def _maps(
    given: Mapping[str, st.SearchStrategy[JsonValue]], **optional: st.SearchStrategy[JsonValue]
) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries({**given}, optional=optional)


_bounds = _maps({}, workflows=st.integers(0, 5), tasks=st.integers(0, 12))
_windows = _maps(
    {
        "name": st.just("noon"),
        "schedule": st.just("0 11 * * *"),
        "duration": st.just("2h"),
        "limits": _bounds.filter(bool),
    }
)
_reserves = _maps({"abovePriority": st.integers(-1, 0), "workflows": st.integers(0, 2)})


def _some(strategy: st.SearchStrategy[JsonObject], most: int) -> st.SearchStrategy[JsonValue]:
    return st.lists(strategy, max_size=most).map(list[JsonValue])


_usual: Mapping[str, st.SearchStrategy[JsonValue]] = {
    "limits": _bounds,
    "onExceed": st.sampled_from([each.value for each in OnExceed]),
    "windows": _some(_windows, 1),
    "reserve": _some(_reserves, 2),
}
_gold: JsonObject = {"matchLabels": {"tier": "gold"}}
_caps = _maps({"maxPriority": st.integers(-1, 1)})
_quotas = _maps(_usual, perUser=_bounds, selector=st.just(_gold), perWorkflow=_caps)
_shares = _maps({}, a=_bounds, b=_bounds)
_borrowing = _maps({"enabled": st.booleans()}, borrowingLimit=_bounds, lendingLimit=_bounds, shares=_shares)
ELASTIC: Final[JsonObject] = {"workflowsPerNode": 1, "min": {"workflows": 1}, "max": {"workflows": 4}}
_pools = _maps(_usual, borrowing=_borrowing, namespaceDefaults=_quotas, elastic=st.just(ELASTIC)).filter(
    lambda spec: "borrowing" not in spec or spec["onExceed"] != OnExceed.WARN
)


@st.composite
def policies(draw: st.DrawFn) -> Snapshot:
    """Return a pool of the namespaces a and b, and up to two quotas in each of these."""
    spec = {"namespaceSelector": {}, **draw(_pools)}
    made = msgspec.convert({"metadata": {"name": "data"}, "spec": spec}, ClusterWorkflowQuota)
    documents: list[Document] = [made, namespace_object("a"), namespace_object("b")]
    for namespace in "ab":
        for number, drawn in enumerate(draw(st.lists(_quotas, max_size=2))):
            metadata = {"name": f"q{number}", "namespace": namespace}
            documents.append(msgspec.convert({"metadata": metadata, "spec": drawn}, WorkflowQuota))
    return snapshot(*documents)


Bounded = TypeVar("Bounded", WorkflowQuota, ClusterWorkflowQuota)


@st.composite
def edited(draw: st.DrawFn, before: Snapshot) -> Snapshot:
    """Return the same policies with other limits, and other rules of the queue."""

    def drawn(old: Bounded) -> Bounded:
        limits = msgspec.convert(draw(_bounds), QuotaLimits)
        queue = QueueSpec(
            strategy=draw(st.sampled_from(QueueStrategy)), aging=draw(st.sampled_from(["1h", "1m"]))
        )
        stop = draw(st.sampled_from([StopPolicy.NONE, StopPolicy.NONE, StopPolicy.HOLD]))
        spec = msgspec.structs.replace(old.spec, limits=limits, queue=queue, stop_policy=stop)
        return msgspec.structs.replace(old, spec=spec)

    documents: list[Document] = [drawn(each) for each in before.pools]
    documents += [drawn(each) for quotas in before.quotas.values() for each in quotas]
    return snapshot(*documents, namespace_object("a"), namespace_object("b"))


@st.composite
def workflows(draw: st.DrawFn, number: int) -> Tracked:
    """Return a live Workflow of a number, held or running."""
    return live(
        f"u{number}",
        namespace="ab"[number % 2],
        held=draw(st.booleans()),
        tasks=draw(st.none() | st.integers(1, 6)),
        user=draw(st.sampled_from(["ann", "bob"])),
        priority=draw(st.integers(-1, 1)),
        gold=draw(st.booleans()),
        reservation=draw(st.sampled_from(["", f"c{number}"])),
        holds=draw(st.integers(1, 3)),
        arrival=number,
    )


@st.composite
def driven_states(draw: st.DrawFn) -> DrivenState:
    """Return policies, live Workflows, and a ledger with reservations of some of them and of strangers."""
    snapshot_drawn = draw(policies())
    present = [draw(workflows(number)) for number in range(draw(st.integers(0, 8)))]
    reader = DrivenState(snapshot_drawn, *present)
    reservations = []
    for each in present:
        if draw(st.booleans()):
            accounts = reader.state.load(each).accounts
            identity = f"{each.uid}.{draw(st.integers(1, 2))}"
            reservations.append(reserved(identity, *accounts, namespace=each.namespace, weight=each.weight))
    creates = draw(st.sets(st.sampled_from(["c0", "c1", "c2", "lost"])))
    reservations += [reserved(identity, POOL, purpose=Purpose.CREATE) for identity in sorted(creates)]
    if draw(st.booleans()):
        reservations.append(reserved("gone.1", POOL))
    return DrivenState(snapshot_drawn, *present, ledger=ledger_of(*reservations))
