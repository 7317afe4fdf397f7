"""TLS towards upstreams: verified unless the operator says otherwise, TLS 1.2 at least."""

import contextlib
import ssl

from gateway.files import path_to


class TlsRefused(Exception):
    """A file is no certificate or key; `setting` is its key below `tls`, the text goes on from its name."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


def client_context(
    *, ca: bytes | None, certificate: bytes | None, key: bytes | None, is_verified: bool
) -> ssl.SSLContext:
    """Of PEM. `ca` is what servers are verified against, the system's store when None. Raises `TlsRefused`."""
    with contextlib.ExitStack() as held:
        ca_path, certificate_path, key_path = (
            None if content is None else held.enter_context(path_to(content)) for content in (ca, certificate, key)
        )
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_path)
        except OSError as error:
            raise TlsRefused("ca", f"holds no certificates that can be read: {_describe(error)}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])  # a server that prefers HTTP/2 must not choose it
        if not is_verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate_path is not None:
            _load_own(context, certificate_path, key_path)
    return context


def _load_own(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    try:
        # A password, for else OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        message = f"and its key cannot be used together: {_describe(error)}"
        raise TlsRefused("certificate", message) from None


def _describe(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return error.strerror or "unreadable"
