"""The fences of a leader: the epochs that it has raised, which keep whoever led before it from writing.

Ledgers are fenced one by one, so a leader that was deposed without knowing it could still begin with one that
its policies speak of and those of the new leader do not. Hence the term, the epoch of a ledger that counts
nothing: a new leader raises it before it fences every ledger that is not closed, and whoever fences another
later looks at it afterwards. So a ledger that a deposed leader makes is either found and fenced by the new
one, or made by one that then learns that it was deposed.

Fences also stop what this leader itself sent and has no answer to: a write that is still on its way when a
namespace leaves a ledger would bring accounts back that nobody counts any more.
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
        """Raise the epoch of every root that is not fenced yet; tells whether there were any.

        The first time these are all that have a ledger, too. The caller lists the objects after it and before
        the next pass (protocol rule 1).

        Raises:
            Deposed: another leader has begun since this one did.
        """
        if not self._term:
            self._begin(roots)
            return True
        new = [root for root in roots if root not in self]
        if new:
            self._check_term()  # The one afterwards is what counts; this spares the next leader trouble.
            self._unread = True  # Until that has passed, though a ledger cannot be fenced meanwhile.
            self._raise(new)
        if self._unread:
            self._check_term()
            self._unread = False
        return bool(new)

    def _begin(self, roots: Iterable[Root]) -> None:
        term = self._ledgers.update(TERM, fence).epoch
        found = self._ledgers.update_all(_fence_open, but={TERM})
        # One that was closed while we wrote is nobody's, and so not ours.
        self._epochs = {root: ledger.epoch for root, ledger in found.items() if not ledger.closed}
        self._raise(root for root in roots if root not in self)
        self._term = term

    def _raise(self, roots: Iterable[Root]) -> None:
        for root in roots:
            self._epochs[root] = self._ledgers.update(root, fence).epoch

    def refence(self, root: Root, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Write what `change` makes of a ledger at its next epoch; what was sent before conflicts then.

        A root that was not fenced before is not by this either, and one that is closed by it is not any more.
        Where no answer comes, the root is to be fenced anew, for its epoch is not known.

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
        """See that a ledger is still ours (protocol rule 2).

        Raises:
            Deposed: another leader has fenced it.
        """
        _check(ledger, self._epochs[ledger.root])

    def _check_term(self) -> None:
        _check(self._ledgers.read(TERM), self._term)


def _fence_open(ledger: Ledger) -> Ledger:
    """Return a ledger at its next epoch, but one that is closed as it is: nobody has its epoch."""
    return ledger if ledger.closed else fence(ledger)


def _check(ledger: Ledger, ours: int) -> None:
    if ledger.epoch != ours:
        raise Deposed(f"ledger {ledger.root} is at epoch {ledger.epoch}, ours is {ours}")
