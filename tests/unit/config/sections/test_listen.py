"""`listen`: closed to the world until the operator opens it."""

import pytest

from gateway.config.sections.listen import Listen, Tls
from tests.unit.config.sample import parse_with, refusals


def test_by_default_it_listens_on_loopback_and_trusts_nobody() -> None:
    listen = parse_with().listen
    assert listen == Listen()
    assert (listen.address, listen.port) == ("127.0.0.1", 8080)
    assert (listen.trusted_proxies, listen.proxy_protocol_from, listen.tls) == ((), (), None)


def test_tls_needs_both_files_and_is_1_2_at_least() -> None:
    assert parse_with(listen="{tls: {certificate: a, key: b}}").listen.tls == Tls(certificate="a", key="b")
    assert Tls(certificate="a", key="b").min_version == "1.2"
    (missing,) = refusals(listen="{tls: {certificate: a}}")
    assert missing.startswith("listen.tls.key: is missing")
    (old,) = refusals(listen="{tls: {certificate: a, key: b, min_version: '1.1'}}")
    assert old.startswith("listen.tls.min_version: must be one of 1.2, 1.3")


@pytest.mark.parametrize("key", ["trusted_proxies", "proxy_protocol_from"])
def test_s7_nobody_can_trust_everybody(key: str) -> None:
    for everybody in ("0.0.0.0/0", "'::/0'"):
        (refused,) = refusals(listen=f"{{{key}: [{everybody}]}}")
        assert refused.startswith(f"listen.{key}[0]: must not be every address there is")


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_is_one(port: str) -> None:
    (refused,) = refusals(listen=f"{{port: {port}}}")
    assert refused.startswith("listen.port: must be a whole number from 0 to 65535")
