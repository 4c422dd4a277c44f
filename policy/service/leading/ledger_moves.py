"""Which reservations move to another ledger: those of a namespace that changes its pool.

The ledger that it leaves is closed for it first, at a new epoch: a replica with the old policies can reserve
there no more, and a write that is still on its way conflicts. The reservations in it are then copied, and
dropped only when the new ledger has them. So the next leader finds all of them, should this one die between.
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


class LedgerMoves:
    """What is on its way from one ledger to another."""

    def __init__(self, *, ledgers: Ledgers, fences: Fences) -> None:
        self._ledgers = ledgers
        self._fences = fences
        self._arriving: dict[Root, list[Reservation]] = {}
        self._left: dict[Root, dict[Root, list[str]]] = {}
        self._losing: set[Root] = set()

    def lose(self, roots: Iterable[Root]) -> None:
        """Record roots that lose a namespace: they are closed for it whatever their ledgers show."""
        self._losing.update(roots)

    def gather(self, snapshot: Snapshot, roots: Collection[Root], now: datetime) -> dict[Root, Ledger]:
        """Return every ledger as a root state begins with it; those that lost a namespace are closed for it.

        `roots` are those that have a state.

        Raises:
            Deposed: a ledger that is to be closed carries a higher epoch than ours.
        """
        found = self._ledgers.all()
        self._arriving, self._left = {}, {}
        for root in sorted({*found, *self._losing}):
            if root not in self._losing and not is_misplaced(found[root], snapshot, roots):
                continue
            closed = self._close(root, snapshot, roots, now)
            self._losing.discard(root)
            for each in closed.reservations.values():
                own_root = snapshot.policies(each.namespace).root
                if own_root != root and own_root in roots:
                    self._arriving.setdefault(own_root, []).append(each)
                    self._left.setdefault(own_root, {}).setdefault(root, []).append(each.id)
        for root, arriving in self._arriving.items():
            if root in found:
                added = {**found[root].reservations, **{each.id: each for each in arriving}}
                found[root] = msgspec.structs.replace(found[root], reservations=added)
        return found

    def destinations(self) -> list[Root]:
        """Return the roots whose ledgers reservations move to."""
        return list(self._arriving)

    def arriving(self, root: Root) -> list[Reservation]:
        """Return the reservations that a ledger is to have and does not have yet."""
        return self._arriving.get(root, [])

    def arrived(self, root: Root) -> None:
        """Drop from other ledgers the reservations that this one has now."""
        self._arriving.pop(root, None)
        for left, ids in self._left.pop(root, {}).items():
            self._ledgers.update(left, partial(_without, ids))

    def _close(self, root: Root, snapshot: Snapshot, roots: Collection[Root], now: datetime) -> Ledger:
        """Take the accounts of namespaces that are elsewhere out of a ledger; return what is left.

        Reservations of namespaces that no quota governs any more are dropped when no create can use them.
        """

        def root_of(namespace: str) -> Root:
            return snapshot.policies(namespace).root if namespace else root

        def useless(each: Reservation) -> bool:
            return root_of(each.namespace) not in roots and (
                each.purpose is Purpose.RELEASE or now - each.at >= RESERVATION_TTL
            )

        def change(ledger: Ledger) -> Ledger:
            used = {
                account: usage
                for account, usage in ledger.used.items()
                if root in roots and root_of(account.namespace) == root
            }
            left = {key: each for key, each in ledger.reservations.items() if not useless(each)}
            closed = root not in roots and not left
            return msgspec.structs.replace(ledger, used=used, reservations=left, closed=closed)

        return self._fences.refence(root, change)


def is_misplaced(ledger: Ledger, snapshot: Snapshot, roots: Collection[Root]) -> bool:
    """Return whether a ledger has an entry of another root, or is open though its root has no quota."""
    if ledger.root == TERM:
        return False
    if ledger.root not in roots:
        return bool(ledger.used or ledger.reservations) or not ledger.closed
    places = {each.namespace for each in ledger.reservations.values()}
    places |= {account.namespace for account in ledger.used if account.namespace}
    return any(snapshot.policies(each).root != ledger.root for each in places)


def _without(ids: Iterable[str], ledger: Ledger) -> Ledger:
    for each in ids:
        ledger = cancel(ledger, each)
    return ledger
