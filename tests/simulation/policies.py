"""The quotas of a run, version by version, and what they ask, worked out apart from the product.

The referee judges by this module and the product by its own; they share nothing but the account's name.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.workflow_selectors import EVERY_WORKFLOW, WorkflowSelector
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policy_kinds.quota_parts import OnExceed, WorkflowQuotaSpec
from policy.core.quota.accounts import Account
from tests.policy.service.world import member, pool, quota
from tests.simulation.groups import Group, Keys, specs

POOL: Final = "shared"
NAMESPACES: Final = ("etl", "ml")


class Quota(msgspec.Struct, frozen=True):
    """One quota: of a namespace, or of all of them together where `namespace` is "" (a pool).

    `klass` restricts it to Workflows with the label `class`; limits of None are unlimited. Members of a pool
    with `borrows` may go so far beyond their own quotas as others leave room. `defaults` are the groups that
    a pool gives each of its members.
    """

    name: str
    namespace: str
    effect: OnExceed
    workflows: int | None
    tasks: int | None = None
    per_user: int | None = None
    klass: str = ""
    borrows: int | None = None
    groups: tuple[Group, ...] = ()
    defaults: tuple[Group, ...] = ()

    @property
    def is_share(self) -> bool:
        """Whether it is a share where the pool borrows."""
        return bool(self.namespace) and not self.klass and self.effect is not OnExceed.WARN

    def document(self) -> Document:
        """Return the policy object."""
        if not self.namespace:
            made = pool(
                self.name,
                workflows=self.workflows,
                tasks=self.tasks,
                on_exceed=self.effect,
                members=WorkflowSelector({"pool": POOL}),
                borrows=self.borrows,
            )
            defaults = WorkflowQuotaSpec(groups=specs(self.defaults)) if self.defaults else None
            spec = msgspec.structs.replace(made.spec, groups=specs(self.groups), namespace_defaults=defaults)
            return msgspec.structs.replace(made, spec=spec)
        selector = WorkflowSelector({"class": self.klass}) if self.klass else EVERY_WORKFLOW
        own = quota(
            self.namespace,
            self.name,
            workflows=self.workflows,
            tasks=self.tasks,
            per_user=self.per_user,
            on_exceed=self.effect,
            selector=selector,
        )
        return msgspec.structs.replace(own, spec=msgspec.structs.replace(own.spec, groups=specs(self.groups)))

    def scopes(self, namespace: str) -> Iterable["Scope"]:
        """Return its groups that count in a namespace, those that only warn left out."""
        if self.effect is not OnExceed.WARN:
            for each in self.groups:
                yield Scope(self.namespace, self.name, self.klass, each)
        for each in self.defaults:
            yield Scope(namespace, f"{self.name}.defaults", "", each)


class Scope(msgspec.Struct, frozen=True):
    """A group of the quota of this name, which counts in a namespace, or in all ("")."""

    namespace: str
    quota: str
    klass: str
    group: Group

    def account(self, key: str = "") -> Account:
        """Return the account of a key, or of all keys together."""
        return Account(self.namespace, f"{self.quota}:{self.group.name}", key)

    def key(self, subject: "Subject") -> str:
        """Return the key by which it counts a Workflow, "" where it does not."""
        selected = self.namespace in ("", subject.namespace) and self.klass in ("", subject.klass)
        return dict(subject.keys).get(self.group.key, "") if selected else ""


class Subject(msgspec.Struct, frozen=True):
    """What quotas look at in a Workflow."""

    namespace: str
    user: str
    klass: str
    tasks: int
    keys: Keys = ()


class Bound(msgspec.Struct, frozen=True):
    """An account and how much may run in it at once."""

    account: Account
    effect: OnExceed
    workflows: int | None
    tasks: int | None

    @property
    def of_user(self) -> bool:
        """Whether it bounds one user."""
        return bool(self.account.key) and ":" not in self.account.quota

    def admits(self, workflows: int, tasks: int) -> bool:
        """Tell whether so much may run."""
        fits = self.workflows is None or workflows <= self.workflows
        return fits and (self.tasks is None or tasks <= self.tasks)


class Version(msgspec.Struct, frozen=True):
    """All quotas at one time, and the snapshot that the product makes of them."""

    name: str
    quotas: tuple[Quota, ...]
    snapshot: Snapshot

    def root(self, namespace: str) -> str:
        """Return the name of the ledger that a namespace's accounts stand in."""
        pools = [each.name for each in self.quotas if not each.namespace]
        return f"pool.{pools[0]}" if pools else f"namespace.{namespace}"

    def bounds(self, subject: Subject) -> Iterable[Bound]:
        """Return every bound that a Workflow has to keep, those that only warn left out."""
        own = [
            each
            for each in self.quotas
            if each.namespace in ("", subject.namespace) and each.klass in ("", subject.klass)
        ]
        lender = next((each for each in own if each.borrows is not None), None)
        tree = [each for each in own if lender is not None and (each is lender or each.is_share)]
        one_denies = any(each.effect is OnExceed.DENY for each in tree)
        for each in own:
            effect = OnExceed.DENY if one_denies and each in tree else each.effect
            if effect is OnExceed.WARN:
                continue
            if each not in tree or each is lender:
                yield Bound(Account(each.namespace, each.name), effect, each.workflows, each.tasks)
            if each.per_user is not None:
                account = Account(each.namespace, each.name, subject.user)
                yield Bound(account, effect, each.per_user, None)
        shares = [each.workflows for each in tree if each is not lender and each.workflows is not None]
        if lender is not None:
            most = min(shares) + (lender.borrows or 0) if shares else None
            effect = OnExceed.DENY if one_denies else lender.effect
            yield Bound(Account(subject.namespace, f"{lender.name}/share"), effect, most, None)
        for scope in self.scopes(subject.namespace):
            if key := scope.key(subject):
                group = scope.group
                yield Bound(scope.account(), group.effect, None, None)
                yield Bound(scope.account(key), group.effect, group.workflows, group.tasks)

    def scopes(self, namespace: str) -> Iterable[Scope]:
        """Return the groups that count in a namespace."""
        for each in self.quotas:
            yield from each.scopes(namespace)


def version(number: int, quotas: Iterable[Quota]) -> Version:
    """Compile a version of the quotas; a pool covers all namespaces."""
    listed = tuple(quotas)
    documents = [each.document() for each in listed]
    if any(not each.namespace for each in listed):
        documents += [member(name, POOL) for name in NAMESPACES]
    name = f"v{number}"
    return Version(name, listed, take_snapshot(documents, version=name, argo=DEFAULT_VERSION))


class Book:
    """Every version that there was, by name; the last one is in force."""

    def __init__(self, first: Version) -> None:
        self._versions: dict[str, Version] = {first.name: first}
        self.latest = first

    def add(self, quotas: Iterable[Quota]) -> Version:
        """Put new quotas in force."""
        self.latest = version(len(self._versions) + 1, quotas)
        self._versions[self.latest.name] = self.latest
        return self.latest

    def of(self, name: str) -> Version | None:
        """Return a version by its name."""
        return self._versions.get(name)

    @property
    def versions(self) -> Mapping[str, Version]:
        """All versions."""
        return self._versions
