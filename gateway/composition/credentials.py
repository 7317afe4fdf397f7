"""Configuration → what is read from files beside it and proves who somebody is: keys, certificates, authorities.

All of it at once, and before anything is started, so that `gateway check` sees what `gateway run` would.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.auth.keyring import Keyring
from gateway.composition.tokens import keyring_of
from gateway.config.load import Document
from gateway.config.sections.upstreams import UpstreamTls
from gateway.errors import ConfigError, Problem
from gateway.files import FileRefused, read_secret_file
from gateway.server.certificates import CertificateRefused, Certificates
from gateway.server.upstream_tls import TlsRefused, client_context

_MAX_KEY_BYTES: Final = 1024 * 1024  # with a certificate and its chain in the same file


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """`certificates` are the listener's, None without TLS; the contexts are by the name of upstream or issuer."""

    keyring: Keyring
    certificates: Certificates | None
    upstream_contexts: Mapping[str, ssl.SSLContext]
    issuer_contexts: Mapping[str, ssl.SSLContext]


def read_credentials(document: Document) -> Credentials:
    """Raises `ConfigError` with the file and line of each that is refused."""
    return Credentials(
        keyring=keyring_of(document),
        certificates=_certificates_of(document),
        upstream_contexts=_upstream_contexts_of(document),
        issuer_contexts=_issuer_contexts_of(document),
    )


def _certificates_of(document: Document) -> Certificates | None:
    tls = document.config.listen.tls
    if tls is None:
        return None
    folder = Path(document.file).parent
    try:
        return Certificates(
            certificate=folder / tls.certificate,
            key=folder / tls.key,
            min_version=ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2,
        )
    except CertificateRefused as refusal:
        raise ConfigError([document.problem(f"listen.tls.{refusal.setting}", str(refusal))]) from None


def _upstream_contexts_of(document: Document) -> Mapping[str, ssl.SSLContext]:
    """Of every upstream that has an https server."""
    contexts: dict[str, ssl.SSLContext] = {}
    problems: list[Problem] = []
    folder = Path(document.file).parent
    for name, upstream in document.config.upstreams.items():
        if not upstream.speaks_tls:
            continue
        try:
            contexts[name] = _client_context(upstream.tls, folder)
        except TlsRefused as refusal:
            problems.append(document.problem(f"upstreams.{name}.tls.{refusal.setting}", str(refusal)))
    if problems:
        raise ConfigError(problems)
    return contexts


def _issuer_contexts_of(document: Document) -> Mapping[str, ssl.SSLContext]:
    """For the servers of foreign issuers; always verified."""
    contexts: dict[str, ssl.SSLContext] = {}
    problems: list[Problem] = []
    folder = Path(document.file).parent
    for name, entry in document.config.foreign_issuers.items():
        ca = None if entry.ca is None else folder / entry.ca
        try:
            contexts[name] = client_context(ca=ca, certificate=None, key=None, is_verified=True)
        except TlsRefused as refusal:
            problems.append(document.problem(f"foreign_issuers.{name}.{refusal.setting}", str(refusal)))
    if problems:
        raise ConfigError(problems)
    return contexts


def _client_context(tls: UpstreamTls, folder: Path) -> ssl.SSLContext:
    ca, certificate, key = (None if name is None else folder / name for name in (tls.ca, tls.certificate, tls.key))
    holder = certificate if key is None else key  # of the private key
    if holder is not None:
        try:
            read_secret_file(holder, max_bytes=_MAX_KEY_BYTES)
        except FileRefused as refusal:
            raise TlsRefused("certificate" if key is None else "key", str(refusal)) from None
    return client_context(ca=ca, certificate=certificate, key=key, is_verified=tls.verify)
