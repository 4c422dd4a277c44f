"""`lockkeeper locks`: who holds and who waits for every lock of a cluster."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from lockkeeper.cli.failing import UsageError
from lockkeeper.cli.options import add_kubeconfig, reach
from lockkeeper.locks.reading import Limits, live_traces
from lockkeeper.locks.showing import shown, table
from lockkeeper.wiring import utc_now
from policy.cluster.errors import ClusterError
from policy.core.locks.queues import deadlocks, queues
from policy.service.lock_traces import WatchedCluster

NAME = "locks"
SUMMARY = "Show who holds and who waits for every lock, and which of them wait for ever."
EXAMPLES = """examples:
  lockkeeper locks --kubeconfig ~/.kube/config
  lockkeeper locks --kubeconfig ~/.kube/config -n team-etl -o json

It reads Workflows and the ConfigMaps that they name, and changes nothing. A limit that it has no right to
see is shown as ?.
Exit codes: 0 fine, 1 a Workflow is in a deadlock, 2 the cluster does not answer or refuses."""

Act = Callable[[WatchedCluster, argparse.Namespace], int]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    parser.add_argument("-n", "--namespace", default="", help="one namespace (default: all of them)")
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="format (default %(default)s)"
    )
    parser.set_defaults(act=_show)


def run(arguments: argparse.Namespace) -> int:
    """Read, and print."""
    cluster = reach(arguments.kubeconfig)
    act: Act = arguments.act
    with _told_in_one_line():
        try:
            return act(cluster, arguments)
        finally:
            cluster.close()


def _show(cluster: WatchedCluster, arguments: argparse.Namespace) -> int:
    """Show the queues of all locks."""
    found = queues(live_traces(cluster, arguments.namespace, utc_now), Limits(cluster))
    stuck = deadlocks(found)
    now = utc_now()
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(shown(found, stuck, now)), indent=2).decode())
    else:
        print(table(found, stuck, now))
    return 1 if stuck else 0


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Tell of a cluster that cannot be read as of something that the caller mends."""
    try:
        yield
    except ClusterError as error:
        raise UsageError(f"the locks of the cluster cannot be read: {error.message}") from error
