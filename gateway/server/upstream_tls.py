"""TLS towards upstreams: verified unless the operator says otherwise, TLS 1.2 at least."""

import ssl
from pathlib import Path


class TlsRefused(Exception):
    """A file is no certificate or key; `setting` is its key below `tls`, the text goes on from its name."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


def client_context(*, ca: Path | None, certificate: Path | None, key: Path | None, is_verified: bool) -> ssl.SSLContext:
    """`ca` is what servers are verified against, the system's store when None. Raises `TlsRefused`."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    except OSError as error:
        raise TlsRefused("ca", f"the file {ca} holds no certificates that can be read: {_describe(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])  # a server that prefers HTTP/2 must not choose it
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        try:
            # A password, for else OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except OSError as error:
            raise TlsRefused(
                "certificate", f"the certificate and key cannot be used together: {_describe(error)}"
            ) from None
    return context


def _describe(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return error.strerror or "unreadable"
