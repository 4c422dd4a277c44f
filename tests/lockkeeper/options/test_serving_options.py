"""Options of commands whose certificates are in a Secret."""

import argparse

import pytest

from lockkeeper.options.serving_options import certificate_names, secret_name
from lockkeeper.process.kubernetes_objects import NamespacedName


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
