"""Groups that do not fit, at the account that has no room for them, sorted by how much they need there."""

from collections.abc import Callable, Hashable
from typing import TypeAlias

from policy.core.groups import Group, Parked
from policy.core.ledger import Account
from policy.core.ordering import Key
from policy.core.ranking import Ranking

Bucket: TypeAlias = tuple[Hashable, bool]
Placed: TypeAlias = tuple[Key, Group]


class Parking:
    """Parked groups. Those of one bucket need the same of one account: their first speaks for all."""

    def __init__(self, key: Callable[[Group], Key | None]) -> None:
        self._key = key
        self._accounts: dict[Account, dict[Bucket, Ranking[Group]]] = {}

    def park(self, group: Group, where: Parked) -> None:
        """Park a group that is not parked."""
        group.parked = where
        buckets = self._accounts.setdefault(where.account, {})
        bucket = (where.bucket, group.never)
        if bucket not in buckets:
            buckets[bucket] = Ranking(self._key)
        buckets[bucket].put(group)

    def leave(self, group: Group) -> None:
        """Take a group away, if it is parked; call it before `never` changes."""
        where = group.parked
        if where is None:
            return
        group.parked = None
        bucket = (where.bucket, group.never)
        buckets = self._accounts[where.account]
        buckets[bucket].discard(group)
        if not len(buckets[bucket]):
            del buckets[bucket]
            if not buckets:
                del self._accounts[where.account]

    def moved(self, group: Group) -> None:
        """Put a parked group to where its key belongs now, which has fallen."""
        where = group.parked
        if where is not None:
            self._accounts[where.account][where.bucket, group.never].put(group)

    def best(self, account: Account, fits: Callable[[Group], bool] | None = None) -> Placed | None:
        """Return the first group at an account that may fit one day, and fits now if that is asked."""
        found: Placed | None = None
        for (_, never), ranking in self._accounts.get(account, {}).items():
            first = None if never else ranking.first()
            if first is not None and (fits is None or fits(first[1])) and (found is None or first < found):
                found = first
        return found
