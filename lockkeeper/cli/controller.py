"""`lockkeeper controller`: the controller on a cluster."""

import argparse
import os
import signal
import socket
import sys
import time
from threading import Thread
from types import FrameType

from lockkeeper.cli.options import add_argo_version, add_kubeconfig, reach
from lockkeeper.clustered import ClusterPolicies
from lockkeeper.wiring import ControllerLog, build_controller, tell, utc_now, write_to
from policy.cluster.ledgers import Ledgers
from policy.service.controller import Controller
from policy.service.leader import Elector
from webhook.logs import Log

NAME = "controller"
SUMMARY = "Release queued Workflows of a cluster; several may run, one of them leads."
EXAMPLES = """examples:
  lockkeeper controller --kubeconfig ~/.kube/config --lease-namespace lockkeeper
  lockkeeper controller                                    inside a cluster

One JSON line an event goes to standard output. SIGTERM ends it and gives the lease up at once.
Exit codes: 0 stopped by a signal, 2 something to mend before it can work."""

SYNC_SECONDS = 0.5
"""How often, until all policies were read, the end is looked for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    add_argo_version(parser)
    parser.add_argument(
        "--lease-namespace", default="lockkeeper", help="namespace of the Lease (default %(default)s)"
    )
    parser.add_argument(
        "--lease-name", default="lockkeeper-controller", help="name of the Lease (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Follow the policies, and lead whenever the lease is ours, until a signal ends it."""
    cluster = reach(arguments.kubeconfig)
    log = Log(write=write_to(sys.stdout.fileno()), clock=utc_now)
    policies = ClusterPolicies(cluster=cluster, argo=arguments.argo_version, log=log)
    ledgers = Ledgers(cluster=cluster, clock=utc_now)
    told = ControllerLog(log=log)

    def start() -> Controller:
        log.event("leader", "leading")
        return build_controller(cluster=cluster, board=policies.board, ledgers=ledgers, told=told)

    elector = Elector(
        cluster=cluster,
        namespace=arguments.lease_namespace,
        name=arguments.lease_name,
        me=f"{socket.gethostname()}-{os.getpid()}",
        start=start,
        clock=utc_now,
        stopwatch=time.monotonic,
        trouble=told.trouble,
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        elector.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    policies.start()
    tell("controller started")
    Thread(target=_campaign, args=(policies, elector), name="election", daemon=True).start()
    elector.ended.wait()
    policies.stop()
    cluster.close()
    return 0


def _campaign(policies: ClusterPolicies, elector: Elector) -> None:
    """Join the election once the policies are known: a leader without them would release everything."""
    while not policies.wait(SYNC_SECONDS):
        if elector.stopping:
            break
    elector.run()
