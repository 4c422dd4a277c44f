"""Which roots a leader has fenced: the epochs that it has raised, so that earlier leaders cannot write.

Ledgers are fenced one by one, so a leader that does not know yet that it was deposed could still begin with
one that only its policies name. Hence the term, the epoch of a ledger that counts nothing: a new leader
raises it before it fences every ledger that is not closed, and a leader that fences another later reads it
afterwards. So a ledger that a deposed leader creates is either found and fenced by the new one, or its
creator then learns that it was deposed.

Fences also stop what this leader itself sent and has no answer to: a write that is still on its way when a
namespace leaves a ledger would bring back accounts that are not counted any more.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from policy.cluster.ledgers import Ledgers
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger, fence

TERM: Final = Root("term")
"""The ledger whose epoch counts leaders; nothing is counted in it."""


class Deposed(Exception):  # noqa: N818 - the field's word for a leader that was fenced off
    """Another leader has raised the epoch of a ledger; this one must stop at once."""


class Fences:
    """Which roots a leader has fenced, each with its epoch."""

    def __init__(self, *, ledgers: Ledgers) -> None:
        self._ledgers = ledgers
        self._epochs: dict[Root, int] = {}
        self._term = 0
        self._unread = False

    def __contains__(self, root: Root) -> bool:
        return root in self._epochs

    def raise_new(self, roots: Collection[Root]) -> bool:
        """Raise the epoch of every root that is not fenced yet; return whether there were any.

        The first time these include all that have a ledger. The caller lists the objects after it and before
        the next pass (protocol rule 1).

        Raises:
            Deposed: another leader has begun since this one did.
        """
        if not self._term:
            self._begin(roots)
            return True
        new = [root for root in roots if root not in self]
        if new:
            self._check_term()  # The one afterwards counts; this one spares the next leader conflicts.
            self._unread = True  # Until the term is checked, even if a ledger cannot be fenced.
            self._raise(new)
        if self._unread:
            self._check_term()
            self._unread = False
        return bool(new)

    def _begin(self, roots: Iterable[Root]) -> None:
        term = self._ledgers.update(TERM, fence).epoch
        found = self._ledgers.update_all(_fence_open, but={TERM})
        # One that was closed while we wrote has no leader.
        self._epochs = {root: ledger.epoch for root, ledger in found.items() if not ledger.closed}
        self._raise(root for root in roots if root not in self)
        self._term = term

    def _raise(self, roots: Iterable[Root]) -> None:
        for root in roots:
            self._epochs[root] = self._ledgers.update(root, fence).epoch

    def refence(self, root: Root, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Write what `change` makes of a ledger at its next epoch; what was sent before conflicts then.

        A root that was not fenced before stays so, and one that is closed by it is not fenced any more. Where
        no answer arrives, the root is to be fenced again, for its epoch is not known.

        Raises:
            Deposed: another leader has begun since this one did.
        """
        ours = self._epochs.pop(root, None)
        if ours is None:
            self._check_term()

        def raised(ledger: Ledger) -> Ledger:
            if ours is not None:
                _check(ledger, ours)
            return change(fence(ledger))

        written = self._ledgers.update(root, raised)
        if ours is not None and not written.closed:
            self._epochs[root] = written.epoch
        return written

    def check(self, ledger: Ledger) -> None:
        """Check that no other leader has fenced a ledger (protocol rule 2).

        Raises:
            Deposed: another leader has fenced it.
        """
        _check(ledger, self._epochs[ledger.root])

    def _check_term(self) -> None:
        _check(self._ledgers.read(TERM), self._term)


def _fence_open(ledger: Ledger) -> Ledger:
    """Return a ledger at its next epoch; one that is closed as it is, for no leader has its epoch."""
    return ledger if ledger.closed else fence(ledger)


def _check(ledger: Ledger, ours: int) -> None:
    if ledger.epoch != ours:
        raise Deposed(f"ledger {ledger.root} is at epoch {ledger.epoch}, ours is {ours}")
