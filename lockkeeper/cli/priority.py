"""`lockkeeper priority`: another priority for a Workflow that waits; what it leads to is said before."""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from lockkeeper.actions.changes import queued_workflow, set_priority
from lockkeeper.options.command_options import add_kubeconfig, reach
from lockkeeper.options.view_options import add_namespace, namespace_of, read_roots
from lockkeeper.process.console import UsageError, utc_now
from policy.cluster.protocol import Cluster
from policy.core.cluster_view.story import SeenWorkflow
from policy.service.reading.live_roots import LiveRoots
from policy.service.reading.what_if import WorkflowWhatIf

EXAMPLES = """examples:
  lockkeeper priority nightly-7xk2p 50 -n team-etl
  lockkeeper priority nightly-7xk2p 50 -n team-etl --yes

It says which position the Workflow gets by that, computed on the state of now, and asks before it sets
spec.priority with your own rights. perWorkflow.maxPriority of a quota is the highest.
Exit codes: 0 done, 1 not done because the answer was no, 2 it does not wait, or you may not."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME", help="name of the Workflow")
    parser.add_argument("priority", type=int, metavar="N", help="its new priority")
    add_kubeconfig(parser)
    add_namespace(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Say what follows, ask, and change it."""
    with closing(reach(arguments)) as cluster:
        arguments.namespace = namespace_of(arguments, cluster)
        return act(cluster, arguments, utc_now, _asked)


def act(
    cluster: Cluster,
    arguments: argparse.Namespace,
    clock: Callable[[], datetime],
    ask: Callable[[str], bool],
) -> int:
    """Change the priority if `ask` says so; return the exit code."""
    workflow = queued_workflow(cluster, arguments.namespace, arguments.name)
    roots = read_roots(cluster, arguments.namespace, clock)
    print(_outcome(roots, workflow, arguments.priority))
    if not arguments.yes and not ask(f"set the priority of {arguments.name} to {arguments.priority}? [y/N] "):
        print("not changed")
        return 1
    set_priority(cluster, workflow, arguments.priority)
    print(f"workflow {arguments.name} has priority {arguments.priority}")
    return 0


def _outcome(roots: LiveRoots, workflow: SeenWorkflow, priority: int) -> str:
    """Return what another priority leads to.

    Raises:
        UsageError: it may not have that priority.
    """
    metadata = workflow.metadata
    tracked = roots.reading.tracker.get(metadata.uid)
    if tracked is None:
        raise UsageError(f"{metadata.name} does not wait any more")
    what_if = WorkflowWhatIf(roots, tracked)
    most = what_if.max_priority
    if most is not None and priority > most:
        raise UsageError(f"{metadata.name} may have a priority of {most} at most (perWorkflow.maxPriority)")
    changed = what_if.with_priority(priority)
    position = changed.position(metadata.namespace, metadata.uid)
    if position is None:
        return f"with priority {priority} it starts now"
    depth = changed.planner.pending.of(metadata.namespace).priorities.total()
    before = len(changed.order.before(metadata.uid))
    place = f"position {position.position} of {depth} in {metadata.namespace}"
    return f"with priority {priority}: {place}, {before} before it"


def _asked(question: str) -> bool:
    """Return whether the user says yes; without a terminal nobody can."""
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on: add --yes")
    return input(question).strip().lower() in ("y", "yes")
