"""gunicorn around the application: one worker with a loop of its own, TLS, certificates swapped hot."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext
from typing import Final, Protocol, TypeAlias

import msgspec
from gunicorn.app.base import BaseApplication

from webhook.serving.application import Application
from webhook.serving.worker import LoopWorker

DEFAULT_PORT: Final = 9443
"""The port that controller-runtime webhooks use, so network policies and firewalls know it."""
_MEMORY_FOLDER: Final = Path("/dev/shm")  # noqa: S108 - gunicorn's heartbeat file must not wait for a disk
_HUNG_AFTER: Final = 60
"""Seconds without a heartbeat after which the worker is taken for hung; the API server waits 30 at most."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate and gunicorn's figures.

    `threads`: how many compute at once beside the loop. Two, because more only worsen the tail under Python's
    lock, and one may be taken by a review that takes long. `keep_alive` seconds: above the 90 s after which
    the API server's client drops idle connections, so that it never posts into one that we have just closed.
    """

    certificate: Path
    key: Path
    threads: int = 2
    keep_alive: int = 95
    graceful_timeout: int = 25
    backlog: int = 1024


class _Arbiter(Protocol):
    """What we need of gunicorn's master."""

    num_workers: int


class _Worker(Protocol):
    """What we need of gunicorn's worker."""

    alive: bool


Build: TypeAlias = Callable[[], Application]
"""Builds the application inside the worker process, after the fork, so that threads may be started there."""


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Runs the application of `build` on a socket that is bound already.

    With `respawn` a worker that dies is replaced; without, the server ends with it, because what the worker
    held in memory is lost. `on_ready` is called in a worker that is built and handles signals, `on_leave` in
    one that ends by itself, perhaps twice, and not in one that was killed.
    """

    def __init__(
        self,
        *,
        settings: ServerSettings,
        listener: socket.socket,
        build: Build,
        tls: Callable[[], SSLContext],
        respawn: bool = True,
        on_ready: Callable[[], object] | None = None,
        on_leave: Callable[[], object] | None = None,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._build = build
        self._tls = tls
        self._respawn = respawn
        self._on_ready = on_ready
        self._on_leave = on_leave
        self._worker: _Worker | None = None
        super().__init__()

    def draining(self) -> bool:
        """Return, in the worker, whether it is about to stop: connections then close after an answer."""
        return self._worker is not None and not self._worker.alive

    def load_config(self) -> None:
        """Set gunicorn's options; nothing is read from the environment or a file."""
        settings = self._settings
        options: dict[str, object] = {
            "bind": [f"fd://{self._listener.fileno()}"],
            "workers": 1,
            "worker_class": LoopWorker,
            "threads": settings.threads,
            "keepalive": settings.keep_alive,
            "graceful_timeout": settings.graceful_timeout,
            "timeout": _HUNG_AFTER,
            "backlog": settings.backlog,
            "certfile": str(settings.certificate),
            "keyfile": str(settings.key),
            "ssl_context": lambda _config, _default: self._tls(),
            "control_socket_disable": True,  # It would be written below $HOME, which may be read-only.
            "worker_tmp_dir": str(_MEMORY_FOLDER) if _MEMORY_FOLDER.is_dir() else None,
            "loglevel": "error",
            "post_worker_init": self._remember,
            "child_exit": self._ended,
            # A second signal, of the terminal or the parent, may end the worker half way.
            "worker_int": lambda _worker: self._leave(),
            "worker_exit": lambda _arbiter, _worker: self._leave(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Return the application; gunicorn calls this in the worker process."""
        return self._build()

    def serve(self) -> int:
        """Serve until stopped and return the exit code.

        gunicorn ends master and worker by SystemExit. The worker is a fork in the middle of this call, so it
        leaves at once: what the caller does afterwards is the parent's alone.
        """
        parent = os.getpid()
        code = 0
        try:
            self.run()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if os.getpid() != parent:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code

    def _remember(self, worker: _Worker) -> None:
        self._worker = worker
        if self._on_ready is not None:
            self._on_ready()

    def _ended(self, arbiter: _Arbiter, _worker: object) -> None:
        """End with the worker where it may not be replaced; harmless while the server is stopping anyway."""
        if not self._respawn:
            arbiter.num_workers = 0
            os.kill(os.getpid(), signal.SIGTERM)

    def _leave(self) -> None:
        if self._on_leave is not None:
            self._on_leave()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on the address; port 0 takes a free one.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener
