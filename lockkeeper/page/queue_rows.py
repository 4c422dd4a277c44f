"""Those that wait, or run, of a view: filtered, sorted, and one page of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import urlencode

import msgspec

from lockkeeper.page.paging import OnePage, number_in, page_of
from lockkeeper.views.queue_table import Sort, sorted_rows
from policy.core.cluster_view.view import ClusterView, RunningRow, WaitingRow
from policy.core.quota.accounts import Root

PAGE_ROWS: Final = 100
_MOST_CHOICES: Final = 500
"""Values that a filter offers; more are found by writing them."""
_Row: TypeAlias = WaitingRow | RunningRow


class Filters(msgspec.Struct, frozen=True):
    """What is asked for; "" is everything."""

    namespace: str = ""
    pool: str = ""
    user: str = ""
    reason: str = ""
    sort: Sort = Sort.POSITION
    running: bool = False
    page: int = 1

    @staticmethod
    def of(query: Mapping[str, str]) -> "Filters":
        """Return those of a query; what cannot be understood is left out."""
        sort = query.get("sort", "")
        return Filters(
            namespace=query.get("namespace", ""),
            pool=query.get("pool", ""),
            user=query.get("user", ""),
            reason=query.get("reason", ""),
            sort=Sort(sort) if sort in list(Sort) else Sort.POSITION,
            running=query.get("show") == "running",
            page=number_in(query),
        )

    def query(self, *, page: int = 1) -> str:
        """Return the query of another page of the same."""
        show = "running" if self.running else ""
        sort = "" if self.sort is Sort.POSITION else str(self.sort)
        words = {
            "show": show,
            "namespace": self.namespace,
            "pool": self.pool,
            "user": self.user,
            "reason": self.reason,
            "sort": sort,
            "page": "" if page == 1 else str(page),
        }
        return urlencode({name: value for name, value in words.items() if value})


class Choices(msgspec.Struct, frozen=True):
    """What the filters offer."""

    namespaces: tuple[str, ...]
    pools: tuple[str, ...]
    users: tuple[str, ...]
    reasons: tuple[str, ...]


def choices(view: ClusterView, filters: Filters) -> Choices:
    """Return what the filters offer: what there is, and what is chosen now."""
    rows: Sequence[_Row] = view.running if filters.running else view.waiting
    return Choices(
        namespaces=_some((each.namespace for each in rows), filters.namespace),
        pools=_some((each.name for each in view.quotas if not each.namespace), filters.pool),
        users=_some((each.user for each in rows), filters.user),
        reasons=_some((str(each.reason) for each in view.waiting), filters.reason),
    )


def queue_page(view: ClusterView, filters: Filters) -> OnePage[_Row]:
    """Return one page of what the filters leave."""
    return page_of(_left(view.running if filters.running else view.waiting, filters), filters.page, PAGE_ROWS)


def _left(rows: Iterable[_Row], filters: Filters) -> Sequence[_Row]:
    root = str(Root.of_pool(filters.pool)) if filters.pool else ""
    waiting: list[WaitingRow] = []
    running: list[RunningRow] = []
    for each in rows:
        if (root and each.root != root) or (filters.user and each.user != filters.user):
            continue
        if filters.namespace and each.namespace != filters.namespace:
            continue
        if isinstance(each, RunningRow):
            running.append(each)
        elif not filters.reason or each.reason == filters.reason:
            waiting.append(each)
    return running or sorted_rows(waiting, filters.sort)


def _some(values: Iterable[str], chosen: str) -> tuple[str, ...]:
    found = {each for each in values if each}
    first = sorted(found)[:_MOST_CHOICES]
    return tuple(sorted({*first, chosen} - {""}))
