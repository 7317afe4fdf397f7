"""What two blueprints differ in, files included, and what of it needs a restart."""

from pathlib import Path

from gateway.composition.blueprint import Blueprint, changed_paths, draw, restart_paths
from gateway.config.load import loads
from tests.certificates import write_pair
from tests.unit.composition.documents import KEY
from tests.unit.config.sample import text_with

TLS = {
    "listen": "{tls: {certificate: own.crt, key: own.key}}",
    "upstreams": "{app: {servers: ['https://a'], tls: {ca: ca.crt}}, b: {servers: ['http://b']}}",
}
ISSUER = "{corp: {issuer: 'https://a.example', audience: [us], jwks_url: 'https://a.example/keys'}}"


def blueprint(folder: Path, **sections: str) -> Blueprint:
    return draw(loads(text_with(**sections), str(folder / "gateway.yaml"), {"KEY": KEY}))


def test_files_with_another_content_are_changes(tmp_path: Path) -> None:
    write_pair(tmp_path, "own")
    write_pair(tmp_path, "ca")
    before = blueprint(tmp_path, **TLS)
    assert changed_paths(before, blueprint(tmp_path, **TLS)) == []
    write_pair(tmp_path, "own")
    between = blueprint(tmp_path, **TLS)
    assert changed_paths(before, between) == ["listen.tls"]
    write_pair(tmp_path, "ca")
    assert changed_paths(between, blueprint(tmp_path, **TLS)) == ["upstreams.app.tls"]
    assert restart_paths(before, between) == []


def test_the_authorities_of_an_issuer_are_a_file_like_others(tmp_path: Path) -> None:
    issuer = ISSUER.replace("jwks_url", "ca: ca.crt, jwks_url")
    write_pair(tmp_path, "ca")
    before = blueprint(tmp_path, foreign_issuers=issuer)
    assert changed_paths(before, blueprint(tmp_path, foreign_issuers=issuer)) == []
    write_pair(tmp_path, "ca")
    after = blueprint(tmp_path, foreign_issuers=issuer)
    assert changed_paths(before, after) == ["foreign_issuers.corp.ca"]
    assert changed_paths(after, blueprint(tmp_path)) == ["foreign_issuers.corp"]
    assert restart_paths(before, after) == restart_paths(after, blueprint(tmp_path)) == []


def test_what_needs_a_restart_is_told(tmp_path: Path) -> None:
    before = blueprint(tmp_path)
    after = blueprint(tmp_path, workers="2", state="{max_staleness: 9s}", log="{format: json, access: false}")
    assert restart_paths(before, after) == ["workers", "state.max_staleness"]
    assert changed_paths(before, after) == ["workers", "state.max_staleness", "log.format", "log.access"]
