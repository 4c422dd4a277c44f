"""What the commands share that show a cluster: which namespaces, how it is read, and how it is printed."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event
from typing import Final, Protocol

import msgspec

from lockkeeper.process.console import UsageError, as_json
from lockkeeper.process.yaml_output import as_yaml
from policy.cluster.errors import ClusterError, Forbidden, NotFound, Unauthorized
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOW_QUOTAS, Cluster, Listing, Resource
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from policy.service.reading.cluster_reading import ClusterReader
from policy.service.reading.leader_seen import leader_notes
from policy.service.reading.live_roots import LiveRoots
from policy.service.reading.needed_roles import missing_kind, with_role
from policy.sources.schema_check import did_you_mean

_WATCH_SECONDS: Final = 2.0
"""Between two looks with `--watch`."""
_CLEAR: Final = "\x1b[H\x1b[2J"
"""What makes a terminal empty."""


def add_namespaces(parser: argparse.ArgumentParser) -> None:
    """Add `--namespace`, `--all-namespaces` and `--watch`."""
    parser.add_argument(
        "-n",
        "--namespace",
        default="",
        help="one namespace (default: all; where you may not read all, that of the context)",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all of them, whatever the context says"
    )
    parser.add_argument("-w", "--watch", action="store_true", help="show it again after each change")


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Add `--namespace` of one Workflow or quota."""
    parser.add_argument(
        "-n", "--namespace", default="", help="its namespace (default: that of the context, or default)"
    )


class InContext(Protocol):
    """A cluster that a kubeconfig leads to."""

    @property
    def context_namespace(self) -> str:
        """The namespace of its context, "" where it names none."""
        ...

    def list(self, resource: Resource) -> Listing[JsonObject]:
        """Return all objects of a kind. Raises the errors of `policy.cluster.errors`."""
        ...


def namespace_of(arguments: argparse.Namespace, cluster: InContext) -> str:
    """Return the namespace of one object: that of `-n`, of the context, or `default`, as kubectl takes it."""
    given: str = arguments.namespace
    return given or cluster.context_namespace or DEFAULT_NAMESPACE


def readable_namespace(arguments: argparse.Namespace, cluster: InContext) -> str:
    """Return the namespace to show: that of `-n`, or all (""), or the context's where not all may be read."""
    if arguments.namespace or arguments.all_namespaces or not cluster.context_namespace:
        given: str = arguments.namespace
        return given
    try:
        cluster.list(WORKFLOW_QUOTAS)
    except Forbidden:
        return cluster.context_namespace
    except NotFound as error:
        told = missing_kind(WORKFLOW_QUOTAS, error)
        raise UsageError(f"the cluster cannot be read: {told.message}") from error
    except ClusterError as error:
        raise UsageError(f"the cluster cannot be read: {error.message}") from error
    return ""


def show(arguments: argparse.Namespace, text: Callable[[], str]) -> int:
    """Print a text, and with `--watch` again whenever it is another one; return the exit code."""
    shown = text()
    print(shown, flush=True)
    never = Event()
    while arguments.watch:
        never.wait(_WATCH_SECONDS)
        now = text()
        if now != shown:
            shown = now
            print(f"{_CLEAR if sys.stdout.isatty() else ''}{shown}", flush=True)
    return 0


def read_roots(
    cluster: Cluster, namespace: str, clock: Callable[[], datetime], *, starts: bool = False
) -> LiveRoots:
    """Return the quota roots of a cluster, read once; with `starts`, what these are expected by, too.

    Raises:
        UsageError: the cluster does not answer, or refuses.
    """
    reader = ClusterReader(cluster=cluster, ledgers=Ledgers(cluster=cluster, clock=clock), clock=clock)
    try:
        reading = reader.read(namespace, lengths=starts)
    except Unauthorized as error:
        raise UsageError(f"the cluster cannot be read: {error.message}") from error
    except Forbidden as error:
        advice = "" if namespace else "; with -n NAMESPACE the rights in that namespace are enough"
        raise UsageError(f"the cluster cannot be read: {with_role(error)}{advice}") from error
    except ClusterError as error:
        raise UsageError(f"the cluster cannot be read: {error.message}") from error
    notes = leader_notes(cluster, reading.at)
    return LiveRoots(msgspec.structs.replace(reading, unread=(*reading.unread, *notes)))


def check_namespace(roots: LiveRoots, namespace: str) -> None:
    """Refuse to show an empty queue of a namespace that does not exist.

    Raises:
        UsageError: all namespaces were read, and there is none of that name; the nearest is named.
    """
    labels = roots.reading.snapshot.namespace_labels
    known = {*labels, *roots.reading.tracker.namespaces(), *roots.reading.snapshot.quotas}
    if namespace and len(labels) > 1 and namespace not in known:
        raise UsageError(f"there is no namespace {namespace}{did_you_mean(namespace, sorted(labels))}")


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
