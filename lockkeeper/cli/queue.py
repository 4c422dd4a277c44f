"""`lockkeeper queue`: who waits in which order and why, or who fills the slots."""

import argparse
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

import msgspec

from lockkeeper.options.command_options import add_kubeconfig, add_output, reach
from lockkeeper.options.view_options import (
    add_namespaces,
    check_namespace,
    printed,
    read_roots,
    readable_namespace,
    show,
)
from lockkeeper.process.console import UsageError, utc_now
from lockkeeper.views.queue_table import Sort, running_table, sorted_rows, waiting_table
from lockkeeper.views.terminal import Terminal
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, Cluster
from policy.core.cluster_view.view import ClusterView, RunningRow, WaitingRow
from policy.core.quota.accounts import Root
from policy.service.reading.cluster_views import cluster_view
from policy.sources.schema_check import did_you_mean

EXAMPLES = """examples:
  lockkeeper queue -n team-etl
  lockkeeper queue --pool data -o wide
  lockkeeper queue --running -n team-etl
  lockkeeper queue --user ann@example.com --sort age

AHEAD counts those of the whole pool that go before it; POSITION is the place in its namespace. STARTS IN is
when it starts in six of ten cases, by how long runs took lately; - where too little is known.
It reads with your own rights, and changes nothing. Exit codes: 0 fine, 2 the cluster does not answer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    add_namespaces(parser)
    parser.add_argument("--running", action="store_true", help="show who fills the slots, and not who waits")
    parser.add_argument("--pool", default="", metavar="NAME", help="only the members of this pool")
    parser.add_argument("--user", default="", metavar="NAME", help="only the Workflows of this user")
    parser.add_argument(
        "--sort",
        choices=[each.value for each in Sort],
        default=Sort.POSITION.value,
        help="order of those that wait (default %(default)s)",
    )
    add_output(parser, "wide", "json", "yaml", "name")


def run(arguments: argparse.Namespace) -> int:
    """Read, and print."""
    with closing(reach(arguments)) as cluster:
        arguments.namespace = readable_namespace(arguments, cluster)
        return act(cluster, arguments, Terminal.of(), utc_now)


def act(
    cluster: Cluster, arguments: argparse.Namespace, terminal: Terminal, clock: Callable[[], datetime]
) -> int:
    """Show the queue; return the exit code."""
    return show(arguments, lambda: _text(cluster, arguments, terminal, clock))


def _text(
    cluster: Cluster, arguments: argparse.Namespace, terminal: Terminal, clock: Callable[[], datetime]
) -> str:
    """Return the queue as it is now."""
    roots = read_roots(cluster, arguments.namespace, clock, starts=not arguments.running)
    check_namespace(roots, arguments.namespace)
    view = cluster_view(roots, (arguments.namespace,) if arguments.namespace else ())
    if arguments.pool and not arguments.namespace:
        _check_pool(view, arguments.pool)
    shown = _selected(view, arguments)
    rows: tuple[WaitingRow, ...] | tuple[RunningRow, ...]
    rows = shown.running if arguments.running else shown.waiting
    names = [f"workflow/{each.name}" for each in rows]
    table = (
        running_table(shown, terminal)
        if arguments.running
        else waiting_table(shown, terminal, wide=arguments.output == "wide")
    )
    return printed(arguments.output, rows, names) or table


def _check_pool(view: ClusterView, name: str) -> None:
    """Refuse to show an empty queue of a pool that does not exist.

    Raises:
        UsageError: there is no such pool; the nearest is named.
    """
    pools = [each.name for each in view.quotas if each.kind == CLUSTER_WORKFLOW_QUOTAS.kind]
    if name not in pools:
        raise UsageError(f"there is no pool {name}{did_you_mean(name, pools)}")


def _selected(view: ClusterView, arguments: argparse.Namespace) -> ClusterView:
    """Return the view of those that are asked for, in the order that is asked for."""
    root = str(Root.of_pool(arguments.pool)) if arguments.pool else ""

    def wanted(row: WaitingRow | RunningRow) -> bool:
        return (not root or row.root == root) and (not arguments.user or row.user == arguments.user)

    return msgspec.structs.replace(
        view,
        waiting=tuple(sorted_rows([each for each in view.waiting if wanted(each)], Sort(arguments.sort))),
        running=tuple(each for each in view.running if wanted(each)),
    )
