"""Options of commands that start with certificates, and an end while they wait."""

import argparse
import signal

import pytest

from lockkeeper.cli.certificate_options import certificate_names, secret_name
from lockkeeper.process.liveness import ending_at_sigterm
from lockkeeper.process.namespaced_name import NamespacedName


def test_a_secret_is_named_with_its_namespace() -> None:
    """Anything else is an error that shows what was given."""
    assert secret_name("ns/name") == NamespacedName("ns", "name")
    for wrong in ("name", "/name", "ns/", "a/b/c", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="give NAMESPACE/NAME"):
            secret_name(wrong)


def test_names_are_listed_with_commas() -> None:
    """In the spelling of certificates; a wrong one and none at all are errors."""
    assert certificate_names("B.example,127.0.0.1,") == ("127.0.0.1", "b.example")
    for wrong in ("", ",", "not a name"):
        with pytest.raises(argparse.ArgumentTypeError):
            certificate_names(wrong)


def test_sigterm_ends_a_start_that_waits_and_is_then_as_before() -> None:
    """With an exit code of 0: it was asked to stop, and it stopped."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, ending_at_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0
    assert signal.getsignal(signal.SIGTERM) == before
