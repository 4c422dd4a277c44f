"""`lockkeeper hold`, `resume` and `cancel`: a quota, a pool, or one Workflow that waits."""

import argparse
from contextlib import closing

from lockkeeper.actions.changes import cancel, pause, queued_workflow, set_stop_policy, unpause
from lockkeeper.actions.targets import ActionTarget, TargetKind
from lockkeeper.options.command_options import add_kubeconfig, option_type, reach
from lockkeeper.options.view_options import add_namespace, namespace_of
from lockkeeper.process.console import UsageError
from policy.cluster.protocol import Cluster
from policy.core.policy_kinds.quota_parts import StopPolicy

EXAMPLES = """examples:
  lockkeeper hold quota/main -n team-etl            nothing more starts; what runs goes on
  lockkeeper hold pool/data --drain                 and nothing new may queue
  lockkeeper hold nightly-7xk2p -n team-etl         this one waits until it is resumed, and blocks no other
  lockkeeper resume quota/main -n team-etl
  lockkeeper resume nightly-7xk2p -n team-etl
  lockkeeper cancel nightly-7xk2p -n team-etl       it ends within seconds, and nothing of it runs

A quota is held by its spec.stopPolicy, a Workflow that waits by the annotation lockkeeper.dev/on-hold; it is
cancelled by spec.shutdown: Terminate, whatever waits before it. All with your own rights. A Workflow that
runs already is stopped by argo stop or argo terminate.
Exit codes: 0 done, 2 there is no such object, it does not wait, or you may not."""
_HOLD, _RESUME, _CANCEL = "hold", "resume", "cancel"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command that the parser is for."""
    command = next((each for each in (_RESUME, _CANCEL) if parser.prog.endswith(each)), _HOLD)
    targets = "NAME of a Workflow" if command == _CANCEL else "NAME, quota/NAME or pool/NAME"
    parser.add_argument("target", type=option_type(ActionTarget.parse), metavar="TARGET", help=targets)
    add_kubeconfig(parser)
    add_namespace(parser)
    if command == _HOLD:
        parser.add_argument("--drain", action="store_true", help="nothing new may queue in it, either")
    parser.set_defaults(command=command)


def run(arguments: argparse.Namespace) -> int:
    """Change it, and say so."""
    with closing(reach(arguments)) as cluster:
        arguments.namespace = namespace_of(arguments, cluster)
        return act(cluster, arguments)


def act(cluster: Cluster, arguments: argparse.Namespace) -> int:
    """Hold, resume or cancel; return the exit code."""
    target: ActionTarget = arguments.target
    if target.kind is TargetKind.WORKFLOW:
        change = {_HOLD: pause, _RESUME: unpause, _CANCEL: cancel}[arguments.command]
        change(cluster, queued_workflow(cluster, arguments.namespace, target.name))
    else:
        set_stop_policy(cluster, target, arguments.namespace, _stop_policy(arguments))
    done = {
        _HOLD: "is on hold",
        _RESUME: "resumed",
        _CANCEL: "is cancelled: it ends within seconds, and nothing of it runs",
    }
    print(f"{target} {done[arguments.command]}")
    return 0


def _stop_policy(arguments: argparse.Namespace) -> StopPolicy:
    """Return what a quota gets.

    Raises:
        UsageError: a quota cannot be cancelled.
    """
    if arguments.command == _CANCEL:
        raise UsageError(f"{arguments.target} is no Workflow, and only one that waits can be cancelled")
    if arguments.command == _RESUME:
        return StopPolicy.NONE
    return StopPolicy.HOLD_AND_DRAIN if arguments.drain else StopPolicy.HOLD
