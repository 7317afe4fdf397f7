"""Keys and certificates: whatever is not fit shows before anything starts, each with its place in the file."""

import ssl
from pathlib import Path

import pytest

from gateway.auth.keys import generate_key
from gateway.composition.credentials import read_credentials
from gateway.config.load import Document, loads
from gateway.errors import ConfigError
from tests.certificates import Pair, write_pair

KEY = generate_key("HS256")
CONFIGURATION = """\
tokens: {{signing_key: {{env: KEY}}}}
listen: {{{listen}}}
upstreams:
  plain: {{servers: ["http://127.0.0.1:1"]}}
  safe: {{servers: ["https://127.0.0.1:1"], tls: {{{tls}}}}}
  other: {{servers: ["https://127.0.0.1:1"], tls: {{{other}}}}}
routes: [{{path: /, upstream: plain}}]
users: {{sqlite: unused.sqlite3}}
foreign_issuers: {{corp: {{issuer: i, audience: [a], jwks_url: "https://i/", {issuer}}}}}
"""


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path, "own")


def document(
    folder: Path, *, listen: str = "", tls: str = "", other: str = "", issuer: str = "ca: null", key: str = KEY
) -> Document:
    text = CONFIGURATION.format(listen=listen, tls=tls, other=other, issuer=issuer)
    return loads(text, str(folder / "gateway.yaml"), {"KEY": key})


def refusals(document: Document) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read_credentials(document)
    return [f"{problem.line} {problem.path}: {problem.message}" for problem in refused.value.problems]


def test_files_are_found_beside_the_configuration(tmp_path: Path, pair: Pair) -> None:
    credentials = read_credentials(
        document(
            tmp_path,
            listen="tls: {certificate: own.crt, key: own.key, min_version: '1.3'}",
            tls="ca: own.crt, certificate: own.crt, key: own.key",
        )
    )
    assert credentials.certificate is not None
    assert credentials.certificate.context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert set(credentials.upstreams) == {"safe", "other"}
    (ours,) = credentials.upstreams["safe"].context.get_ca_certs()
    assert ours["subject"] == ((("commonName", "own"),),)


def test_without_tls_there_is_no_certificate_and_tls_1_2_is_the_default(tmp_path: Path, pair: Pair) -> None:
    assert read_credentials(document(tmp_path)).certificate is None
    certificate = read_credentials(document(tmp_path, listen="tls: {certificate: own.crt, key: own.key}")).certificate
    assert certificate is not None
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_weak_signing_key_is_refused_where_it_is_named(tmp_path: Path) -> None:
    (message,) = refusals(document(tmp_path, key="short"))
    assert message.startswith("1 tokens.signing_key: ")


def test_the_listeners_certificate_is_refused_where_it_is_named(tmp_path: Path, pair: Pair) -> None:
    pair.key.chmod(0o640)
    (message,) = refusals(document(tmp_path, listen="tls: {certificate: own.crt, key: own.key}"))
    assert message.startswith(f"2 listen.tls.key: the file {pair.key} is open to others")


def test_files_of_all_upstreams_are_refused_at_once(tmp_path: Path, pair: Pair) -> None:
    first, second = refusals(document(tmp_path, tls="ca: nope.pem", other="certificate: own.crt, key: nope.key"))
    assert first.startswith("5 upstreams.safe.tls.ca: ")
    assert second == f"6 upstreams.other.tls.key: the file {tmp_path}/nope.key does not exist"


def test_s88_a_key_towards_an_upstream_is_its_owners_alone(tmp_path: Path, pair: Pair) -> None:
    pair.key.chmod(0o604)
    (message,) = refusals(document(tmp_path, tls="certificate: own.crt, key: own.key"))
    assert message.startswith(f"5 upstreams.safe.tls.key: the file {pair.key} is open to others")


def test_s88_so_is_a_certificate_with_the_key_in_it(tmp_path: Path, pair: Pair) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    both.chmod(0o600)
    assert read_credentials(document(tmp_path, tls="certificate: both.pem")).upstreams
    both.chmod(0o644)
    (message,) = refusals(document(tmp_path, tls="certificate: both.pem"))
    assert message.startswith(f"5 upstreams.safe.tls.certificate: the file {both} is open to others")


def test_an_issuer_is_believed_by_its_own_authorities(tmp_path: Path, pair: Pair) -> None:
    context = read_credentials(document(tmp_path, issuer="ca: own.crt")).issuers["corp"].context
    (ours,) = context.get_ca_certs()
    assert ours["subject"] == ((("commonName", "own"),),)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    (message,) = refusals(document(tmp_path, issuer="ca: nope.pem"))
    assert message.startswith("9 foreign_issuers.corp.ca: ")
