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


def test_with_foreign_issuers_what_they_translate_into_needs_a_restart(tmp_path: Path) -> None:
    tokens = {"tokens": "{signing_key: {env: KEY}, leeway: 5s, claims: {roles: groups}, access_lifetime: 1m}"}
    before, after = blueprint(tmp_path), blueprint(tmp_path, **tokens)
    assert restart_paths(before, after) == []
    before = blueprint(tmp_path, foreign_issuers=ISSUER)
    after = blueprint(tmp_path, foreign_issuers=ISSUER, **tokens)
    assert restart_paths(before, after) == ["tokens.leeway", "tokens.claims.roles"]
    assert restart_paths(after, blueprint(tmp_path, **tokens)) == ["foreign_issuers.corp"]
