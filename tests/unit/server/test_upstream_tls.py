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
    context = client_context(ca=authority.certificate, certificate=None, key=None, is_verified=True)
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "only"),),)


def test_a_key_may_stand_in_the_file_of_its_certificate(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ca").issue("gateway")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    client_context(ca=None, certificate=both, key=None, is_verified=True)


def refusal(**files: Path | None) -> tuple[str, str]:
    settings: dict[str, Path | None] = {"ca": None, "certificate": None, "key": None, **files}
    with pytest.raises(TlsRefused) as refused:
        client_context(ca=settings["ca"], certificate=settings["certificate"], key=settings["key"], is_verified=True)
    return refused.value.setting, str(refused.value)


def test_files_that_are_not_fit_are_refused_by_their_setting(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ca").issue("gateway")
    other = Authority(tmp_path, "other").issue("gateway")[1]
    nonsense, missing = tmp_path / "nonsense", tmp_path / "missing"
    nonsense.write_text("nonsense")
    assert refusal(ca=missing) == (
        "ca",
        f"the file {missing} holds no certificates that can be read: No such file or directory",
    )
    assert refusal(ca=nonsense)[0] == "ca"
    assert refusal(certificate=missing, key=key)[0] == "certificate"
    assert refusal(certificate=nonsense, key=key)[0] == "certificate"
    assert refusal(certificate=certificate, key=other) == (
        "certificate",
        "the certificate and key cannot be used together: key values mismatch",
    )


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = Authority(tmp_path, "ca").issue("gateway")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert refusal(certificate=certificate, key=key)[0] == "certificate"
