"""Who goes before whom: owners before borrowers, then priority with aging, then fair share, then age.

- A member of a pool that stays within its share goes before one that borrows: the owner gets the next free
  slot back, whatever priority others give themselves.
- A Workflow that has waited passes priorities above its own by their rank among those that anybody waits
  with, whatever the numbers are: one after the first `aging`, then 3, 7, 15, up to the highest. So nobody is
  passed for ever, neither by a huge number nor by many different ones; and where all have the same priority
  age does not count here, or a long backlog would beat fair share.
- Fair share is between namespaces, then between users of a namespace (see `FairShare`).
- Age is the time of creation, then the order in which they were first seen.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isqrt
from typing import Final

from policy.core.quota.accounts import Tenant
from policy.core.values.amounts import ZERO, Limits, Usage

SCALE: Final = 1_000_000
"""What a tenant uses that has all there is; a share is a part of it."""
UNBOUNDED_SHARE: Final = SCALE // 1000
"""What one Workflow counts for where there is no limit to be a share of."""
ENTRY: Final = 60
"""Seconds of its slots that a start counts for in advance."""
_DEFAULT_HALF_LIFE: Final = timedelta(days=1)
MAX_WEIGHT: Final = 1000
_FRACTION_BITS: Final = 16
_UNIT: Final = 1 << 32
_REBASE_AFTER: Final = 32
"""Half-lives after which the numbers are made small again."""
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


class FairShare:
    """What the tenants of one root used before: seconds of slots, half of it forgotten after every half-life.

    Whoever used less goes first. Nobody is stopped for it: only starts are ordered by it. A start counts at
    once, as if it had run for a while already; or else a burst would pass everybody before anything was
    measured.

    Forgetting is done the other way round: what is used now counts for more than what was used then. So the
    order of two tenants changes only when one of them uses something, and nothing has to be recounted with
    time. Integers throughout, so that every replica finds the same order. Times are aware and go forward.
    """

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
        self._spent = {tenant: amount * _UNIT for tenant, amount in (history or {}).items()}
        self._running: dict[Tenant, Usage] = {}
        self._since: dict[Tenant, int] = {}

    def rank(self, tenant: Tenant) -> int:
        """Return the rank of a tenant, the lowest first; it never falls but by `rebase`."""
        spent = self._spent.get(tenant, 0)
        if tenant.user:
            return spent
        return spent * MAX_WEIGHT // self._weights.get(tenant.namespace, 1)

    def started(self, tenant: Tenant, weight: Usage, now: datetime, *, entry: bool = True) -> None:
        """Count something that runs from now on; `entry` says that it started now, not before we looked."""
        self._accrue(tenant, now)
        self._running[tenant] = self._running.get(tenant, ZERO) + weight
        if entry:
            amount = self._share(weight) * ENTRY * self._worth()
            self._spent[tenant] = self._spent.get(tenant, 0) + amount

    def ended(self, tenant: Tenant, weight: Usage, now: datetime) -> None:
        """Count something no longer."""
        self._accrue(tenant, now)
        left = self._running.get(tenant, ZERO) - weight
        if left == ZERO:
            self._running.pop(tenant, None)
            self._since.pop(tenant, None)
        else:
            self._running[tenant] = left

    def sample(self, now: datetime) -> None:
        """Bring all tenants that run something up to date."""
        for tenant in self._running:
            self._accrue(tenant, now)

    def rebase(self, now: datetime) -> bool:
        """Make the numbers small again where they have grown; tells whether ranks were changed by it."""
        self._advance(now)
        halvings = (self._now - self._base) // self._half_life
        if halvings < _REBASE_AFTER:
            return False
        self.sample(now)
        self._base += halvings * self._half_life
        self._spent = {
            tenant: spent >> halvings for tenant, spent in self._spent.items() if spent >> halvings
        }
        return True

    def history(self, now: datetime) -> dict[Tenant, int]:
        """Return the decayed usage as it stands, to be shown, and to go on from after a change of leader."""
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
            amount = self._share(running) * (self._now - since) * self._worth()
            self._spent[tenant] = self._spent.get(tenant, 0) + amount

    def _advance(self, now: datetime) -> None:
        self._now = max(self._now, _seconds(now))

    def _worth(self) -> int:
        """Return what one second counts for now, in units of 2**-32 of one at the base."""
        halvings, rest = divmod(self._now - self._base, self._half_life)
        return _power_of_two((rest << _FRACTION_BITS) // self._half_life) << halvings

    def _share(self, usage: Usage) -> int:
        """Return how much of the limits something takes: of Workflows or of tasks, whichever is more."""
        shares = [
            used * SCALE // max(1, limit.value)
            for used, limit in (
                (usage.workflows, self.limits.workflows),
                (usage.tasks, self.limits.tasks),
            )
            if limit.value is not None
        ]
        return max(shares) if shares else usage.workflows * UNBOUNDED_SHARE


def _power_of_two(fraction: int) -> int:
    """Return 2**(fraction / 2**16) in units of 2**-32, for a fraction below one, by the roots of two."""
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
