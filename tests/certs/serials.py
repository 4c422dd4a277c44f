"""The serial of a certificate, by which tests distinguish certificates."""

from cryptography import x509


def serial_in(cert_pem: bytes) -> int:
    """Return the serial of the (first) certificate in the text."""
    return x509.load_pem_x509_certificate(cert_pem).serial_number
