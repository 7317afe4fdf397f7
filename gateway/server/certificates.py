"""The listener's certificate and key → the context for handshakes."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509

from gateway.files import FileRefused, NamedFiles, path_to

_MAX_BYTES: Final = 1024 * 1024


class CertificateRefused(Exception):
    """`setting` is `certificate` or `key`; the text is a sentence that goes on from its name, free of secrets."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """Equal when they were made of the same. `context` is for handshakes, `ends_at` the end of the certificate."""

    certificate: bytes
    key: bytes = field(repr=False)
    min_version: ssl.TLSVersion
    context: ssl.SSLContext = field(compare=False)
    ends_at: datetime = field(compare=False)

    @property
    def has_expired(self) -> bool:
        """Not refused: clients that find it expired can still be told so by it, and a start would fail for them all."""
        return self.ends_at < datetime.now(UTC)


def read_certificate(
    files: NamedFiles, *, certificate: Path, key: Path, min_version: ssl.TLSVersion
) -> ServerCertificate:
    """`certificate` is PEM with the chain, the listener's own first; `key` is PEM without a password.

    Raises `CertificateRefused` for a pair that is not fit.
    """
    chain, key_pem = _read(files, certificate, key)
    return ServerCertificate(
        certificate=chain,
        key=key_pem,
        min_version=min_version,
        ends_at=_end_of(chain),
        context=_context(chain, key_pem, min_version),
    )


def _read(files: NamedFiles, certificate: Path, key: Path) -> tuple[bytes, bytes]:
    setting = "certificate"
    try:
        chain = files.read(certificate, max_bytes=_MAX_BYTES)
        setting = "key"
        return chain, files.read(key, max_bytes=_MAX_BYTES, is_secret=True)
    except FileRefused as refusal:
        raise CertificateRefused(setting, str(refusal)) from None


def _end_of(pem: bytes) -> datetime:
    try:
        return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc
    except (ValueError, IndexError):
        raise CertificateRefused("certificate", "holds no certificate in PEM") from None


def _context(chain: bytes, key: bytes, min_version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = min_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        with path_to(chain) as chain_path, path_to(key) as key_path:
            context.load_cert_chain(chain_path, key_path, password=_refuse_password)
    except ssl.SSLError as error:
        raise CertificateRefused("key", _describe(error)) from None
    return context


def _refuse_password() -> NoReturn:
    """Without this OpenSSL would ask for it on the terminal."""
    raise CertificateRefused("key", "is encrypted; a key that only its owner can read needs no password")


def _describe(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "is not the key of the certificate"
    return f"cannot be used: {error.reason or 'no private key in PEM'}"
