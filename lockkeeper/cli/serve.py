"""`lockkeeper serve`: the webhook alone."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path
from threading import Event, Thread
from wsgiref.types import WSGIApplication

from lockkeeper.cli.options import add_address, add_policies, existing_folder, listen
from lockkeeper.wiring import (
    RELOAD_SECONDS,
    Policies,
    build_admission,
    load_once,
    loopback_certificate,
    tell,
    utc_now,
    write_to,
)
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory import MemoryCluster
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.server import Server
from webhook.settings import ServerSettings

NAME = "serve"
SUMMARY = "Serve the admission webhook alone, with policies from files."
EXAMPLES = """examples:
  lockkeeper serve --policies examples/policies
  curl --cacert DIR/ca.crt -H 'Content-Type: application/json' -d @review.json https://127.0.0.1:9443/mutate

One JSON line a review goes to standard output. Without a controller beside it nothing that it holds is let
go, and limits of quotas that deny count only the creates of the last 90 seconds.
Exit codes: 0 stopped by a signal, 2 something to mend before it can serve."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_policies(parser)
    add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check everything that can be wrong before anything starts, then serve."""
    load_once(existing_folder(arguments.policies, "the folder of policies"), arguments.argo_version)
    listener = listen(arguments.host, arguments.port)
    port = listener.getsockname()[1]
    temporary = None if arguments.certs else Path(tempfile.mkdtemp(prefix="lockkeeper-"))
    paths, tls = loopback_certificate(temporary or arguments.certs, arguments.host)

    def build() -> WSGIApplication:
        metrics = Metrics()
        log = Log(write=write_to(sys.stdout.fileno()), clock=utc_now)
        policies = Policies(folder=arguments.policies, argo=arguments.argo_version, log=log, metrics=metrics)
        board = policies.load()
        cluster = MemoryCluster(clock=utc_now, rng=random.SystemRandom())
        ledgers = Ledgers(cluster=cluster, clock=utc_now)
        Thread(
            target=lambda: policies.source.watch(Event(), RELOAD_SECONDS), name="policies", daemon=True
        ).start()
        return build_admission(
            board=board, ledgers=ledgers, log=log, metrics=metrics, draining=server.draining
        )

    server = Server(
        settings=ServerSettings(host=arguments.host, port=port, certificate=paths.cert, key=paths.key),
        listener=listener,
        build=build,
        tls=tls,
    )
    tell(f"serving on https://{arguments.host}:{port}, CA certificate {paths.authority_cert}")
    try:
        return server.serve()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
