"""`lockkeeper serve`: the webhook alone."""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from wsgiref.types import WSGIApplication

from lockkeeper.cli.failing import UsageError
from lockkeeper.cli.options import (
    add_address,
    add_kubeconfig,
    add_policies,
    existing_folder,
    listen,
    reach,
)
from lockkeeper.clustered import ClusterPolicies
from lockkeeper.wiring import (
    RELOAD_SECONDS,
    Policies,
    build_admission,
    load_once,
    loopback_certificate,
    tell,
    url_of,
    utc_now,
)
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory import MemoryCluster
from policy.cluster.protocol import Cluster
from policy.core.locks.forms import ArgoVersion
from webhook.line_writer import LineWriter
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.server import Server
from webhook.settings import ServerSettings

NAME = "serve"
SUMMARY = "Serve the admission webhook alone, with policies from files or a cluster."
EXAMPLES = """examples:
  lockkeeper serve --policies examples/policies
  lockkeeper serve --cluster --kubeconfig ~/.kube/config
  curl --cacert DIR/ca.crt -H 'Content-Type: application/json' -d @review.json https://127.0.0.1:9443/mutate

One JSON line a review goes to standard output. With policies from files nothing that it holds is let go,
and limits of quotas that deny count only the creates of the last 90 seconds; with --cluster the command
`lockkeeper controller` lets go, and the ledgers in the cluster count.
Exit codes: 0 stopped by a signal, 2 something to mend before it can serve."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_policies(parser, required=False)
    parser.add_argument(
        "--cluster", action="store_true", help="take policies from the cluster, and keep its ledgers"
    )
    add_kubeconfig(parser)
    add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check everything that can be wrong before anything starts, then serve."""
    if arguments.cluster == (arguments.policies is not None):
        raise UsageError("give either --policies DIR or --cluster")
    cluster = reach(arguments.kubeconfig) if arguments.cluster else None
    if cluster is None:
        load_once(existing_folder(arguments.policies, "the folder of policies"), arguments.argo_version)
    listener = listen(arguments.host, arguments.port)
    port = listener.getsockname()[1]
    temporary = None if arguments.certs else Path(tempfile.mkdtemp(prefix="lockkeeper-"))
    paths, tls = loopback_certificate(temporary or arguments.certs, arguments.host)

    writers: list[LineWriter] = []  # Made in the worker, closed there.

    def build() -> WSGIApplication:
        metrics = Metrics()
        writers.append(LineWriter(descriptor=sys.stdout.fileno()))
        log = Log(write=writers[0], clock=utc_now)
        if cluster is not None:
            return _on_cluster(cluster, arguments.argo_version, log, metrics, server.draining)
        policies = Policies(folder=arguments.policies, argo=arguments.argo_version, log=log, metrics=metrics)
        board = policies.load()
        memory = MemoryCluster(clock=utc_now, rng=random.SystemRandom())
        ledgers = Ledgers(cluster=memory, clock=utc_now)
        Thread(
            target=lambda: policies.source.watch(Event(), RELOAD_SECONDS), name="policies", daemon=True
        ).start()
        return build_admission(
            board=board, ledgers=ledgers, log=log, metrics=metrics, draining=server.draining
        )

    def close_log() -> None:
        for writer in writers:
            writer.close()

    server = Server(
        settings=ServerSettings(host=arguments.host, port=port, certificate=paths.cert, key=paths.key),
        listener=listener,
        build=build,
        tls=tls,
        on_leave=close_log,
    )
    tell(f"serving on {url_of(arguments.host, port)}, CA certificate {paths.authority_cert}")
    try:
        return server.serve()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _on_cluster(
    cluster: Cluster, argo: ArgoVersion, log: Log, metrics: Metrics, draining: Callable[[], bool]
) -> WSGIApplication:
    policies = ClusterPolicies(cluster=cluster, argo=argo, log=log)
    policies.start()
    return build_admission(
        board=policies.board,
        ledgers=Ledgers(cluster=cluster, clock=utc_now),
        log=log,
        metrics=metrics,
        draining=draining,
        current=policies.current,
        missing=policies.missing,
    )
