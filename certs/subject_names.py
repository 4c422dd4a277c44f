"""The names that a certificate may carry: DNS names and IP addresses, spelled in one way."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from cryptography import x509

_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
"""Limits of RFC 1035; a longer name could never be looked up."""


class UnusableNameError(ValueError):
    """A name cannot be in a certificate; `name` is what was requested."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        hint = "give names such as svc.ns.svc or 127.0.0.1"
        if not self.name:
            return f"a certificate needs a name: {hint}"
        return f"{self.name!r} is neither a DNS name nor an IP address: {hint}"


def normalised_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a certificate spells them: lower case, IP addresses in their short form.

    Raises:
        UnusableNameError: a name is neither a DNS name nor an IP address, or there is none at all.
    """
    normalised = frozenset(str(general_name(name).value) for name in names)
    if not normalised:
        raise UnusableNameError("")
    return normalised


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """Return the name in the form of a certificate; a leading `*.` is allowed, a final dot is dropped.

    Raises:
        UnusableNameError: it is neither a DNS name nor an IP address.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    spelled = name.lower().removesuffix(".")
    labels = spelled.removeprefix("*.").split(".")
    # A last label of digits only is a mistyped IPv4 address: clients would read it as one and never match it.
    if len(spelled) > _LONGEST_NAME or labels[-1].isdigit() or not all(_is_label(label) for label in labels):
        raise UnusableNameError(name)
    return x509.DNSName(spelled)


def names_in(cert: x509.Certificate) -> frozenset[str]:
    """Return the alternative names of a certificate, as `normalised_names` spells them."""
    try:
        alternatives = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value).lower() for name in alternatives)


def _is_label(label: str) -> bool:
    plain = label.isascii() and label.replace("-", "").replace("_", "").isalnum()
    return plain and len(label) <= _LONGEST_LABEL and not label.startswith("-") and not label.endswith("-")
