"""Puts together the embedded mode: webhook, controller, in-memory cluster and simulated Argo in one worker.

The parent binds, forks the worker by gunicorn, and passes its word on: a play that went well ends with 0.
"""

import os
import random
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from socket import socket
from threading import Event, Thread
from typing import Final
from uuid import uuid4
from wsgiref.types import WSGIApplication

import msgspec

from lockkeeper.assembly.controller import build_controller
from lockkeeper.assembly.policy_folder import RELOAD_SECONDS, FolderPolicies
from lockkeeper.assembly.webhook import build_admission
from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.embedded.api_server import ApiServer
from lockkeeper.embedded.argo import SimulatedArgo
from lockkeeper.embedded.narrator import Narrator, closing_table, lock_table
from lockkeeper.embedded.play import create_child, play
from lockkeeper.process.clock_and_log import tell, url_of, utc_now, write_errors, write_to
from lockkeeper.process.controller_log import ControllerLog
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.owner_reads import ClusterRelatives
from policy.cluster.protocol import WORKFLOWS
from policy.core.lock_model.lock_names import CONFIG_MAP, LockName, read_limit
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.semaphore_projection import project
from policy.core.policies.snapshot import Snapshot
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.serving.server import Server
from webhook.settings import ServerSettings

_EXAMPLE: Final = "examples/review.json"
"""A review of this project's own, as seen from its folder."""
_AT_ONCE: Final = timedelta(0)
"""Somebody watches: who waits is told of every move."""
_DONE: Final = b"d"
"""The worker's word to its parent: the play ended and went well."""
_STOPPED: Final = b"s"
"""The worker's word that it ended by itself; one that was killed says nothing."""


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `lockkeeper run` was asked for; `once` ends after the play.

    `log` is a file descriptor; without one only errors are written, to standard error.
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


class Embedded:
    """One run of the embedded mode."""

    def __init__(self, *, settings: EmbeddedSettings, listener: socket) -> None:
        self._settings = settings
        self._listener = listener
        self._paths, tls = loopback_certificate(settings.certificates, settings.host)
        self._said, self._word = os.pipe()
        self._parent = os.getpid()
        self._stop = Event()
        self._ready = Event()
        self._server = Server(
            settings=ServerSettings(
                host=settings.host,
                port=settings.port,
                certificate=self._paths.cert,
                key=self._paths.key,
                graceful_timeout=2,
            ),
            listener=listener,
            build=self._build,
            tls=tls,
            respawn=False,
            on_ready=self._ready.set,
            on_leave=lambda: self._say(_STOPPED),
        )

    def run(self) -> int:
        """Serve until stopped; returns 0 where the play went well, or the user stopped a run without end."""
        server = self._server.serve()
        os.set_blocking(self._said, False)
        words = _read(self._said)
        if self._settings.once:
            return 0 if _DONE in words else 1
        return server if _STOPPED in words else 1

    def _say(self, word: bytes) -> None:
        os.write(self._word, word)

    def _unread(self) -> None:
        """End well: whoever read the output, `head` perhaps, has what he wanted."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if self._settings.once:
            self._say(_DONE)
        os.kill(self._parent, signal.SIGTERM)

    def _build(self) -> WSGIApplication:
        """Build everything inside the worker and start its threads."""
        settings = self._settings
        metrics = Metrics()
        write = write_errors if settings.log is None else write_to(settings.log)
        log = Log(write=write, clock=utc_now)
        policies = FolderPolicies(
            folder=settings.policies, argo=settings.argo, log=log, metrics=metrics, say=tell, alone=True
        )
        board = policies.load()
        cluster = MemoryCluster(clock=utc_now, rng=random.SystemRandom())
        # Nobody lists namespaces here, so a leader could not count those in which nothing lives yet.
        ledgers = Ledgers(cluster=cluster, clock=utc_now, led=False)
        narrator = Narrator(cluster=cluster, stopwatch=time.monotonic, unread=self._unread)
        reporter = ControllerLog(log=log, on_wait=narrator.waits)
        controller = build_controller(
            cluster=cluster, board=board, ledgers=ledgers, reporter=reporter, write_every=_AT_ONCE
        )
        board.on_policies(controller.wake)
        tls = ssl.create_default_context(cafile=str(self._paths.authority_cert))
        api_server, api_server_of_argo = (
            ApiServer(
                cluster=cluster,
                host=settings.host,
                port=settings.port,
                tls=tls,
                new_uid=lambda: str(uuid4()),
            )
            for _ in range(2)
        )  # Each keeps a connection, and serves one thread.
        argo = SimulatedArgo(
            cluster=cluster,
            clock=utc_now,
            stopwatch=time.monotonic,
            limit_of=lambda name: limit_of(name, board.current(), utc_now()),
            task_time=settings.task_time,
            create=lambda obj, namespace, user: create_child(
                obj, namespace, user, api_server_of_argo, narrator
            ),
        )
        application = build_admission(
            board=board,
            ledgers=ledgers,
            log=log,
            metrics=metrics,
            draining=self._server.draining,
            relatives=ClusterRelatives(cluster=cluster),
        )
        begin = cluster.list(WORKFLOWS).resource_version
        for name, body in (
            ("narrator", lambda: narrator.follow(begin)),
            ("argo", argo.run),
            ("controller", controller.run),
            ("policies", lambda: policies.source.watch(self._stop, RELOAD_SECONDS)),
            ("play", lambda: self._play(api_server, narrator, argo, board.current)),
        ):
            Thread(target=body, name=name, daemon=True).start()
        return application

    def _play(
        self, api_server: ApiServer, narrator: Narrator, argo: SimulatedArgo, snapshot: Callable[[], Snapshot]
    ) -> None:
        """Play the folder of Workflows, print what came of it, and end the run where it was asked to."""
        url = url_of(self._settings.host, self._settings.port)
        self._ready.wait()  # Who reads that it serves may end it, or send it something.
        if self._settings.workflows is not None:
            failures = play(
                self._settings.workflows, api_server, narrator, task_time=self._settings.task_time
            )
            narrator.text(closing(failures, narrator, argo, snapshot()))
            if self._settings.once:
                if not failures:
                    self._say(_DONE)
                os.kill(self._parent, signal.SIGTERM)
                return
        authority = self._paths.authority_cert
        narrator.text(
            f"\nServing on {url} until Ctrl-C. Try:\n"
            f"  curl --cacert {authority} {url}/metrics\n"
            f"  curl --cacert {authority} -H 'Content-Type: application/json' -d @{_EXAMPLE} {url}/mutate"
        )


def closing(failures: Sequence[str], narrator: Narrator, argo: SimulatedArgo, snapshot: Snapshot) -> str:
    """Return the closing tables, and a line for each thing that went wrong or never ran."""
    now = utc_now()
    limits = {name: limit_of(name, snapshot, now) for name in argo.locks.most}
    parts = ["", closing_table(narrator.tallies, snapshot, now)]
    if limits:
        parts += ["", lock_table(limits, argo.locks.most)]
    parts += [
        f"{story.namespace}/{story.name} still waits: no slot came free for it"
        for story in narrator.waiting()
    ]
    return "\n".join([*parts, *failures])


def limit_of(lock: str, snapshot: Snapshot, now: datetime) -> int:
    """Return the limit of a lock by Argo's name of it at a time; a mutex has 1, an unknown semaphore none."""
    name = LockName.parse(lock)
    if name.kind != CONFIG_MAP:
        return 1
    address = name.namespace, name.config_map
    projected = project(snapshot, now).config_maps.get(address, {}).get(name.key)
    standing = snapshot.config_maps.get(address, {}).get(name.key)
    value = projected.value if projected is not None else standing
    return (read_limit(value) or 0) if value is not None else 0


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 16)
    except BlockingIOError:
        return b""
