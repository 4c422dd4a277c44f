"""How long runs take, as it is kept in the cluster: one RunLengths object, which the leader writes.

It is an object of its own kind: ledgers are written with each release, ConfigMaps are watched by many, and
the right to read this one can be given to users by itself. It names namespaces, and digests of what runs
there, so it tells nobody what others run. Its size is bounded by `policy.core.cluster_view.run_lengths`.
"""

from contextlib import suppress

import msgspec

from policy.cluster.errors import AlreadyExists, NotFound
from policy.cluster.protocol import RUN_LENGTHS, Cluster, MergePatch
from policy.core.cluster_view.run_lengths import KnownSeries, RunLengths
from policy.core.objects.json_patch import JsonObject

NAME = "lockkeeper"
"""The name of the one object."""


class _StoredLengths(msgspec.Struct, frozen=True):
    """What is read of it; more in it than we know is left out."""

    series: tuple[KnownSeries, ...] = ()


def read_lengths(cluster: Cluster) -> RunLengths:
    """Return what is stored: nothing where there is no such object yet, or none that can be read.

    Raises:
        Forbidden: the caller may not read it.
        ClusterError: the cluster does not answer.
    """
    try:
        found = cluster.get(RUN_LENGTHS, NAME)
        return RunLengths.read(msgspec.convert(found, _StoredLengths).series)
    except (NotFound, msgspec.ValidationError, ValueError):
        return RunLengths()


def write_lengths(cluster: Cluster, series: tuple[KnownSeries, ...]) -> None:
    """Store all series in the place of those before. Raises the errors of `policy.cluster.errors`."""
    value: JsonObject = {"series": msgspec.to_builtins(series)}
    with suppress(NotFound):
        cluster.patch(RUN_LENGTHS, NAME, MergePatch(value))
        return
    obj: JsonObject = {
        "apiVersion": RUN_LENGTHS.api_version,
        "kind": RUN_LENGTHS.kind,
        "metadata": {"name": NAME},
        **value,
    }
    with suppress(AlreadyExists):  # Another leader has just made it; the next write is in time.
        cluster.create(RUN_LENGTHS, obj)
