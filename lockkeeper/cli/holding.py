"""`lockkeeper hold` and `lockkeeper resume`: a quota, a pool, or one Workflow that waits."""

import argparse
from contextlib import closing

from lockkeeper.actions.changes import pause, queued_workflow, set_stop_policy, unpause
from lockkeeper.actions.targets import ActionTarget, TargetKind
from lockkeeper.options.command_options import add_kubeconfig, option_type, reach
from policy.cluster.protocol import Cluster
from policy.core.policy_kinds.quota_parts import StopPolicy

EXAMPLES = """examples:
  lockkeeper hold quota/main -n team-etl            nothing more starts; what runs goes on
  lockkeeper hold pool/data --drain                 and nothing new may queue
  lockkeeper hold nightly-7xk2p -n team-etl         this one waits until it is resumed, and blocks no other
  lockkeeper resume quota/main -n team-etl
  lockkeeper resume nightly-7xk2p -n team-etl

A quota is held by its spec.stopPolicy, a Workflow that waits by its spec.suspend; both with your own rights.
Exit codes: 0 done, 2 there is no such object, it does not wait, or you may not."""
_RESUME = "resume"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    resumes = parser.prog.endswith(_RESUME)
    parser.add_argument(
        "target", type=option_type(ActionTarget.parse), metavar="TARGET", help="NAME, quota/NAME or pool/NAME"
    )
    add_kubeconfig(parser)
    parser.add_argument("-n", "--namespace", default="default", help="its namespace (default %(default)s)")
    if not resumes:
        parser.add_argument("--drain", action="store_true", help="nothing new may queue in it, either")
    parser.set_defaults(resumes=resumes)


def run(arguments: argparse.Namespace) -> int:
    """Change it, and say so."""
    with closing(reach(arguments)) as cluster:
        return act(cluster, arguments)


def act(cluster: Cluster, arguments: argparse.Namespace) -> int:
    """Hold or resume; return the exit code."""
    target: ActionTarget = arguments.target
    if target.kind is TargetKind.WORKFLOW:
        workflow = queued_workflow(cluster, arguments.namespace, target.name)
        (unpause if arguments.resumes else pause)(cluster, workflow)
    else:
        held = StopPolicy.HOLD_AND_DRAIN if getattr(arguments, "drain", False) else StopPolicy.HOLD
        policy = StopPolicy.NONE if arguments.resumes else held
        set_stop_policy(cluster, target, arguments.namespace, policy)
    print(f"{target} {'resumed' if arguments.resumes else 'is on hold'}")
    return 0
