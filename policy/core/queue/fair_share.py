"""The past usage of each tenant: which namespace, or which user of a namespace, used less and so goes first.

Usage is counted in seconds of slots, and half of it is forgotten after every half-life. Integers are used
throughout, so that every replica computes the same order. Times are aware and never go backwards.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isqrt
from typing import Final

from policy.core.quota.accounts import Tenant
from policy.core.values.amounts import ZERO, Limits, Usage

SCALE: Final = 1_000_000
"""The share of a tenant that uses all of a limit."""
UNBOUNDED_SHARE: Final = SCALE // 1000
"""The share of one Workflow where there is no limit."""
ENTRY: Final = 60
"""Seconds of its slots that a start counts in advance."""
_DEFAULT_HALF_LIFE: Final = timedelta(days=1)
MAX_WEIGHT: Final = 1000
_FRACTION_BITS: Final = 16
_UNIT: Final = 1 << 32
_REBASE_AFTER: Final = 32
"""Half-lives after which the numbers are scaled down again."""
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


class FairShare:
    """The past usage of the tenants of one root; the tenant that used less goes first.

    It orders starts and stops no Workflow. A start counts at once, as if it had run for `ENTRY` seconds
    already; otherwise a burst would start before any of its usage was measured. `ranks` has the rank of each
    tenant, the lowest first, or none where it is 0; only `rebase` lowers a rank.

    Old usage is not scaled down; new usage counts for more instead. So the order of two tenants changes only
    when one of them uses something, and nothing has to be recounted as time passes.
    """

    __slots__ = (
        "_base",
        "_half_life",
        "_latest_worth",
        "_now",
        "_running",
        "_since",
        "_spent",
        "_weights",
        "limits",
        "ranks",
    )

    def __init__(
        self,
        *,
        now: datetime,
        limits: Limits,
        half_life: timedelta = _DEFAULT_HALF_LIFE,
        weights: Mapping[str, int] | None = None,
        history: Mapping[Tenant, int] | None = None,
    ) -> None:
        self.limits = limits
        self._half_life = max(1, half_life // _SECOND)
        self._weights = dict(weights or {})
        self._base = _seconds(now)
        self._now = self._base
        self._spent: dict[Tenant, int] = {}
        self.ranks: dict[Tenant, int] = {}
        self._latest_worth = (-1, 0)
        for tenant, amount in (history or {}).items():
            self._spend(tenant, amount * _UNIT)
        self._running: dict[Tenant, Usage] = {}
        self._since: dict[Tenant, int] = {}

    def started(self, tenant: Tenant, usage: Usage, now: datetime, *, entry: bool = True) -> None:
        """Count a Workflow that runs from now on; `entry`: it started now, not before it was first seen."""
        self._accrue(tenant, now)
        self._running[tenant] = self._running.get(tenant, ZERO) + usage
        if entry:
            self._spend(tenant, self._share(usage) * ENTRY * self._worth())

    def ended(self, tenant: Tenant, usage: Usage, now: datetime) -> None:
        """Count a Workflow no longer."""
        self._accrue(tenant, now)
        left = self._running.get(tenant, ZERO) - usage
        if left == ZERO:
            self._running.pop(tenant, None)
            self._since.pop(tenant, None)
        else:
            self._running[tenant] = left

    def sample(self, now: datetime) -> None:
        """Count what runs, for all tenants, until now."""
        for tenant in self._running:
            self._accrue(tenant, now)

    def rebase(self, now: datetime) -> bool:
        """Scale the numbers down where they have grown; return whether ranks were changed by it."""
        self._advance(now)
        halvings = (self._now - self._base) // self._half_life
        if halvings < _REBASE_AFTER:
            return False
        self.sample(now)
        self._base += halvings * self._half_life
        grown, self._spent, self.ranks = self._spent, {}, {}
        for tenant, spent in grown.items():
            if spent >> halvings:
                self._spend(tenant, spent >> halvings)
        return True

    def history(self, now: datetime) -> dict[Tenant, int]:
        """Return the decayed usage of now: for the status, and for the next leader to continue from."""
        self.sample(now)
        self._advance(now)
        worth = self._worth()
        decayed = {tenant: spent // worth for tenant, spent in self._spent.items()}
        return {tenant: amount for tenant, amount in sorted(decayed.items()) if amount}

    def _accrue(self, tenant: Tenant, now: datetime) -> None:
        self._advance(now)
        since = self._since.get(tenant, self._now)
        self._since[tenant] = self._now
        running = self._running.get(tenant)
        if running is not None and self._now > since:
            self._spend(tenant, self._share(running) * (self._now - since) * self._worth())

    def _spend(self, tenant: Tenant, amount: int) -> None:
        spent = self._spent[tenant] = self._spent.get(tenant, 0) + amount
        weight = self._weights.get(tenant.namespace, 1)
        self.ranks[tenant] = spent if tenant.user else spent * MAX_WEIGHT // weight

    def _advance(self, now: datetime) -> None:
        self._now = max(self._now, _seconds(now))

    def _worth(self) -> int:
        """Return what one second counts now, in units of 2**-32 of a second at the base."""
        passed = self._now - self._base
        if self._latest_worth[0] != passed:  # All that happens within one second counts the same.
            halvings, rest = divmod(passed, self._half_life)
            worth = _power_of_two((rest << _FRACTION_BITS) // self._half_life) << halvings
            self._latest_worth = (passed, worth)
        return self._latest_worth[1]

    def _share(self, usage: Usage) -> int:
        """Return which share of the limits a usage is: of Workflows or of tasks, the higher of the two."""
        bounds = ((usage.workflows, self.limits.workflows), (usage.tasks, self.limits.tasks))
        shares = [used * SCALE // max(1, limit.value) for used, limit in bounds if limit.value is not None]
        return max(shares) if shares else usage.workflows * UNBOUNDED_SHARE


def _power_of_two(fraction: int) -> int:
    """Return 2**(fraction / 2**16) in units of 2**-32, for a fraction below one, from the roots of two."""
    value = _UNIT
    for bit, root in enumerate(_ROOTS):
        if fraction >> (_FRACTION_BITS - 1 - bit) & 1:
            value = value * root >> 32
    return value


def _roots() -> tuple[int, ...]:
    """Return 2**(1/2), 2**(1/4), ... in units of 2**-32."""
    roots = []
    root = 2 * _UNIT
    for _ in range(_FRACTION_BITS):
        root = isqrt(root << 32)
        roots.append(root)
    return tuple(roots)


_ROOTS: Final = _roots()


def _seconds(now: datetime) -> int:
    return (now - _EPOCH) // _SECOND
