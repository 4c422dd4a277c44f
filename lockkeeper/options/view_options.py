"""What the commands share that show a cluster: which namespaces, how it is read, and how it is printed."""

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from lockkeeper.process.console import UsageError, as_json
from lockkeeper.process.yaml_output import as_yaml
from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.service.reading.cluster_reading import ClusterReader
from policy.service.reading.live_roots import LiveRoots


def add_namespaces(parser: argparse.ArgumentParser) -> None:
    """Add `--namespace`."""
    parser.add_argument(
        "-n", "--namespace", default="", help="one namespace (default: all that you may read)"
    )


def read_roots(cluster: Cluster, namespace: str, clock: Callable[[], datetime]) -> LiveRoots:
    """Return the quota roots of a cluster, read once.

    Raises:
        UsageError: the cluster does not answer, or refuses.
    """
    reader = ClusterReader(cluster=cluster, ledgers=Ledgers(cluster=cluster, clock=clock), clock=clock)
    try:
        return LiveRoots(reader.read(namespace))
    except Forbidden as error:
        advice = "" if namespace else "; with -n NAMESPACE the rights in that namespace are enough"
        raise UsageError(f"the cluster cannot be read: {error.message}{advice}") from error
    except ClusterError as error:
        raise UsageError(f"the cluster cannot be read: {error.message}") from error


def printed(output: str, value: object, names: Sequence[str]) -> str:
    """Return what programs read, in one of the formats `json`, `yaml` and `name`; "" for the others."""
    match output:
        case "json":
            return as_json(value)
        case "yaml":
            return as_yaml(msgspec.to_builtins(value)).rstrip()
        case "name":
            return "\n".join(names)
        case _:
            return ""
