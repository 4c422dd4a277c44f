"""How many creates may be on their way in one ledger: it is read and written whole, so it must stay small.

A create is on its way from its review until the controller counts it, mostly for a short time. Releases are
the controller's own, which bounds them itself.
"""

from collections.abc import Iterable
from typing import Final

from policy.core.quota.ledger import Ledger, Purpose, Reservation

MOST_CREATES: Final = 1_000
MOST_OF_USER: Final = 250
MOST_OF_NAME: Final = 16
"""Creates on their way: in a ledger, of one user, and of one name, which share a slot."""
_MOST_ACCOUNTS: Final = 8 * MOST_CREATES
"""Accounts that they count on together: the author of quotas decides how many one create has."""
_MOST_ACCOUNTS_OF_USER: Final = _MOST_ACCOUNTS // 4
_SHOWN: Final = 100
"""Characters of a name in a message."""
_LATER: Final = "on their way, and the controller has not counted them yet; try again in a moment"


def crowd(ledger: Ledger, wanted: Reservation) -> str:
    """Return why one more create has no place in the ledger, or nothing."""
    if wanted.id in ledger.reservations:
        return ""
    creates = [each for each in ledger.reservations.values() if each.purpose is Purpose.CREATE]
    if sum(each.slot == wanted.slot for each in creates) >= MOST_OF_NAME:
        name = f"{wanted.namespace}/{wanted.workflow}"
        return f"{MOST_OF_NAME} creates of Workflow {name[:_SHOWN]} are {_LATER}"
    own = [each for each in creates if each.user == wanted.user]
    if len(own) >= MOST_OF_USER or _accounts(own, wanted) > _MOST_ACCOUNTS_OF_USER:
        user = wanted.user[:_SHOWN]
        return f"{len(own)} creates of user {user} under the quotas of {ledger.root} are {_LATER}"
    if len(creates) >= MOST_CREATES or _accounts(creates, wanted) > _MOST_ACCOUNTS:
        return f"{len(creates)} creates under the quotas of {ledger.root} are {_LATER}"
    return ""


def _accounts(creates: Iterable[Reservation], wanted: Reservation) -> int:
    return sum(len(each.accounts) for each in creates) + len(wanted.accounts)
