"""The listener's certificate: loaded at start, loaded anew when its files change, kept when the new files are bad."""

import asyncio
import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509

from gateway.files import FileRefused, read_file, read_secret_file

logger: Final = logging.getLogger("gateway")

_LOOK_SECONDS: Final = 2.0
_MAX_BYTES: Final = 1024 * 1024

Version = tuple[tuple[int, int, int], ...]
"""Of each file: inode, time of the last change to it or its mode, size; a link that is turned leads to another one."""


class CertificateRefused(Exception):
    """`setting` is `certificate` or `key`; the text is a sentence that goes on from its name, free of secrets."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


class Certificates:
    """`context` is for the next handshake; those that have begun keep the one they began with.

    `certificate` is PEM with the chain, the listener's own first; `key` is PEM without a password. Raises
    `CertificateRefused` for a pair that is not fit.
    """

    def __init__(self, *, certificate: Path, key: Path, min_version: ssl.TLSVersion) -> None:
        self._certificate = certificate
        self._key = key
        self._min_version = min_version
        self._seen = self._version()
        self.ends_at = datetime.max.replace(tzinfo=UTC)  # until one is loaded, in the next line
        self.context = self._load()

    async def follow(self) -> None:
        """Look at the files every now and then, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.reload()

    def reload(self) -> None:
        """Take the files as they are now, if they have changed and fit; else keep what there is and say why."""
        version = self._version()
        if version == self._seen:
            return
        self._seen = version
        try:
            self.context = self._load()
        except CertificateRefused as refusal:
            logger.error("certificate_rejected listen.tls.%s %s", refusal.setting, refusal)  # noqa: TRY400  (a stack says nothing)

    def _version(self) -> Version:
        version = []
        for path in (self._certificate, self._key):
            try:
                status = path.stat()
            except OSError:
                version.append((0, 0, 0))
            else:
                version.append((status.st_ino, status.st_ctime_ns, status.st_size))
        return tuple(version)

    def _load(self) -> ssl.SSLContext:
        pem = self._read()
        ends_at = _end_of(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._min_version
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=_refuse_password)
        except ssl.SSLError as error:
            raise CertificateRefused("key", _describe(error)) from None
        except OSError as error:
            raise CertificateRefused("certificate", f"cannot be read: {error.strerror}") from None
        if ends_at < datetime.now(UTC):
            # Not refused: clients that find it expired can still be told so by it, and a start would fail for them all.
            logger.warning("certificate_expired %s", ends_at.isoformat())
        self.ends_at = ends_at
        logger.info("certificate_loaded valid until %s", ends_at.isoformat())
        return context

    def _read(self) -> bytes:
        """The certificate. Of the key it is enough to know that it may be used."""
        setting = "certificate"
        try:
            pem = read_file(self._certificate, max_bytes=_MAX_BYTES)
            setting = "key"
            read_secret_file(self._key, max_bytes=_MAX_BYTES)
        except FileRefused as refusal:
            raise CertificateRefused(setting, str(refusal)) from None
        return pem


def _end_of(pem: bytes) -> datetime:
    try:
        return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc
    except (ValueError, IndexError):
        raise CertificateRefused("certificate", "holds no certificate in PEM") from None


def _refuse_password() -> NoReturn:
    """Without this OpenSSL would ask for it on the terminal."""
    raise CertificateRefused("key", "is encrypted; a key that only its owner can read needs no password")


def _describe(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "is not the key of the certificate"
    return f"cannot be used: {error.reason or 'no private key in PEM'}"
