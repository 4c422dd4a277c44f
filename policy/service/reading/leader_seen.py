"""Whether a controller leads: what is shown of a queue without one is as old as its last sign of life."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster
from policy.core.values.durations import written
from policy.service.leading.leader_election import LEASES, Lease

_NAME: Final = "lockkeeper-controller"
"""Of an install with the usual name; of others nothing is said."""
_AWAY_AFTER: Final = timedelta(minutes=1)
"""Leases last for seconds; the clock of whoever looks may be somewhat ahead."""
_SECOND: Final = timedelta(seconds=1)


def leader_notes(cluster: Cluster, now: datetime) -> tuple[str, ...]:
    """Return a sentence where no controller leads, as far as the caller may see that."""
    try:
        found = cluster.list(LEASES, name=_NAME).items
    except ClusterError:
        return ()
    renewed = []
    for each in found:
        with suppress(msgspec.ValidationError, ValueError):
            renewed.append(datetime.fromisoformat(msgspec.convert(each, Lease).spec.renew_time))
    if not renewed:
        return ()
    away = now - max(renewed)
    if away < _AWAY_AFTER:
        return ()
    since = written(away // _SECOND * _SECOND)
    told = (
        f"no controller leads since {since}: nothing is released; messages and figures of quotas are as old"
    )
    return (f"{told}; lockkeeper check tells why",)
