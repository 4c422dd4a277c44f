"""`lockkeeper cancel`: a Workflow that waits ends without having run."""

import argparse
from contextlib import closing

from lockkeeper.actions.changes import cancel, queued_workflow
from lockkeeper.options.command_options import add_kubeconfig, reach
from policy.cluster.protocol import Cluster

EXAMPLES = """examples:
  lockkeeper cancel nightly-7xk2p -n team-etl

It sets spec.shutdown: Terminate with your own rights. The controller ends it within seconds, whatever waits
before it; nothing of it runs. One that runs already is stopped by argo stop or argo terminate.
Exit codes: 0 done, 2 there is no such Workflow, it does not wait, or you may not."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME", help="name of the Workflow")
    add_kubeconfig(parser)
    parser.add_argument("-n", "--namespace", default="default", help="its namespace (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Cancel it, and say so."""
    with closing(reach(arguments)) as cluster:
        return act(cluster, arguments)


def act(cluster: Cluster, arguments: argparse.Namespace) -> int:
    """Cancel; return the exit code."""
    cancel(cluster, queued_workflow(cluster, arguments.namespace, arguments.name))
    print(f"workflow {arguments.name} is cancelled: it ends within seconds, and nothing of it runs")
    return 0
