"""What usage is counted on: the account, the root (one ledger, one queue), and the tenant of fair share."""

import msgspec


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
    """What is counted together: a quota in a namespace ("" for a pool), per user where `user` is given."""

    namespace: str
    quota: str
    user: str = ""

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

    def of_user(self, user: str) -> "Account":
        """Return the account of one user on the same quota."""
        return Account(self.namespace, self.quota, user)

    @property
    def whole(self) -> "Account":
        """The account of all users of the same quota."""
        return Account(self.namespace, self.quota) if self.user else self


class Tenant(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """What fair share compares: a namespace (no user) with others, or a user with others of the namespace."""

    namespace: str
    user: str = ""
