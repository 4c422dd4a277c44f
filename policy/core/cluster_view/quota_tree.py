"""The quotas of a view as a tree: each pool with its members, then the quotas that are in none."""

from collections.abc import Iterator

import msgspec

from policy.core.cluster_view.view import ClusterView, QuotaRow
from policy.core.policies.group_figures import GroupFigures
from policy.core.policies.status_figures import MemberFigures, QuotaFigures


class QuotaTreeRow(msgspec.Struct, frozen=True):
    """One row: a pool, a `quota` of a namespace, or a member of a pool that has no quota of its own."""

    label: str
    figures: QuotaFigures | MemberFigures
    quota: QuotaRow | None = None
    namespace: str = ""
    in_pool: bool = False

    @property
    def pool(self) -> str:
        """The name of the pool that the row is; "" where it is none."""
        return "" if self.namespace or self.quota is None else self.quota.name


def quota_tree(view: ClusterView) -> Iterator[QuotaTreeRow]:
    """Yield the rows from top to bottom."""
    pools = [each for each in view.quotas if not each.namespace]
    in_pools = {each.name for each in pools}
    for pool in pools:
        yield QuotaTreeRow(f"pool {pool.name}", pool.figures, pool)
        own = {each.namespace for each in view.quotas if each.pool == pool.name}
        for member in pool.figures.namespaces:
            if member.name not in own:
                yield QuotaTreeRow(member.name, member, namespace=member.name, in_pool=True)
        for each in view.quotas:
            if each.pool == pool.name:
                yield _quota(each, in_pool=True)
    for each in view.quotas:
        if each.namespace and each.pool not in in_pools:
            yield _quota(each, in_pool=False)


def keys_in_words(group: GroupFigures) -> str:
    """Return how many keys of a group are in use: `3 keys in use, 1 at its limit`."""
    used, full = group.keys_in_use, group.keys_at_limit
    keys = f"{used} key{'' if used == 1 else 's'} in use"
    return f"{keys}, {full} at {'its' if full == 1 else 'their'} limit" if full else keys


def _quota(row: QuotaRow, *, in_pool: bool) -> QuotaTreeRow:
    return QuotaTreeRow(f"{row.namespace}/{row.name}", row.figures, row, row.namespace, in_pool)
