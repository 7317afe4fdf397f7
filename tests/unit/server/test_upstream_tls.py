"""The client side of TLS: what is demanded of servers, and which files are refused."""

import ssl
from pathlib import Path

import pytest

from gateway.server.upstream_tls import TlsRefused, client_context
from tests.integration.certificates import Authority


def test_servers_are_verified_by_default() -> None:
    context = client_context(ca=None, certificate=None, key=None, is_verified=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_verification_is_off_as_a_whole_or_not_at_all() -> None:
    context = client_context(ca=None, certificate=None, key=None, is_verified=False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_only_the_given_authorities_are_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "only")
    context = client_context(ca=authority.certificate.read_bytes(), certificate=None, key=None, is_verified=True)
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "only"),),)


def test_a_key_may_stand_in_the_file_of_its_certificate(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ca").issue("gateway")
    both = certificate.read_bytes() + key.read_bytes()
    client_context(ca=None, certificate=both, key=None, is_verified=True)


def refusal(**files: bytes | None) -> tuple[str, str]:
    settings: dict[str, bytes | None] = {"ca": None, "certificate": None, "key": None, **files}
    with pytest.raises(TlsRefused) as refused:
        client_context(ca=settings["ca"], certificate=settings["certificate"], key=settings["key"], is_verified=True)
    return refused.value.setting, str(refused.value)


def test_what_is_not_fit_is_refused_by_its_setting(tmp_path: Path) -> None:
    certificate, key = (path.read_bytes() for path in Authority(tmp_path, "ca").issue("gateway"))
    other = Authority(tmp_path, "other").issue("gateway")[1].read_bytes()
    assert refusal(ca=b"nonsense")[0] == "ca"
    assert refusal(ca=b"nonsense")[1].startswith("holds no certificates that can be read: ")
    assert refusal(certificate=b"nonsense", key=key)[0] == "certificate"
    assert refusal(certificate=certificate, key=other) == (
        "certificate",
        "and its key cannot be used together: key values mismatch",
    )
