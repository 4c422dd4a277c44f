"""`lockkeeper status`: quotas and pools as a tree: what is used, queued, borrowed, and what changes next."""

import argparse
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from lockkeeper.options.command_options import add_kubeconfig, add_output, reach
from lockkeeper.options.view_options import (
    add_namespaces,
    check_namespace,
    printed,
    read_roots,
    readable_namespace,
    show,
)
from lockkeeper.process.console import utc_now
from lockkeeper.views.quota_table import quota_table
from lockkeeper.views.terminal import Terminal
from policy.cluster.protocol import Cluster
from policy.service.reading.cluster_views import cluster_view

EXAMPLES = """examples:
  lockkeeper status
  lockkeeper status -n team-etl
  lockkeeper status -o json
  lockkeeper status --watch

It reads quotas, namespaces and the metadata of live Workflows with your own rights, and changes nothing.
Of what you may not list, the counts in the status of pools are shown, and a note says so.
Exit codes: 0 fine, 2 the cluster does not answer or refuses."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    add_namespaces(parser)
    add_output(parser, "json", "yaml", "name")


def run(arguments: argparse.Namespace) -> int:
    """Read, and print."""
    with closing(reach(arguments)) as cluster:
        arguments.namespace = readable_namespace(arguments, cluster)
        return act(cluster, arguments, Terminal.of(), utc_now)


def act(
    cluster: Cluster, arguments: argparse.Namespace, terminal: Terminal, clock: Callable[[], datetime]
) -> int:
    """Show the quotas; return the exit code."""

    def text() -> str:
        roots = read_roots(cluster, arguments.namespace, clock)
        check_namespace(roots, arguments.namespace)
        view = cluster_view(roots, (arguments.namespace,) if arguments.namespace else ())
        names = [f"{each.kind.lower()}/{each.name}" for each in view.quotas]
        return printed(arguments.output, view.quotas, names) or quota_table(view, terminal)

    return show(arguments, text)
