"""Reservations that move: a namespace that changes its pool finds its reservations in another ledger.

The ledger that it leaves is closed for it first, at a new epoch: whoever still goes by the old policies can
reserve there no more, and what is still on its way there does not arrive. What stands there then is carried
over, and dropped only when the new ledger has it. So a leader that dies in between leaves nothing behind that
the next one would not find.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial

import msgspec

from policy.cluster.ledgers import Ledgers
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import RESERVATION_TTL, Ledger, Purpose, Reservation, cancel
from policy.service.leading.fences import TERM, Fences


class Movers:
    """What is on its way from one ledger to another."""

    def __init__(self, *, ledgers: Ledgers, fences: Fences) -> None:
        self._ledgers = ledgers
        self._fences = fences
        self._arriving: dict[Root, list[Reservation]] = {}
        self._left: dict[Root, dict[Root, list[str]]] = {}
        self._losing: set[Root] = set()

    def lose(self, roots: Iterable[Root]) -> None:
        """Take note of roots that lose a namespace: they are closed for it whatever their ledgers show."""
        self._losing.update(roots)

    def gather(self, snapshot: Snapshot, housed: Collection[Root], now: datetime) -> dict[Root, Ledger]:
        """Return every ledger as new books begin with it; those that lost a namespace are closed for it.

        `housed` are the roots that books are kept of.

        Raises:
            Deposed: a ledger that is to be closed carries a higher epoch than ours.
        """
        found = self._ledgers.all()
        self._arriving, self._left = {}, {}
        for root in sorted({*found, *self._losing}):
            if root not in self._losing and not strays(found[root], snapshot, housed):
                continue
            closed = self._close(root, snapshot, housed, now)
            self._losing.discard(root)
            for each in closed.reservations.values():
                home = snapshot.policies(each.namespace).root
                if home != root and home in housed:
                    self._arriving.setdefault(home, []).append(each)
                    self._left.setdefault(home, {}).setdefault(root, []).append(each.id)
        return {root: _beginning(ledger, self._arriving.get(root, ())) for root, ledger in found.items()}

    def destinations(self) -> list[Root]:
        """Return the roots whose ledgers something is on its way to."""
        return list(self._arriving)

    def arriving(self, root: Root) -> list[Reservation]:
        """Return what is to stand in a ledger, and does not yet."""
        return self._arriving.get(root, [])

    def arrived(self, root: Root) -> None:
        """Drop from other ledgers what stands in this one now."""
        self._arriving.pop(root, None)
        for left, ids in self._left.pop(root, {}).items():
            self._ledgers.update(left, partial(_without, ids))

    def _close(self, root: Root, snapshot: Snapshot, housed: Collection[Root], now: datetime) -> Ledger:
        """Take the accounts of namespaces that are elsewhere out of a ledger; returns what stands.

        Reservations of namespaces that no quota governs any more go when nobody can use them.
        """

        def home(namespace: str) -> Root:
            return snapshot.policies(namespace).root if namespace else root

        def useless(each: Reservation) -> bool:
            return home(each.namespace) not in housed and (
                each.purpose is Purpose.RELEASE or now - each.at >= RESERVATION_TTL
            )

        def change(ledger: Ledger) -> Ledger:
            used = {
                account: usage
                for account, usage in ledger.used.items()
                if root in housed and home(account.namespace) == root
            }
            kept = {key: each for key, each in ledger.reservations.items() if not useless(each)}
            closed = root not in housed and not kept
            return msgspec.structs.replace(ledger, used=used, reservations=kept, closed=closed)

        return self._fences.refence(root, change)


def strays(ledger: Ledger, snapshot: Snapshot, housed: Collection[Root]) -> bool:
    """Tell whether anything in a ledger belongs elsewhere, or no quota speaks of its root and it is open."""
    if ledger.root == TERM:
        return False
    if ledger.root not in housed:
        return bool(ledger.used or ledger.reservations) or not ledger.closed
    places = {each.namespace for each in ledger.reservations.values()}
    places |= {account.namespace for account in ledger.used if account.namespace}
    return any(snapshot.policies(each).root != ledger.root for each in places)


def _beginning(ledger: Ledger, arriving: Iterable[Reservation]) -> Ledger:
    reservations = {**ledger.reservations, **{each.id: each for each in arriving}}
    return msgspec.structs.replace(ledger, reservations=reservations)


def _without(ids: Iterable[str], ledger: Ledger) -> Ledger:
    for each in ids:
        ledger = cancel(ledger, each)
    return ledger
