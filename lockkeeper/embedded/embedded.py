"""Puts together the embedded mode: webhook, controller, in-memory cluster and simulated Argo in one worker.

The parent binds, forks the worker by gunicorn, and returns its result: a play that went well ends with 0.
"""

import os
import random
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from socket import socket
from threading import Event, Thread
from typing import Final
from uuid import uuid4

import msgspec

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.assembly.controller import Terms
from lockkeeper.assembly.policy_folder import RELOAD_SECONDS, FolderPolicies
from lockkeeper.assembly.webhook import build_admission
from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.embedded.api_server import ApiServer
from lockkeeper.embedded.closing import closing, limit_of
from lockkeeper.embedded.event_printer import EventPrinter
from lockkeeper.embedded.folder_objects import FolderObjects
from lockkeeper.embedded.namespaces import ensure_namespaces
from lockkeeper.embedded.play import Play, folders_of
from lockkeeper.embedded.submitting import Submitter
from lockkeeper.embedded.taking import Taker
from lockkeeper.embedded.trying_out import trying_out
from lockkeeper.embedded.webhook_admission import WebhookAdmission
from lockkeeper.kube_api.describing.kubeconfig import write_kubeconfig
from lockkeeper.kube_api.http_server import KubeApi
from lockkeeper.kube_api.object_requests import ObjectRequests
from lockkeeper.page.page_server import PageServer, page_url
from lockkeeper.process.console import print_message, reason_of, url_of, utc_now, write_errors, write_to
from lockkeeper.process.controller_log import ControllerLog, expose_board
from lockkeeper.simulated_argo.argo import SimulatedArgo
from lockkeeper.simulated_argo.cron import SimulatedCron
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.cluster.workflow_reads import ClusterRelatives
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.status.api_metrics import LedgerMetrics
from policy.service.status.metrics import ControllerMetrics
from policy.service.status.policy_metrics import PolicyLoads
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.serving.application import Application
from webhook.serving.server import Server, ServerSettings

_SYNC_SECONDS: Final = 10.0
"""Until the policies are read from the cluster in this process, at the longest."""
_EVERY_CHANGE: Final = timedelta(0)
"""A person watches: every change of a position is written."""
DONE: Final = b"d"
"""The worker's message to its parent: the play ended and went well."""
STOPPED: Final = b"s"
"""The worker's message that it ended by itself; one that was killed sends none."""
FAILED: Final = b"f"
"""The worker's message that its output could not be written."""


def exit_code(messages: bytes, server: int, *, once: bool) -> int:
    """Return the exit code of a run by the messages of its worker and that of its `server`.

    A play may be done although its output could not be written: it goes on while the process ends.
    """
    if FAILED in messages:
        return 1
    if once:
        return 0 if DONE in messages else 1
    return server if STOPPED in messages else 1


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `lockkeeper run`; `once` ends after the play.

    `kubeconfig` is where that of the API for kubectl is written; without it there is none. `page` listens for
    browsers; without it there is no page. `log` is a file descriptor; without one only errors are written, to
    standard error.
    """

    policies: Path
    workflows: Path | None
    certificates: Path
    host: str
    port: int
    once: bool
    task_time: timedelta
    argo: ArgoVersion
    log: int | None
    namespace: str = DEFAULT_NAMESPACE
    kubeconfig: Path | None = None
    api_port: int = 0
    page: socket | None = None

    @property
    def page_url(self) -> str:
        """The address of the page; "" where there is none."""
        return "" if self.page is None else page_url(self.page)


class Embedded:
    """One run of the embedded mode."""

    def __init__(self, *, settings: EmbeddedSettings, listener: socket) -> None:
        self._settings = settings
        self._listener = listener
        self._paths, tls = loopback_certificate(settings.certificates, settings.host)
        self._messages, self._message = os.pipe()
        self._parent = os.getpid()
        self._stop = Event()
        self._ready = Event()
        self._server = Server(
            settings=ServerSettings(certificate=self._paths.cert, key=self._paths.key, graceful_timeout=2),
            listener=listener,
            build=self._build,
            tls=tls,
            respawn=False,
            on_ready=self._ready.set,
            on_leave=lambda: self._send(STOPPED),
        )

    def run(self) -> int:
        """Serve until stopped; returns 0 where the play went well, or the user stopped a run without end."""
        server = self._server.serve()
        os.set_blocking(self._messages, False)
        return exit_code(_read(self._messages), server, once=self._settings.once)

    def _send(self, message: bytes) -> None:
        os.write(self._message, message)

    def _output_closed(self, error: OSError) -> None:
        """End: well where the reader of the output, such as `head`, has read enough."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print_message(f"the output cannot be written: {reason_of(error)}")
            self._send(FAILED)
        elif self._settings.once:
            self._send(DONE)
        os.kill(self._parent, signal.SIGTERM)

    def _build(self) -> Application:
        """Build everything inside the worker and start its threads."""
        settings = self._settings
        metrics = Metrics()
        counted = ControllerMetrics(leading=lambda: True, clock=utc_now)
        write = write_errors if settings.log is None else write_to(settings.log)
        log = Log(write=write, clock=utc_now)
        cluster = MemoryCluster(clock=utc_now, rng=random.SystemRandom())
        folder = FolderPolicies(
            folder=settings.policies,
            argo=settings.argo,
            log=log,
            metrics=PolicyLoads(registry=metrics.registry),
            report=print_message,
            alone=True,
            namespace=settings.namespace,
        )
        files = folder.load()
        objects = FolderObjects(folder=settings.policies, cluster=cluster, namespace=settings.namespace)
        objects.put()
        ensure_namespaces(cluster, (settings.namespace,))
        files.on_policies(objects.put)
        policies = ClusterPolicies(cluster=cluster, argo=settings.argo, log=log)
        policies.start()
        policies.wait(_SYNC_SECONDS)
        printer = EventPrinter(cluster=cluster, stopwatch=time.monotonic, on_closed=self._output_closed)
        ledger_metrics = LedgerMetrics(registry=counted.registry)
        ledgers = Ledgers(cluster=cluster, clock=utc_now, observer=ledger_metrics)
        terms = Terms(
            cluster=cluster,
            policies=policies,
            ledgers=ledgers,
            reporter=ControllerLog(
                log=log,
                recorder=counted,
                on_wait=printer.waits,
                on_reason=printer.reason,
                on_superseded=printer.superseded,
            ),
            lock_metrics=LockMetrics(registry=counted.registry),
            leading=lambda: True,
            me="lockkeeper-run",
            write_every=_EVERY_CHANGE,
        )
        snapshots = policies.snapshots
        expose_board(
            counted,
            snapshots=snapshots,
            verdicts=policies.verdicts,
            leading=lambda: True,
            capacity=policies.allowed_by_nodes,
            ledgers=ledger_metrics,
            starts=terms.starts,
        )
        argo = self._argo(cluster, printer, snapshots.current)
        admission = WebhookAdmission(printer=printer, new_api_server=lambda: self._api_server(cluster))
        requests = ObjectRequests(cluster=cluster, admission=admission, clock=utc_now)
        submitter = Submitter(api_server=self._api_server(cluster), printer=printer)
        taker = Taker(
            cluster=cluster,
            submitter=submitter,
            writes=requests.writes,
            printer=printer,
            namespace=settings.namespace,
        )
        folders = folders_of(settings.policies, settings.workflows)
        begun = Play(folders=folders, taker=taker, printer=printer, task_time=settings.task_time)

        def words(failures: Sequence[str]) -> str:
            return closing(
                failures,
                printer,
                argo.locks.most,
                snapshots.current(),
                now=utc_now(),
                capacity=policies.allowed_by_nodes,
            )

        application = build_admission(
            snapshots=snapshots,
            ledgers=ledgers,
            log=log,
            metrics=metrics,
            draining=self._server.draining,
            current=policies.current,
            relatives=ClusterRelatives(cluster=cluster),
            further=counted.render,
        )
        self._serve_kube_api(requests, log)
        self._serve_page(cluster, log)
        begin = cluster.list(WORKFLOWS).resource_version
        for name, body in (
            ("printer", lambda: printer.follow(begin)),
            ("argo", argo.run),
            ("controller", terms.begin({}).run),
            ("policies", lambda: folder.source.watch(self._stop, RELOAD_SECONDS)),
            ("play", lambda: self._play(begun, printer, words)),
            *(() if settings.once else (("cron", self._cron(cluster, printer)),)),
        ):
            Thread(target=body, name=name, daemon=True).start()
        return application

    def _api_server(self, cluster: MemoryCluster) -> ApiServer:
        """Return an ApiServer; each keeps a connection, and serves one thread."""
        return ApiServer(
            cluster=cluster,
            host=self._settings.host,
            port=self._settings.port,
            tls=ssl.create_default_context(cafile=str(self._paths.authority_cert)),
            new_uid=lambda: str(uuid4()),
        )

    def _argo(
        self, cluster: MemoryCluster, printer: EventPrinter, snapshot: Callable[[], Snapshot]
    ) -> SimulatedArgo:
        submitter = Submitter(api_server=self._api_server(cluster), printer=printer)
        return SimulatedArgo(
            cluster=cluster,
            clock=utc_now,
            stopwatch=time.monotonic,
            limit_of=lambda name: limit_of(name, snapshot(), utc_now()),
            task_time=self._settings.task_time,
            create=lambda obj, namespace, user: submitter.submit(obj, namespace, user).uid,
        )

    def _cron(self, cluster: MemoryCluster, printer: EventPrinter) -> Callable[[], None]:
        """Return the loop that creates what CronWorkflows are due to."""
        submitter = Submitter(api_server=self._api_server(cluster), printer=printer)
        cron = SimulatedCron(
            cluster=cluster,
            clock=utc_now,
            argo=self._settings.argo,
            submit=submitter.submit,
            tell=printer.line,
        )
        return lambda: cron.run(self._stop)

    def _serve_kube_api(self, requests: ObjectRequests, log: Log) -> None:
        """Serve the API for kubectl, and write the kubeconfig for it; not in a run that ends by itself."""
        settings = self._settings
        if settings.once or settings.kubeconfig is None:
            return
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self._paths.cert, self._paths.key)
        api = KubeApi(
            host=settings.host,
            port=settings.api_port,
            tls=tls,
            requests=requests,
            bug=lambda error: log.bug("", error),
        )
        write_kubeconfig(
            settings.kubeconfig,
            url=url_of(settings.host, api.port),
            authority=self._paths.authority_cert.read_bytes(),
            namespace=settings.namespace,
        )
        api.start()

    def _serve_page(self, cluster: MemoryCluster, log: Log) -> None:
        """Serve the page."""
        if self._settings.page is None:
            return
        page = PageServer(
            cluster=cluster,
            namespace="",
            listener=self._settings.page,
            clock=utc_now,
            bug=lambda error: log.bug("", error),
        )
        page.start()

    def _play(self, begun: Play, printer: EventPrinter, words: Callable[[Sequence[str]], str]) -> None:
        """Play the files, print the result, and end the run with `--once`; then take what comes."""
        settings = self._settings
        url = url_of(settings.host, settings.port)
        self._ready.wait()  # A reader of this output may end it, or send it a review.
        if settings.page_url:
            printer.text(f"The page of this run: {settings.page_url}")
        failures = begun.create()
        if not settings.once:
            Thread(target=begun.follow, args=(self._stop,), name="files", daemon=True).start()
        if settings.workflows is not None:
            begun.finished(alone=settings.once)
            printer.text(words(failures))
        if settings.once:
            if not failures:
                self._send(DONE)
            os.kill(self._parent, signal.SIGTERM)
            return
        printer.text(
            trying_out(
                folder=settings.certificates,
                authority=self._paths.authority_cert,
                url=url,
                workflows=settings.workflows,
                namespace=settings.namespace,
                kubeconfig=settings.kubeconfig,
                page=settings.page_url,
            )
        )


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 16)
    except BlockingIOError:
        return b""
