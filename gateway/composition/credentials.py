"""Configuration → what is read from files beside it and proves who somebody is: keys, certificates, authorities.

All of it at once, and before anything is started, so that `gateway check` sees what `gateway run` would.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.auth.keyring import Keyring
from gateway.composition.tokens import keyring_of
from gateway.config.load import Document
from gateway.config.sections.upstreams import UpstreamTls
from gateway.errors import ConfigError, Problem
from gateway.files import FileRefused
from gateway.server.certificates import CertificateRefused, ServerCertificate, read_certificate
from gateway.server.upstream_tls import TlsRefused, client_context

_MAX_PEM_BYTES: Final = 1024 * 1024  # the system's own authorities are 200 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """For https servers; equal when `context` was made of the same authorities, certificate and key."""

    material: tuple[bytes | None, ...] = field(repr=False)
    context: ssl.SSLContext = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """`certificate` is the listener's, None without TLS; `upstreams` are those with https servers, by name.

    `issuers` are all foreign issuers, by theirs.
    """

    keyring: Keyring
    certificate: ServerCertificate | None
    upstreams: Mapping[str, ClientTls]
    issuers: Mapping[str, ClientTls]


def read_credentials(document: Document) -> Credentials:
    """Raises `ConfigError` with the file and line of each that is refused."""
    return Credentials(
        keyring=keyring_of(document),
        certificate=_certificate_of(document),
        upstreams=_upstreams_of(document),
        issuers=_issuers_of(document),
    )


def certificate_paths(document: Document) -> Iterator[Path]:
    """The files that programs renew in their own time, without a word to anybody."""
    config, folder = document.config, Path(document.file).parent
    if config.listen.tls is not None:
        yield folder / config.listen.tls.certificate
        yield folder / config.listen.tls.key
    for upstream in config.upstreams.values():
        for name in (upstream.tls.ca, upstream.tls.certificate, upstream.tls.key):
            if name is not None and upstream.speaks_tls:
                yield folder / name


def _certificate_of(document: Document) -> ServerCertificate | None:
    tls = document.config.listen.tls
    if tls is None:
        return None
    folder = Path(document.file).parent
    try:
        return read_certificate(
            document.files,
            certificate=folder / tls.certificate,
            key=folder / tls.key,
            min_version=ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2,
        )
    except CertificateRefused as refusal:
        raise ConfigError([document.problem(f"listen.tls.{refusal.setting}", str(refusal))]) from None


def _upstreams_of(document: Document) -> Mapping[str, ClientTls]:
    found: dict[str, ClientTls] = {}
    problems: list[Problem] = []
    for name, upstream in document.config.upstreams.items():
        if not upstream.speaks_tls:
            continue
        try:
            found[name] = _client_tls(upstream.tls, document)
        except TlsRefused as refusal:
            problems.append(document.problem(f"upstreams.{name}.tls.{refusal.setting}", str(refusal)))
    if problems:
        raise ConfigError(problems)
    return found


def _issuers_of(document: Document) -> Mapping[str, ClientTls]:
    """For the servers of foreign issuers; always verified."""
    found: dict[str, ClientTls] = {}
    problems: list[Problem] = []
    for name, entry in document.config.foreign_issuers.items():
        try:
            ca = _read(document, "ca", entry.ca, is_secret=False)
            context = client_context(ca=ca, certificate=None, key=None, is_verified=True)
            found[name] = ClientTls(material=(ca,), context=context)
        except TlsRefused as refusal:
            problems.append(document.problem(f"foreign_issuers.{name}.{refusal.setting}", str(refusal)))
    if problems:
        raise ConfigError(problems)
    return found


def _client_tls(tls: UpstreamTls, document: Document) -> ClientTls:
    ca, certificate, key = material = (
        _read(document, "ca", tls.ca, is_secret=False),
        _read(document, "certificate", tls.certificate, is_secret=tls.key is None),  # then it holds the key, too
        _read(document, "key", tls.key, is_secret=True),
    )
    context = client_context(ca=ca, certificate=certificate, key=key, is_verified=tls.verify)
    return ClientTls(material=material, context=context)


def _read(document: Document, setting: str, name: str | None, *, is_secret: bool) -> bytes | None:
    if name is None:
        return None
    try:
        return document.files.read(Path(document.file).parent / name, max_bytes=_MAX_PEM_BYTES, is_secret=is_secret)
    except FileRefused as refusal:
        raise TlsRefused(setting, str(refusal)) from None
