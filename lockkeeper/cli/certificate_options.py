"""Options of commands whose certificates are in a Secret."""

import argparse
from functools import partial
from typing import Final

from certs.subject_names import normalised_names
from lockkeeper.cli.options import option_type
from lockkeeper.process.kubernetes_objects import NamespacedName
from lockkeeper.process.output import UsageError

secret_name: Final = option_type(partial(NamespacedName.parse, kind="Secret"))
"""Reads the name of a Secret."""


@option_type
def certificate_names(text: str) -> tuple[str, ...]:
    """Return names for a certificate from a list with commas. Raises ValueError."""
    return tuple(sorted(normalised_names(filter(None, text.split(",")))))


def add_certificate_secret(parser: argparse.ArgumentParser) -> None:
    """Add `--certs-secret` and `--certs-names`: certificates that Lockkeeper itself keeps in a Secret."""
    parser.add_argument(
        "--certs-secret",
        type=secret_name,
        metavar="NAMESPACE/NAME",
        help="Secret to keep our own CA and serving certificate in; whoever comes first makes them",
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
