"""Reserves: the last Workflows and tasks of a limit go only to priorities above a level.

A reserve is kept free, like the connections that a database keeps for its administrators: whoever is not
above the level starts only where the whole reserve stays free beside it. Several reserves are kept apart, so
their sizes add up. The priority is that of the Workflow itself; waiting long does not open a reserve.
"""

from collections.abc import Iterable

import msgspec

from policy.core.amounts import ZERO, Amount, Limits, Usage


class Reserve(msgspec.Struct, frozen=True):
    """A part of a limit for priorities above `above_priority`."""

    above_priority: int
    size: Usage


def withheld(reserves: Iterable[Reserve], priority: int) -> Usage:
    """Return what is kept from a Workflow of this priority."""
    return sum((each.size for each in reserves if priority <= each.above_priority), ZERO)


def less(limits: Limits, kept: Usage) -> Limits:
    """Return limits without what is kept back; they do not fall below 0, and no limit stays no limit."""
    if kept == ZERO:
        return limits
    return Limits(_less(limits.workflows, kept.workflows), _less(limits.tasks, kept.tasks))


def _less(bound: Amount, kept: int) -> Amount:
    return bound if bound.value is None else Amount(max(0, bound.value - kept))
