"""What commands need to start with certificates of a cluster: options, and an end while they still wait."""

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec

from certs.naming import UnusableNameError, normalised_names


class SecretName(msgspec.Struct, frozen=True):
    """A Secret, as `NAMESPACE/NAME` says it on the command line."""

    namespace: str
    name: str


def secret_name(text: str) -> SecretName:
    """Return the Secret, or an error that argparse shows."""
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} names no Secret; give NAMESPACE/NAME")
    return SecretName(namespace, name)


def certificate_names(text: str) -> tuple[str, ...]:
    """Return names for a certificate from a list with commas, or an error that argparse shows."""
    try:
        return tuple(sorted(normalised_names(filter(None, text.split(",")))))
    except UnusableNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


@contextmanager
def ending_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process while the context lasts, by SystemExit, so that what is open is closed.

    As the first process of a container it would ignore the signal otherwise, until it is killed.
    """
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
