"""The listener's certificate: what is refused, and what a change of the files does."""

import logging
import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.server.certificates import CertificateRefused, Certificates
from tests.certificates import Pair, write_pair


def load(pair: Pair, *, min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> Certificates:
    return Certificates(certificate=pair.certificate, key=pair.key, min_version=min_version)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path, "gateway")


def renew(pair: Pair, old: Pair) -> None:
    """As certbot does: another file under the same name."""
    os.replace(pair.certificate, old.certificate)
    os.replace(pair.key, old.key)


def test_context_speaks_what_was_asked_for(pair: Pair) -> None:
    context = load(pair, min_version=ssl.TLSVersion.TLSv1_3).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert load(pair).context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def _missing_key(pair: Pair) -> None:
    pair.key.unlink()


def _missing_certificate(pair: Pair) -> None:
    pair.certificate.unlink()


def _folder(pair: Pair) -> None:
    pair.certificate.unlink()
    pair.certificate.mkdir()


def _empty(pair: Pair) -> None:
    pair.key.write_bytes(b"")


def _fifo(pair: Pair) -> None:
    pair.key.unlink()
    os.mkfifo(pair.key, 0o600)


def _open_to_others(pair: Pair) -> None:
    pair.key.chmod(0o640)  # of root, to root: nobody hands it over


def _too_large(pair: Pair) -> None:
    pair.certificate.write_bytes(b"x" * (1024 * 1024 + 1))


def _garbage(pair: Pair) -> None:
    pair.certificate.write_text("no certificate")


def _garbage_key(pair: Pair) -> None:
    pair.key.write_text("no key")


def _key_of_another(pair: Pair) -> None:
    os.replace(write_pair(pair.key.parent, "other").key, pair.key)


def _encrypted(pair: Pair) -> None:
    protected = write_pair(pair.key.parent, "protected", password="secret")
    renew(protected, pair)


BAD: dict[str, tuple[Callable[[Pair], None], str, str]] = {
    "missing-key": (_missing_key, "key", "does not exist"),
    "missing-certificate": (_missing_certificate, "certificate", "does not exist"),
    "folder": (_folder, "certificate", "is a directory; name the file in it"),
    "empty": (_empty, "key", "is empty"),
    "fifo": (_fifo, "key", "is not a regular file"),
    "s88-open-to-others": (_open_to_others, "key", "run: chmod 600 "),
    "too-large": (_too_large, "certificate", "is larger than 1024 KiB"),
    "garbage": (_garbage, "certificate", "no certificate in PEM"),
    "garbage-key": (_garbage_key, "key", "cannot be used"),
    "key-of-another": (_key_of_another, "key", "is not the key of the certificate"),
    "encrypted": (_encrypted, "key", "is encrypted"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_pair_is_refused(pair: Pair, name: str) -> None:
    spoil, setting, message = BAD[name]
    spoil(pair)
    with pytest.raises(CertificateRefused, match=message) as refused:
        load(pair)
    assert refused.value.setting == setting


@pytest.mark.parametrize("name", BAD)
def test_a_bad_new_pair_leaves_the_last_good_one(pair: Pair, name: str, caplog: pytest.LogCaptureFixture) -> None:
    certificates = load(pair)
    context = certificates.context
    BAD[name][0](pair)
    certificates.reload()
    certificates.reload()
    assert certificates.context is context
    (rejected,) = [message for message in caplog.messages if "rejected" in message]
    assert rejected.startswith(f"certificate_rejected listen.tls.{BAD[name][1]} ")


def test_a_good_new_pair_is_for_the_next_handshake(pair: Pair, tmp_path: Path) -> None:
    certificates = load(pair)
    context = certificates.context
    certificates.reload()
    assert certificates.context is context
    renew(write_pair(tmp_path, "renewed"), pair)
    certificates.reload()
    assert certificates.context is not context


def test_a_mode_that_was_put_right_is_noticed(pair: Pair) -> None:
    certificates = load(pair)
    context = certificates.context
    pair.key.chmod(0o604)
    certificates.reload()
    assert certificates.context is context
    pair.key.chmod(0o600)
    certificates.reload()
    assert certificates.context is not context


def test_half_a_renewal_is_waited_out(pair: Pair, tmp_path: Path) -> None:
    certificates = load(pair)
    context = certificates.context
    renewed = write_pair(tmp_path, "renewed")
    os.replace(renewed.certificate, pair.certificate)
    certificates.reload()
    assert certificates.context is context
    os.replace(renewed.key, pair.key)
    certificates.reload()
    assert certificates.context is not context


def test_a_link_that_is_turned_counts_as_a_change(tmp_path: Path) -> None:
    """As Kubernetes renews what it mounts."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_pair(tmp_path / name, "tls")
    (tmp_path / "data").symlink_to("one")
    certificates = load(Pair(certificate=tmp_path / "data" / "tls.crt", key=tmp_path / "data" / "tls.key"))
    context = certificates.context
    (tmp_path / "new").symlink_to("two")
    os.replace(tmp_path / "new", tmp_path / "data")
    certificates.reload()
    assert certificates.context is not context


def test_an_expired_certificate_is_served_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    load(write_pair(tmp_path, "old", valid_for=timedelta(hours=-1)))
    assert any(message.startswith("certificate_expired ") for message in caplog.messages)
