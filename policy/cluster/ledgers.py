"""Ledgers in the cluster: QuotaLedger objects, read whole and written by compare-and-swap.

There is one object for each quota root, separate from policies so that frequent writes notify no watcher of
these. All threads of a process write a root one after the other, so they conflict with other processes only.
"""

from collections.abc import Callable, Container, Mapping
from datetime import datetime, timedelta
from threading import Event, Lock
from typing import Final

import msgspec

from policy.cluster.errors import AlreadyExists, Conflict, NotFound, TooManyCreates, Unavailable
from policy.cluster.ledger_observing import UNOBSERVED, LedgerObserver, WriteResult
from policy.cluster.protocol import QUOTA_LEDGERS, Cluster
from policy.core.decision.decision import ReservationRequest
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.demands import Shortfall
from policy.core.quota.ledger import (
    Ledger,
    Purpose,
    Reservation,
    cancel,
    not_counted,
    reserve,
    too_many_creates,
    under_nodes,
)
from policy.core.values.amounts import Amount, Limits, Usage
from policy.core.values.prepared import prepare

_NOW: Final = timedelta(0)
_COUNTED_SOON: Final = timedelta(milliseconds=100)
"""Between two reads whether the leader has counted a quota that is new."""
KNOWN_FOR: Final = timedelta(seconds=1)
"""So long the leader takes a ledger that it read or wrote for as it is now, where it has nothing to write.

One that was fenced off sees it by its next write in any case, and by this soon where it writes nothing."""
MAX_ATTEMPTS: Final = 8
"""Conflicts in a row after which a write gives up; each means that another process made progress."""


class _NotCounted(Unavailable):
    """The leader has not counted yet what runs under a quota, so nothing can be admitted."""


class AccountUsage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of `status.accounts`; `holders` are the names of those that use the key of a group."""

    account: Account
    usage: Usage
    holders: tuple[str, ...] = ()


class Spent(msgspec.Struct, frozen=True):
    """One entry of `status.history`: the decayed usage of a namespace or a user, for fair share."""

    tenant: Tenant
    amount: int


class Allowed(msgspec.Struct, frozen=True, omit_defaults=True):
    """`status.limits`: what nodes allow a pool that follows them; absent is unlimited."""

    workflows: int | None = None
    tasks: int | None = None


class LedgerStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """`status` of a QuotaLedger."""

    epoch: int = 0
    accounts: tuple[AccountUsage, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    limits: Allowed | None = None
    history: tuple[Spent, ...] = ()
    closed: bool = False


class LedgerMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that a compare-and-swap needs."""

    name: str
    resource_version: str = ""


class LedgerObject(msgspec.Struct, frozen=True, rename="camel"):
    """A QuotaLedger as the API serves it."""

    metadata: LedgerMetadata
    status: LedgerStatus = LedgerStatus()


class _WrittenLedger(msgspec.Struct, frozen=True):
    """A QuotaLedger as a write answers, of which only the version is new."""

    metadata: LedgerMetadata


prepare(LedgerObject, _WrittenLedger)


class Ledgers:
    """Reads and writes of ledgers by root; safe to use from several threads."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        led: bool = True,
        bounded: bool = True,
        leads: bool = False,
        observer: LedgerObserver = UNOBSERVED,
    ) -> None:
        """`led`: a leader counts what runs, and nothing is reserved on an account before it has.

        `bounded`: the number of pending creates is limited; not where none is ever counted.
        `leads`: this is that leader, which writes most ledgers alone. So it does not read before a write what
        it wrote last.
        """
        self._observer = observer
        self._cluster = cluster
        self._clock = clock
        self._led = led
        self._bounded = bounded
        self._leads = leads
        self._last: dict[Root, tuple[Ledger, str, datetime]] = {}
        self._waits = Event()
        self._locks: dict[Root, Lock] = {}
        self._locks_guard = Lock()

    def read(self, root: Root) -> Ledger:
        """Return the ledger of a root; one that was never written is empty."""
        return self._read_version(root)[0]

    def all(self) -> dict[Root, Ledger]:
        """Return every ledger that there is, by its root."""
        ledgers = {}
        for ledger, version in map(_decode, self._cluster.list(QUOTA_LEDGERS).items):
            ledgers[ledger.root] = ledger
            last = self._last.get(ledger.root)
            if last is not None and last[1] != version:  # Another process has written.
                self._last.pop(ledger.root, None)
        self._observer.listed(ledgers, _size)
        return ledgers

    def update_all(
        self, change: Callable[[Ledger], Ledger], *, but: Container[Root] = ()
    ) -> dict[Root, Ledger]:
        """Write what `change` returns for every ledger that there is, `but` some.

        Returns those that were written, by their roots; an unchanged one is not.

        Raises:
            Unavailable: as `update` does; some may have been written.
        """
        written = {}
        for item in self._cluster.list(QUOTA_LEDGERS).items:
            current, version = _decode(item)
            if current.root in but:
                continue
            wanted = change(current)
            if wanted == current:
                continue
            self._last.pop(current.root, None)
            try:
                self._write(wanted, version)
            except (Conflict, NotFound):
                self._observer.wrote(WriteResult.CONFLICT, 1)
                wanted = self.update(current.root, change)
            else:
                self._observer.wrote(WriteResult.OK, 1)
            written[current.root] = wanted
        return written

    def update(
        self, root: Root, change: Callable[[Ledger], Ledger], *, deadline: datetime | None = None
    ) -> Ledger:
        """Write what `change` returns for the ledger, by compare-and-swap, and return it.

        `change` runs again on what it finds after a conflict, so it must be pure. An unchanged ledger is not
        written, but it was read, by the one who leads in the last second.

        Raises:
            Unavailable: too many conflicts, or the deadline passed.
        """
        with self._lock_of(root):
            last = self._last.pop(root, None)
            attempt = 0
            for _ in range(MAX_ATTEMPTS):
                if deadline is not None and self._clock() >= deadline:
                    break
                current, version, known_at = last or self._read_at(root)
                wanted = change(current)
                if wanted == current:
                    if last is not None and not _NOW <= self._clock() - known_at < KNOWN_FOR:
                        known_at = self._clock()
                        if self._read_version(root)[1] != version:
                            last = None
                            continue
                    self._remember(current, version, known_at)
                    return current
                last = None
                attempt += 1
                known_at = self._clock()
                try:
                    version = self._write(wanted, version)
                except (Conflict, AlreadyExists, NotFound):
                    self._observer.wrote(WriteResult.CONFLICT, attempt)
                    continue
                self._observer.wrote(WriteResult.OK, attempt)
                self._remember(wanted, version, known_at)
                return wanted
        self._observer.wrote(WriteResult.EXHAUSTED, attempt)
        raise Unavailable(f"ledger {root} could not be written: too many writers or too little time")

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        """Reserve what a create needs; returns what is short, or nothing once it is reserved.

        Raises:
            TooManyCreates: too many creates are pending.
            Unavailable: the ledger could not be written in time, or the leader has not counted an account
                yet; nothing is known to be reserved.
        """
        wanted = self._reservation(request)
        short: list[Shortfall] = []

        def change(ledger: Ledger) -> Ledger:
            nonlocal short
            self._check_counted(ledger, request)
            if self._bounded and (why := too_many_creates(ledger, wanted)):
                raise TooManyCreates(why)
            reserved, short = _reserved(ledger, request, wanted)
            return reserved

        while True:
            try:
                self.update(request.root, change, deadline=deadline)
            except _NotCounted:
                # A quota that is new: the leader counts what runs under it soon.
                if deadline is None or self._clock() + _COUNTED_SOON >= deadline:
                    raise
                self._waits.wait(_COUNTED_SOON.total_seconds())
            else:
                return short

    def probe(self, request: ReservationRequest) -> list[Shortfall]:
        """Return what would be short now, reserving nothing: for dry runs."""
        return _reserved(self.read(request.root), request, self._reservation(request))[1]

    def _reservation(self, request: ReservationRequest) -> Reservation:
        return Reservation(
            id=request.id,
            namespace=request.namespace,
            workflow=request.workflow,
            accounts=request.accounts,
            requested=request.requested,
            at=self._clock(),
            purpose=Purpose.CREATE,
            user=request.user,
            groups=request.groups,
        )

    def _check_counted(self, ledger: Ledger, request: ReservationRequest) -> None:
        """Check that the leader has counted every account; without a leader nothing is counted.

        Raises Unavailable.
        """
        if self._led and (unknown := not_counted(ledger, request.accounts)):
            named = ", ".join(f"{each.namespace or 'pool'}/{each.quota}" for each in unknown)
            raise _NotCounted(f"ledger {request.root}: what runs under {named} is not counted yet")

    def holds(self, request: ReservationRequest) -> bool:
        """Return whether the ledger holds the reservation that an object claims for itself."""
        found = self.read(request.root).reservations.get(request.id)
        return found is not None and _is_for(found, request)

    def cancel(self, request: ReservationRequest) -> None:
        """Cancel a reservation whose create was refused (protocol rule 4d).

        One for another create, or for another user, stays: the id comes from a label, which any user may have
        written.
        """

        def change(ledger: Ledger) -> Ledger:
            found = ledger.reservations.get(request.id)
            if found is None or found.user != request.user or not _is_for(found, request):
                return ledger
            return cancel(ledger, request.id)

        self.update(request.root, change)

    def _read_version(self, root: Root) -> tuple[Ledger, str]:
        try:
            return _decode(self._cluster.get(QUOTA_LEDGERS, str(root)))
        except NotFound:
            return Ledger(root), ""

    def _read_at(self, root: Root) -> tuple[Ledger, str, datetime]:
        """Return a ledger, its version, and the time at which it was that at the latest."""
        known_at = self._clock()
        return *self._read_version(root), known_at

    def _remember(self, ledger: Ledger, version: str, known_at: datetime) -> None:
        """Remember a ledger as it was at a time, unless webhooks write it too: they reserve creates there."""
        if self._leads and not any(each.purpose is Purpose.CREATE for each in ledger.reservations.values()):
            self._last[ledger.root] = (ledger, version, known_at)

    def _write(self, ledger: Ledger, version: str) -> str:
        """Write a ledger over the one of a version, "" where there is none; return its new version."""
        obj = _encode(ledger, version)
        write = self._cluster.replace if version else self._cluster.create
        return msgspec.convert(write(QUOTA_LEDGERS, obj), _WrittenLedger).metadata.resource_version

    def _lock_of(self, root: Root) -> Lock:
        with self._locks_guard:
            return self._locks.setdefault(root, Lock())


def _size(ledger: Ledger) -> int:
    return len(msgspec.json.encode(_encode(ledger, "")))


def _reserved(
    ledger: Ledger, request: ReservationRequest, wanted: Reservation
) -> tuple[Ledger, list[Shortfall]]:
    demands, share = under_nodes(ledger, request.demands, request.share, request.nodes)
    return reserve(ledger, wanted, demands, share)


def _is_for(reservation: Reservation, request: ReservationRequest) -> bool:
    """Return whether a reservation is for this very object: a label alone may have been copied.

    Only the leader handles the release of a Workflow, though its id is no secret.
    """
    bound = (reservation.namespace, reservation.workflow) == (request.namespace, request.workflow)
    return bound and reservation.purpose is Purpose.CREATE


def _decode(obj: JsonObject) -> tuple[Ledger, str]:
    """Return a ledger and its version. Raises Unavailable where the object is damaged."""
    try:
        ledger = msgspec.convert(obj, LedgerObject)
    except msgspec.ValidationError as error:
        raise Unavailable(f"a ledger cannot be read: {error}; delete it, and it is created again") from error
    status = ledger.status
    used: Mapping[Account, Usage] = {each.account: each.usage for each in status.accounts}
    reservations = {reservation.id: reservation for reservation in status.reservations}
    allowed = status.limits
    capacity = None if allowed is None else Limits(Amount(allowed.workflows), Amount(allowed.tasks))
    root = Root.parse(ledger.metadata.name)
    history = {each.tenant: each.amount for each in status.history}
    holders = {each.account: each.holders for each in status.accounts if each.holders}
    read = Ledger(root, status.epoch, used, reservations, capacity, history, status.closed, holders)
    return read, ledger.metadata.resource_version


def _encode(ledger: Ledger, version: str) -> JsonObject:
    status = LedgerStatus(
        epoch=ledger.epoch,
        accounts=tuple(
            AccountUsage(account, ledger.used[account], ledger.holders.get(account, ()))
            for account in sorted(ledger.used)
        ),
        reservations=tuple(ledger.reservations.values()),
        limits=None
        if ledger.capacity is None
        else Allowed(ledger.capacity.workflows.value, ledger.capacity.tasks.value),
        history=tuple(Spent(tenant, amount) for tenant, amount in sorted(ledger.history.items())),
        closed=ledger.closed,
    )
    metadata: JsonObject = {"name": str(ledger.root)}
    if version:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": QUOTA_LEDGERS.api_version,
        "kind": QUOTA_LEDGERS.kind,
        "metadata": metadata,
        "status": msgspec.to_builtins(status),
    }
