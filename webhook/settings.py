"""How the webhook serves: frozen settings with the reason of each default."""

from pathlib import Path
from typing import Final

import msgspec

DEFAULT_PORT: Final = 9443
"""The port that controller-runtime webhooks use, so network policies and firewalls know it."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Address, certificate and gunicorn's figures.

    `threads`: two, because more only worsen the tail under Python's lock (reference measurements in
    docs/performance.md). `keep_alive` seconds: above the 90 s after which the API server's client drops idle
    connections, so that it never posts into one that we have just closed.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    certificate: Path
    key: Path
    threads: int = 2
    keep_alive: int = 95
    graceful_timeout: int = 25
    backlog: int = 1024
