"""Options of commands that listen on an address."""

import argparse
from pathlib import Path
from socket import socket

from lockkeeper.process.output import UsageError
from webhook.serving.server import bind
from webhook.settings import DEFAULT_PORT

_MAX_PORT = 65_535


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add `--host`, `--port` and `--certs`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port",
        type=port,
        default=DEFAULT_PORT,
        help="port to listen on; 0 takes a free one (default %(default)s)",
    )
    parser.add_argument(
        "--certs",
        type=Path,
        metavar="DIR",
        help="folder to keep the certificate and its CA in (default: a new temporary one)",
    )


def port(text: str) -> int:
    """Return a port number, or an error that argparse shows."""
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number up to {_MAX_PORT}")
    return int(text)


def listen(host: str, number: int, *, option: str = "--port") -> socket:
    """Return a listening socket; `option` is the one that gave the port.

    Raises:
        UsageError: the port is in use, or the address is not this machine's.
    """
    try:
        return bind(host, number)
    except OSError as error:
        hint = f"; end the other program or give another {option} (0 takes a free one)"
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot listen on {host}:{number}: {reason}{hint}") from error
