"""Options of commands that serve: the address to listen on, and certificates in a Secret."""

import argparse
from errno import EACCES, EADDRNOTAVAIL
from functools import partial
from pathlib import Path
from socket import gaierror, socket
from typing import Final

from certs.subject_names import normalised_names
from lockkeeper.options.command_options import option_type
from lockkeeper.process.console import UsageError, reason_of
from lockkeeper.process.kubernetes_objects import NamespacedName
from webhook.serving.server import DEFAULT_PORT, bind

PAGE_HOST: Final = "127.0.0.1"
PAGE_PORT: Final = 8300
"""Where the page is: on this machine alone."""
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
        hint = f"end the other program or give another {option} (0 takes a free one)"
        if isinstance(error, gaierror) or error.errno == EADDRNOTAVAIL:
            hint = "give an address of this machine as --host"
        elif error.errno == EACCES:
            hint = f"give {option} a number above 1023"
        raise UsageError(f"cannot listen on {host}:{number}: {reason_of(error)}; {hint}") from error


def listen_for_page() -> socket:
    """Return a socket for the page beside something else: on its usual port, or on a free one."""
    try:
        return bind(PAGE_HOST, PAGE_PORT)
    except OSError:
        return bind(PAGE_HOST, 0)


secret_name: Final = option_type(partial(NamespacedName.parse, kind="Secret"))
"""Reads the name of a Secret."""


@option_type
def certificate_names(text: str) -> tuple[str, ...]:
    """Return names for a certificate from a list with commas. Raises ValueError."""
    return tuple(sorted(normalised_names(filter(None, text.split(",")))))


def add_certificate_secret(parser: argparse.ArgumentParser) -> None:
    """Add `--certs-secret` and `--certs-names`: certificates that Lockkeeper itself writes to a Secret."""
    parser.add_argument(
        "--certs-secret",
        type=secret_name,
        metavar="NAMESPACE/NAME",
        help="Secret to keep our own CA and serving certificate in; the first process makes them",
    )
    parser.add_argument(
        "--certs-names",
        type=certificate_names,
        metavar="NAME,NAME",
        help="names that the serving certificate is for: those of the webhook's Service",
    )


def check_certificate_secret(arguments: argparse.Namespace) -> None:
    """Refuse half of the two options.

    Raises:
        UsageError: one of them is missing.
    """
    if (arguments.certs_secret is None) != (arguments.certs_names is None):
        raise UsageError("--certs-secret and --certs-names go together")
