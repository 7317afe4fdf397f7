"""The listener's certificate: what is made of it, and what is refused."""

import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.files import NamedFiles
from gateway.server.certificates import CertificateRefused, ServerCertificate, read_certificate
from tests.certificates import Pair, write_pair


def load(pair: Pair, *, min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ServerCertificate:
    return read_certificate(NamedFiles(), certificate=pair.certificate, key=pair.key, min_version=min_version)


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


def test_it_equals_another_one_that_was_made_of_the_same(pair: Pair, tmp_path: Path) -> None:
    first = load(pair)
    assert load(pair) == first
    assert load(pair, min_version=ssl.TLSVersion.TLSv1_3) != first
    renew(write_pair(tmp_path, "renewed"), pair)
    assert load(pair) != first


def test_s61_its_key_is_not_shown(pair: Pair) -> None:
    assert "PRIVATE" not in repr(load(pair))


def test_an_expired_certificate_is_not_refused_but_known(pair: Pair, tmp_path: Path) -> None:
    assert load(write_pair(tmp_path, "old", valid_for=timedelta(hours=-1))).has_expired
    assert not load(pair).has_expired
