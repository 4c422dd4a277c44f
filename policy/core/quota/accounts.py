"""What usage is counted on: the account, the root (one ledger, one queue), and the tenant of fair share."""

from typing import Final

import msgspec

_GROUP: Final = ":"
"""Between the name of a quota and that of its group; no name has it."""


class Root(msgspec.Struct, frozen=True, order=True):
    """A pool with all of its members, or a namespace that is in no pool: each root has one ledger.

    As text it is the name of the ledger: `pool.NAME` or `namespace.NAME`.
    """

    kind: str
    name: str = ""

    @staticmethod
    def of_pool(name: str) -> "Root":
        """Return the root of a pool."""
        return Root("pool", name)

    @staticmethod
    def of_namespace(name: str) -> "Root":
        """Return the root of a namespace that is in no pool."""
        return Root("namespace", name)

    @staticmethod
    def parse(text: str) -> "Root":
        """Return the root that this text names."""
        kind, _, name = text.partition(".")
        return Root(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}" if self.name else self.kind

    @property
    def pool(self) -> str:
        """The name of the pool, "" for a namespace."""
        return self.name if self.kind == "pool" else ""


class Account(msgspec.Struct, frozen=True, order=True, omit_defaults=True, cache_hash=True, gc=False):
    """What is counted together: a quota in a namespace ("" for a pool), or a group of it.

    With a `key`, only those that have it: a user, or the key of the group. No quota can have the name of the
    account of a group.
    """

    namespace: str
    quota: str
    key: str = msgspec.field(default="", name="user")  # The name in stored ledgers.

    @staticmethod
    def of_pool(pool: str) -> "Account":
        """Return the account of what all members of a pool use."""
        return Account("", pool)

    @staticmethod
    def share(pool: str, namespace: str) -> "Account":
        """Return the account of what a member uses of a pool that borrows; no quota can have its name."""
        return Account(namespace, f"{pool}/share")

    @staticmethod
    def defaults(pool: str, namespace: str) -> "Account":
        """Return the account of the quota that a pool gives each of its members."""
        return Account(namespace, f"{pool}.defaults")

    def of_group(self, group: str) -> "Account":
        """Return the account of one group of the same quota."""
        return Account(self.namespace, f"{self.quota}{_GROUP}{group}")

    def of_key(self, key: str) -> "Account":
        """Return the account of one key (a user, or a key of the group) on the same quota."""
        return Account(self.namespace, self.quota, key)

    @property
    def whole(self) -> "Account":
        """The account of all keys of the same quota."""
        return Account(self.namespace, self.quota) if self.key else self

    @property
    def group(self) -> str:
        """The name of the group that it counts for, or ""."""
        return self.quota.partition(_GROUP)[2]

    @property
    def owner(self) -> str:
        """The name of the quota, without that of its group."""
        return self.quota.partition(_GROUP)[0]


class Tenant(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """What fair share compares: a namespace (no user) with others, or a user with others of the namespace."""

    namespace: str
    user: str = ""
