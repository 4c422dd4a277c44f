"""`lockkeeper controller`: the controller on a cluster.

Puts together its process: election, probes and metrics, and the duties of a leader, of which releasing is
from `lockkeeper.assembly`.
"""

import argparse
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from types import FrameType

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.assembly.controller import Terms
from lockkeeper.certificates.certificate_upkeep import ControllerCertificates
from lockkeeper.options.command_options import (
    add_argo_deployment,
    add_argo_version,
    add_identities,
    add_kubeconfig,
    deployment_name,
    identities_of,
    reach,
)
from lockkeeper.options.serving_options import (
    add_certificate_secret,
    check_certificate_secret,
    listen,
    port,
    secret_name,
)
from lockkeeper.process.console import UsageError, print_message, utc_now, write_to
from lockkeeper.process.controller_log import ControllerLog, expose_board, expose_process
from lockkeeper.process.health_port import HealthPort
from lockkeeper.process.liveness import CachedReadiness, Liveness, ending_at_sigterm
from lockkeeper.secret_paths.path_upkeep import PathLog, PathUpkeep, missing_paths
from policy.cluster.ledgers import Ledgers
from policy.service.leading.leader_election import Elector
from policy.service.leading.term_works import Work
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.status.api_metrics import LedgerMetrics
from policy.service.status.metrics import ControllerMetrics
from policy.service.status.policy_metrics import PolicyLoads
from webhook.logs import Log
from webhook.probes import create_app

EXAMPLES = """examples:
  lockkeeper controller --kubeconfig ~/.kube/config --lease-namespace lockkeeper
  lockkeeper controller                                    inside a cluster

The leader also writes the conditions of policies and, where it is told of a Secret, keeps the webhook's
certificates and the caBundle of the webhook configurations. Probes and metrics are on --port:
/livez, /readyz, /metrics. One JSON line an event goes to standard output. SIGTERM ends it and gives the
lease up at once.
Exit codes: 0 stopped by a signal, 1 a bug ended it, 2 something to mend before it can work."""

_SYNC_SECONDS = 0.5
"""How often, until all policies were read, the stop is checked."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    add_argo_version(parser)
    add_argo_deployment(parser)
    add_identities(parser)
    parser.add_argument(
        "--lease-namespace", default="lockkeeper", help="namespace of the Lease (default %(default)s)"
    )
    parser.add_argument(
        "--lease-name", default="lockkeeper-controller", help="name of the Lease (default %(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of probes and metrics (default %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=8080,
        help="port of probes and metrics; 0 takes a free one (default %(default)s)",
    )
    parser.add_argument(
        "--webhook-configurations",
        default="lockkeeper",
        metavar="NAME",
        help="name of both webhook configurations, whose caBundle is kept (default %(default)s)",
    )
    parser.add_argument(
        "--webhook-deployment",
        type=deployment_name,
        metavar="NAMESPACE/NAME",
        help="Deployment of the webhook; the paths in the webhook configurations then get a secret part, "
        "once all of its Pods know of it (default: the paths are left alone)",
    )
    add_certificate_secret(parser)
    parser.add_argument(
        "--ca-secret",
        type=secret_name,
        metavar="NAMESPACE/NAME",
        help="Secret of somebody else's certificates; its CA is kept as the caBundle",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check everything that can be wrong before anything starts, then work until a signal ends it."""
    check_certificate_secret(arguments)
    if arguments.certs_secret is not None and arguments.ca_secret is not None:
        raise UsageError("give one of --certs-secret and --ca-secret")
    with ending_at_sigterm():  # To create it takes a second of imports; then it handles the signal itself.
        return _ControllerProcess(arguments).run()


class _ControllerProcess:
    """Everything that one controller is made of."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._log = Log(write=write_to(sys.stdout.fileno()), clock=utc_now)
        self._liveness = Liveness(log=self._log, stopwatch=time.monotonic, restarted=("leader",))
        self._metrics = ControllerMetrics(leading=self._leading, clock=utc_now, pool_of=self._pool_of)
        ledger_metrics = LedgerMetrics(registry=self._metrics.registry)
        self._reporter = ControllerLog(log=self._log, recorder=self._metrics)
        self._cluster = reach(arguments, observer=self._metrics.api)
        me = f"{socket.gethostname()}-{os.getpid()}"
        self._listener = listen(arguments.host, arguments.port)
        self._policies = ClusterPolicies(
            cluster=self._cluster,
            argo=arguments.argo_version,
            log=self._log,
            recorder=self._metrics,
            loads=PolicyLoads(registry=self._metrics.registry),
            deployment=arguments.argo_deployment,
            identities=identities_of(arguments),
        )
        self._terms = Terms(
            cluster=self._cluster,
            policies=self._policies,
            ledgers=Ledgers(cluster=self._cluster, clock=utc_now, leads=True, observer=ledger_metrics),
            reporter=self._reporter,
            lock_metrics=LockMetrics(registry=self._metrics.registry),
            leading=self._leading,
            me=me,
        )
        self._certificates = self._certificate_duties(arguments)
        self._missing = [self._policies.missing]
        if self._certificates is not None:
            self._missing.append(self._certificates.missing)
        self._path_upkeep = self._upkeep_of_paths(arguments)
        self._elector = Elector(
            cluster=self._cluster,
            namespace=arguments.lease_namespace,
            name=arguments.lease_name,
            me=me,
            start=self._duties,
            clock=utc_now,
            stopwatch=self._liveness.beating,
            trouble=self._reporter.trouble,
        )
        self._health = HealthPort(
            app=create_app(
                render=self._metrics.render, not_ready=self._not_ready, not_alive=self._liveness.faults
            ),
            listener=self._listener,
            bug=lambda error: self._log.bug("", error),
        )
        expose_process(self._metrics.registry, self._policies.snapshots)
        expose_board(
            self._metrics,
            snapshots=self._policies.snapshots,
            verdicts=self._policies.verdicts,
            leading=self._leading,
            capacity=self._policies.allowed_by_nodes,
            ledgers=ledger_metrics,
            starts=self._terms.starts,
        )

    def run(self) -> int:
        """Follow the policies, and lead whenever the lease is ours, until a signal ends it."""
        threading.excepthook = self._liveness.caught
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        gc.freeze()  # What was imported lives as long as we do: to look through it takes a tenth of a second.
        self._policies.start()
        self._health.start()
        print_message(f"controller started, probes and metrics on port {self._listener.getsockname()[1]}")
        Thread(target=self._campaign, name="election", daemon=True).start()
        self._elector.ended.wait()
        self._policies.stop()
        self._health.stop()
        self._cluster.close()
        return 0 if self._elector.stopping else 1

    def _campaign(self) -> None:
        """Join the election once the policies are known: a leader without them would release everything."""
        while not self._policies.wait(_SYNC_SECONDS):
            if self._elector.stopping:
                break
        self._elector.run()

    def _duties(self) -> Work:
        """Return what is to do in one term as the leader."""
        upkeep: dict[str, Work] = {}
        if self._certificates is not None:
            upkeep["certificates"] = self._certificates.upkeep()
        if self._path_upkeep is not None:
            upkeep["callers"] = self._path_upkeep()
        return self._terms.begin(upkeep)

    def _leading(self) -> bool:
        return self._elector.leading

    def _pool_of(self, namespace: str) -> str:
        return self._policies.snapshots.current().policies(namespace).pool

    def _not_ready(self) -> list[str]:
        if self._elector.stopping:
            return ["shutting down"]
        return [text for missing in self._missing for text in missing()]

    def _certificate_duties(self, arguments: argparse.Namespace) -> ControllerCertificates | None:
        """Return what is to do about certificates, or None where another program does all of it."""
        secret = arguments.certs_secret or arguments.ca_secret
        if secret is None:
            return None
        return ControllerCertificates(
            cluster=self._cluster,
            secret=secret,
            names=arguments.certs_names,
            configurations=arguments.webhook_configurations,
            clock=utc_now,
            log=self._log,
            registry=self._metrics.registry,
        )

    def _upkeep_of_paths(self, arguments: argparse.Namespace) -> Callable[[], PathUpkeep] | None:
        """Return what starts the upkeep of secret paths in a term, or None where they are left alone."""
        if arguments.webhook_deployment is None:
            return None
        name = arguments.webhook_configurations
        self._missing.append(CachedReadiness(partial(missing_paths, self._cluster, name)).missing)
        return partial(
            PathUpkeep,
            cluster=self._cluster,
            name=name,
            deployment=arguments.webhook_deployment,
            clock=utc_now,
            trouble=self._reporter.trouble,
            moved=PathLog(log=self._log, registry=self._metrics.registry).moved,
            mark=self._certificates.mark if self._certificates is not None else str,
        )

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._elector.stop()
