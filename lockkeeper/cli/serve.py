"""`lockkeeper serve`: the webhook alone.

Puts together its two processes: the parent, with sockets and the certificate, and the worker that it forks,
with the application of `lockkeeper.assembly` and the threads that follow policies, callers and certificate.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Final, TypeAlias
from wsgiref.types import WSGIApplication

from prometheus_client import CollectorRegistry

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.assembly.policy_folder import RELOAD_SECONDS, FolderPolicies, load_once
from lockkeeper.assembly.webhook import build_admission
from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.certificates.metrics import CertificateLog
from lockkeeper.certificates.serving_certificate import MountedCertificate, SecretCertificate
from lockkeeper.options.command_options import (
    add_argo_deployment,
    add_identities,
    add_kubeconfig,
    add_policies,
    identities_of,
    reach,
    wrong_files_are_usage_errors,
)
from lockkeeper.options.file_options import add_allow_empty, existing_policies
from lockkeeper.options.serving_options import (
    add_address,
    add_certificate_secret,
    check_certificate_secret,
    listen,
    port,
)
from lockkeeper.process.console import UsageError, print_message, url_of, utc_now, write_to
from lockkeeper.process.controller_log import ControllerLog
from lockkeeper.process.health_port import HealthPort
from lockkeeper.process.liveness import ending_at_sigterm
from lockkeeper.secret_paths.known_callers import KnownCallers
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Cluster
from policy.cluster.workflow_reads import ClusterRelatives, StoredWorkflows
from policy.service.status.api_metrics import ApiMetrics, LedgerMetrics
from policy.service.status.policy_metrics import PolicyLoads
from webhook.logs import LineWriter, Log
from webhook.metrics import Metrics
from webhook.serving.application import Application
from webhook.serving.server import Server, ServerSettings

EXAMPLES = """examples:
  lockkeeper serve --policies examples/policies
  lockkeeper serve --cluster --kubeconfig ~/.kube/config
  lockkeeper serve --policies examples/policies --certs certs
  curl -sS --cacert certs/ca.crt -H 'Content-Type: application/json' -d @examples/review.json \\
    https://127.0.0.1:9443/mutate

In the answer response.allowed is the decision, response.status.message says why not, and response.patch holds
the changes in base64 (jq -r .response.patch | base64 -d).
One JSON line a review goes to standard output. With policies from files nothing that it holds is let go,
and limits of quotas that deny count only the creates of the last 90 seconds; with --cluster the command
`lockkeeper controller` lets go, and the ledgers in the cluster count.
Exit codes: 0 stopped by a signal, 2 something to mend before it can serve."""

_Certificate: TypeAlias = MountedCertificate | SecretCertificate
_SYNC_SECONDS: Final = 1.5
"""How long a worker that begins lets connections wait for the policies: less than the API server does."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_policies(parser, required=False)
    add_allow_empty(parser)
    parser.add_argument(
        "--cluster", action="store_true", help="take policies from the cluster, and keep its ledgers"
    )
    add_kubeconfig(parser)
    add_argo_deployment(parser)
    add_identities(parser)
    add_address(parser)
    parser.add_argument(
        "--health-port",
        type=port,
        metavar="PORT",
        help="port of probes and metrics, over plain HTTP; they are then not on --port, 0 takes a free one "
        "(default: they are on --port)",
    )
    parser.add_argument(
        "--webhook-configurations",
        metavar="NAME",
        help="name of both webhook configurations: only callers of the paths that stand there are answered "
        "(default: every caller of the plain paths)",
    )
    parser.add_argument(
        "--certs-mounted",
        type=Path,
        metavar="DIR",
        help="folder with tls.crt and tls.key that others make and renew, a mounted Secret for one",
    )
    add_certificate_secret(parser)


@wrong_files_are_usage_errors()
def run(arguments: argparse.Namespace) -> int:
    """Check everything that can be wrong before anything starts, then serve."""
    _check(arguments)
    with ending_at_sigterm():  # Until gunicorn takes the signals over, which is at the end of a start.
        return _serve(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    metrics = Metrics()
    api = ApiMetrics(registry=metrics.registry)
    cluster = reach(arguments, observer=api) if arguments.cluster else None
    if cluster is None:
        load_once(
            existing_policies(arguments.policies),
            arguments.argo_version,
            allow_empty=arguments.allow_empty,
            note=print_message,
        )
    listener = listen(arguments.host, arguments.port)
    number = listener.getsockname()[1]
    health = None
    if arguments.health_port is not None:
        health = listen(arguments.host, arguments.health_port, option="--health-port")
    with TemporaryDirectory(prefix="lockkeeper-") as temporary:
        certificate = _certificate_of(arguments, Path(temporary))
        certificate.establish()
        process = _WebhookProcess(
            arguments=arguments, cluster=cluster, certificate=certificate, health=health, metrics=metrics
        )
        server = Server(
            settings=ServerSettings(certificate=certificate.paths.cert, key=certificate.paths.key),
            listener=listener,
            build=lambda: process.build(server.draining),
            tls=certificate.context,
            on_leave=process.close_log,
        )
        print_message(f"serving on {url_of(arguments.host, number)}{_authority(arguments, certificate)}")
        if health is not None:
            print_message(f"probes and metrics on port {health.getsockname()[1]}")
        return server.serve()


class _WebhookProcess:
    """What the worker process builds: the application, with threads that follow policies and certificate."""

    def __init__(
        self,
        *,
        arguments: argparse.Namespace,
        cluster: Cluster | None,
        certificate: _Certificate,
        health: socket | None,
        metrics: Metrics,
    ) -> None:
        self._arguments = arguments
        self._cluster = cluster
        self._certificate = certificate
        self._health = health
        self._metrics = metrics
        self._writer: LineWriter | None = None

    def build(self, draining: Callable[[], bool]) -> Application:
        """Build everything, in the worker: a fork has none of the threads of its parent."""
        metrics = self._metrics  # Of the parent, which counted nothing: a worker has a copy of its own.
        self._writer = LineWriter(descriptor=sys.stdout.fileno())
        log = Log(write=self._writer, clock=utc_now)
        self._certificate.attend(log, metrics.registry)
        if self._cluster is not None:
            return self._on_cluster(self._cluster, log, metrics, draining)
        return self._on_files(log, metrics, draining)

    def close_log(self) -> None:
        """Write what is still to be written."""
        if self._writer is not None:
            self._writer.close()

    def _on_files(self, log: Log, metrics: Metrics, draining: Callable[[], bool]) -> Application:
        arguments = self._arguments
        policies = FolderPolicies(
            folder=arguments.policies,
            argo=arguments.argo_version,
            log=log,
            metrics=PolicyLoads(registry=metrics.registry),
            identities=identities_of(arguments),
        )
        snapshots = policies.load()
        memory = MemoryCluster(clock=utc_now, rng=random.SystemRandom())
        Thread(
            target=lambda: policies.source.watch(Event(), RELOAD_SECONDS), name="policies", daemon=True
        ).start()
        return build_admission(
            snapshots=snapshots,
            ledgers=Ledgers(cluster=memory, clock=utc_now, led=False, bounded=False),
            log=log,
            metrics=metrics,
            draining=draining,
            missing=self._certificate.missing,
            probed=self._probed(log),
        )

    def _on_cluster(
        self, cluster: Cluster, log: Log, metrics: Metrics, draining: Callable[[], bool]
    ) -> Application:
        policies = ClusterPolicies(
            cluster=cluster,
            argo=self._arguments.argo_version,
            log=log,
            loads=PolicyLoads(registry=metrics.registry),
            identities=identities_of(self._arguments),
            deployment=self._arguments.argo_deployment,
        )
        callers = self._callers(cluster, log)
        policies.read_figures()
        policies.start()
        # Connections wait in the backlog meanwhile. A worker that replaces one that died would otherwise
        # refuse the first reviews, because its Pod counts as ready.
        policies.wait(_SYNC_SECONDS)
        if callers is not None:
            callers.wait(_SYNC_SECONDS)
        return build_admission(
            snapshots=policies.snapshots,
            ledgers=Ledgers(
                cluster=cluster, clock=utc_now, observer=LedgerMetrics(registry=metrics.registry)
            ),
            log=log,
            metrics=metrics,
            draining=draining,
            current=policies.current,
            relatives=ClusterRelatives(cluster=cluster),
            stored=StoredWorkflows(cluster=cluster),
            missing=lambda: [
                *policies.missing(),
                *self._certificate.missing(),
                *(callers.missing() if callers is not None else ()),
            ],
            callers=callers,
            probed=self._probed(log),
        )

    def _callers(self, cluster: Cluster, log: Log) -> KnownCallers | None:
        """Return the known callers, already followed; None where every caller is answered."""
        if self._arguments.webhook_configurations is None:
            return None
        callers = KnownCallers(
            cluster=cluster,
            name=self._arguments.webhook_configurations,
            clock=utc_now,
            stopwatch=time.monotonic,
            trouble=ControllerLog(log=log).trouble,
        )
        callers.start()
        return callers

    def _probed(self, log: Log) -> Callable[[WSGIApplication], None] | None:
        """Return what serves probes and metrics on their own port, in this process, if there is one."""
        listener = self._health
        if listener is None:
            return None

        def serve(app: WSGIApplication) -> None:
            HealthPort(app=app, listener=listener, bug=lambda error: log.bug("", error)).start()

        return serve


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if arguments.cluster == (arguments.policies is not None):
        raise UsageError("give either --policies PATH or --cluster")
    sources = (arguments.certs, arguments.certs_mounted, arguments.certs_secret)
    if sum(source is not None for source in sources) > 1:
        raise UsageError("give one of --certs, --certs-mounted and --certs-secret")
    check_certificate_secret(arguments)
    if arguments.webhook_configurations is not None and not arguments.cluster:
        raise UsageError("--webhook-configurations are in a cluster: give --cluster too")
    if arguments.certs_secret is not None and not arguments.cluster:
        raise UsageError("--certs-secret is in a cluster: give --cluster too")


def _certificate_of(arguments: argparse.Namespace, temporary: Path) -> _Certificate:
    """Return where the certificate comes from; without an option one is created for this machine."""
    log = Log(write=write_to(sys.stdout.fileno()), clock=utc_now)
    if arguments.certs_secret is not None:
        return SecretCertificate(
            reach=lambda: reach(arguments),
            secret=arguments.certs_secret,
            names=arguments.certs_names,
            folder=temporary,
            log=log,
        )
    if arguments.certs_mounted is not None:
        folder = arguments.certs_mounted
    else:
        folder = arguments.certs or temporary
        loopback_certificate(folder, arguments.host)
    reporter = CertificateLog(log=log, registry=CollectorRegistry())
    return MountedCertificate(folder=folder, clock=utc_now, reporter=reporter)


def _authority(arguments: argparse.Namespace, certificate: _Certificate) -> str:
    """Return where a person finds the CA to trust, where that is a file."""
    made_here = arguments.certs_secret is None and arguments.certs_mounted is None
    return f", CA certificate {certificate.paths.authority_cert}" if made_here else ""
