"""The certificate of the server, and the TLS settings of its connections."""

from __future__ import annotations

import ssl
from pathlib import Path


class BadCertificate(ValueError):
    """The files cannot be used. The message says why."""


class Certificate:
    """A certificate with its private key, and the TLS settings of its connections.

    Args:
        certificate: the file of the certificate, in PEM, with its chain.
        key: the file of its private key, in PEM, without a password.

    Attributes:
        context: TLS 1.2 or newer, for new connections.

    Raises:
        BadCertificate: the files cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_RENEGOTIATION  # it costs the server more than the client
        self.context.set_alpn_protocols(["http/1.1"])
        self._load(self.context)

    def reload(self) -> None:
        """Read the files again, for new connections.

        Raises:
            BadCertificate: the files cannot be used. The old ones stay.
        """
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # so that a failure changes nothing
        self._load(self.context)

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files
        for path in self._files:
            try:
                path.read_bytes()
            except OSError as error:
                raise BadCertificate(f"can't read {path}: {error.strerror}") from None
        try:
            context.load_cert_chain(certificate, key, password=_refuse_password)
        except (ssl.SSLError, ValueError) as error:
            raise BadCertificate(
                f"{certificate} and {key} are not a certificate and its private key in PEM, "
                f"without a password ({_reason(error)})"
            ) from None


def _refuse_password() -> str:
    raise ValueError("the key has a password")  # otherwise OpenSSL asks on the terminal


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
