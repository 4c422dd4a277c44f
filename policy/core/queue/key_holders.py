"""Which running Workflows use the keys of groups, by name: for people who ask why theirs waits."""

from collections.abc import Iterable

from policy.core.quota.accounts import Account


class KeyHolders:
    """The running Workflows of each key, in the order in which they came; a key without any is forgotten."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[Account, dict[str, str]] = {}

    def began(self, uid: str, name: str, accounts: Iterable[Account]) -> None:
        """Note a Workflow that counts on these accounts; only those of keys matter."""
        for account in accounts:
            if account.key and account.group:
                self._names.setdefault(account, {})[uid] = name

    def ended(self, uid: str, accounts: Iterable[Account]) -> None:
        """Forget a Workflow that counts no longer."""
        for account in accounts:
            names = self._names.get(account)
            if names is not None and names.pop(uid, None) is not None and not names:
                del self._names[account]

    def names(self, account: Account) -> tuple[str, ...]:
        """Return the names of those that use a key."""
        return tuple(self._names.get(account, {}).values())
