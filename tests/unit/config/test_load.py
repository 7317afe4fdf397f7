import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.load import MAX_CONFIG_BYTES, MAX_SECRET_BYTES, Document, load, load_admin, loads
from gateway.config.sections.admin import Admin
from gateway.errors import ConfigError
from gateway.types import Secret
from tests.unit.config.sample import text_with

ENVIRON = {"KEY": "k" * 32}
SECRET = "hunter2" * 5


def problems(text: str, environ: dict[str, str] = ENVIRON, name: str = "c.yaml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, name, environ)
    return [str(problem) for problem in caught.value.problems]


def file_problem(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRON)
    (problem,) = caught.value.problems
    return str(problem)


def with_key(folder: Path, reference: str) -> str:
    """The problem of a configuration in `folder` whose signing key is `reference`."""
    (problem,) = problems(text_with(tokens=f"{{signing_key: {reference}}}"), name=str(folder / "c.yaml"))
    return problem


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


def test_a_file_becomes_a_document(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("# é\n" + text_with(), encoding="utf-8")
    document = load(path, ENVIRON)
    assert isinstance(document, Document)
    assert document.config.tokens.signing_key == Secret("k" * 32)
    assert str(document.problem("users.sqlite", "is full")) == f"{path}:5: users.sqlite: is full"


def test_the_admin_section_is_read_whatever_is_wrong_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("tokens: {signing_key: {env: NOT_SET}}\nroots: []\nadmin: {port: {env: PORT}}\n")
    assert load_admin(path, {"PORT": "9000"}) == Admin(port=9000)
    path.write_text("tokens: {}\n")
    assert load_admin(path, {}) == Admin()
    path.write_text("[]\n")
    assert load_admin(path, {}) == Admin()


def test_all_problems_of_the_admin_section_are_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("roots: []\nadmin:\n  port: 0\n  adress: a\n")
    with pytest.raises(ConfigError) as caught:
        load_admin(path, {})
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (3, "admin.port"),
        (4, "admin.adress"),
    ]


def test_problems_found_later_have_the_line_of_the_nearest_parent() -> None:
    document = loads(text_with(routes="\n  - path: /\n    upstream: app\n"), "c.yaml", ENVIRON)
    assert document.problem("tokens.signing_key", "x").line == 1
    assert document.problem("tokens.verifying_key", "x").line == 1
    assert document.problem("routes[0].upstream", "x").line == 5
    assert document.problem("routes[0].access", "x").line == 4
    assert document.problem("limits.max_fields", "x").line == 1


def test_s88_a_document_shows_no_secret() -> None:
    document = loads(text_with(), "c.yaml", {"KEY": SECRET})
    assert "hunter2" not in repr(document) + str(document)


def test_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert file_problem(missing) == f"{missing}: does not exist"
    assert file_problem(tmp_path) == f"{tmp_path}: is a directory; name the file in it"
    below_a_file = tmp_path / "file"
    below_a_file.write_text("")
    assert file_problem(below_a_file / "x") == f"{below_a_file}/x: cannot be read: Not a directory"
    assert file_problem(below_a_file) == f"{below_a_file}: is empty; start from config.example.yaml"


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The suite may run as root, whom no file mode keeps out.
    monkeypatch.setattr(Path, "open", refuse)
    assert file_problem(tmp_path / "x") == f"{tmp_path}/x: may not be read by the user that this runs as"


def test_a_file_that_is_not_utf8_has_the_line_of_the_first_such_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: 2\nc: \xe9\n")
    assert file_problem(path) == f"{path}:3: is not UTF-8; save it as UTF-8"
    path.write_bytes("a: 1".encode("utf-16"))
    assert file_problem(path) == f"{path}:1: is not UTF-8; save it as UTF-8"


def test_a_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (MAX_CONFIG_BYTES + 1))
    assert file_problem(path) == f"{path}: is larger than 256 KiB, which no configuration needs"
    assert file_problem(Path("/dev/zero")) == "/dev/zero: is larger than 256 KiB, which no configuration needs"


def test_tabs_and_syntax_have_their_line() -> None:
    assert problems("listen:\n\tport: 1")[0].startswith("c.yaml:2: is not valid YAML: ")


def test_variables_that_cannot_be_had() -> None:
    text = text_with()
    assert problems(text, {}) == ["c.yaml:1: tokens.signing_key: the environment variable KEY is not set"]
    assert problems(text, {"KEY": ""}) == ["c.yaml:1: tokens.signing_key: the environment variable KEY is empty"]
    assert problems(text, {"KEY": "hunter2\udcff"}) == [
        "c.yaml:1: tokens.signing_key: the environment variable KEY is not UTF-8"
    ]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_file_beside_the_configuration_loses_one_line_end(tmp_path: Path, key_file: Path, end: str) -> None:
    key_file.write_bytes((SECRET + "\n " + end).encode())
    text = text_with(tokens="{signing_key: {file: key}}")
    assert loads(text, str(tmp_path / "c.yaml"), {}).config.tokens.signing_key == Secret(SECRET + "\n ")
    (tmp_path / "deep").mkdir()
    text = text_with(tokens="{signing_key: {file: ../key}}")
    assert loads(text, str(tmp_path / "deep" / "c.yaml"), {}).config.tokens.signing_key == Secret(SECRET + "\n ")
    text = text_with(tokens=f"{{signing_key: {{file: '{key_file}'}}}}")
    assert loads(text, "elsewhere/c.yaml", {}).config.tokens.signing_key == Secret(SECRET + "\n ")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610, 0o601, 0o602, 0o444])
def test_s88_a_secret_file_open_to_others_is_refused_with_the_chmod_to_run(
    tmp_path: Path, key_file: Path, mode: int
) -> None:
    key_file.chmod(mode)
    message = f"the file {key_file} is open to others than its owner; run: chmod 600 {key_file}"
    assert with_key(tmp_path, "{file: key}") == f"{tmp_path}/c.yaml:1: tokens.signing_key: {message}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_s88_a_secret_file_of_its_owner_alone_is_taken(tmp_path: Path, key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    loads(text_with(tokens="{signing_key: {file: key}}"), str(tmp_path / "c.yaml"), {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of root")
def test_s88_the_group_may_read_what_root_hands_over(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65532)
    key_file.chmod(0o440)
    loads(text_with(tokens="{signing_key: {file: key}}"), str(tmp_path / "c.yaml"), {})
    for mode in (0o460, 0o450, 0o444):
        key_file.chmod(mode)
        assert "is open to others" in with_key(tmp_path, "{file: key}")
    key_file.chmod(0o440)
    os.chown(key_file, 65532, 0)
    assert "is open to others" in with_key(tmp_path, "{file: key}")


def test_the_chmod_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "my key; rm x"
    path.write_text(SECRET)
    path.chmod(0o644)
    assert with_key(tmp_path, "{file: my key; rm x}").endswith(f"run: chmod 600 '{path}'")


def test_what_is_no_secret_may_be_open(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_text("-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n")
    path.chmod(0o644)
    text = text_with(tokens="{signing_key: {env: KEY}, algorithm: ES256, verifying_key: {file: public.pem}}")
    config = loads(text, str(tmp_path / "c.yaml"), ENVIRON).config
    assert config.tokens.verifying_key == "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----"


def test_secret_files_that_cannot_be_had(tmp_path: Path, key_file: Path) -> None:
    prefix = f"{tmp_path}/c.yaml:1: tokens.signing_key: "
    assert with_key(tmp_path, "{file: nope}") == f"{prefix}the file {tmp_path}/nope does not exist"
    assert with_key(tmp_path, "{file: .}") == f"{prefix}the file {tmp_path} is a directory; name the file in it"
    assert with_key(tmp_path, f"{{file: {'x' * 300}}}").endswith("cannot be read: File name too long")
    key_file.write_bytes(b"\n")
    assert with_key(tmp_path, "{file: key}") == f"{prefix}the file {key_file} is empty"
    key_file.write_bytes(b"hunter2\xff")
    assert with_key(tmp_path, "{file: key}") == f"{prefix}the file {key_file} is not UTF-8 text"
    key_file.write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    assert with_key(tmp_path, "{file: key}") == f"{prefix}the file {key_file} is larger than 64 KiB"


def test_a_secret_file_that_would_hang_or_never_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert with_key(tmp_path, "{file: pipe}").endswith(f"{tmp_path}/pipe is not a regular file")
    assert with_key(tmp_path, "{file: /dev/zero}").endswith("/dev/zero is not a regular file")


def test_what_is_checked_is_the_file_that_a_link_leads_to(tmp_path: Path, key_file: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(key_file)
    loads(text_with(tokens="{signing_key: {file: link}}"), str(tmp_path / "c.yaml"), {})
    key_file.chmod(0o644)
    assert stat.S_IMODE(link.stat().st_mode) == 0o644
    assert "is open to others" in with_key(tmp_path, "{file: link}")


@pytest.mark.parametrize(
    "text",
    [
        f"tokens: {{signing_key: {SECRET}}}",
        f"tokens: {{signing_key: [{SECRET}]}}",
        f"tokens: {{signing_key: {{value: {SECRET}}}}}",
        f"tokens: {{signing_key: {{env: '{SECRET} '}}}}",
        f"tokens: {{signing_key: !secret {SECRET}}}",
        f"tokens: {SECRET}",
        f"tokens: {{secret: {SECRET}}}",
        f"tokens: {{signing_key: '{SECRET}",
        f"tokens: {{signing_key: {SECRET}: {SECRET}",
        "listen: {port: {env: SECRET}}\nlog: {access: {env: SECRET}, format: {env: SECRET}}\nlogin: {compat: {env: SECRET}}",
        "upstreams: {a: {servers: [{env: SECRET}], send_timeout: {env: SECRET}}}\ncors: {allow_origins: [{env: SECRET}]}",
        "limits: {max_head_bytes: {env: SECRET}}\nroutes: [{path: {env: SECRET}, upstream: {env: S2}}]",
        f"upstreams: {{a: {{servers: ['http://me:{SECRET}@host']}}}}",
    ],
)
def test_s88_no_problem_repeats_a_secret(text: str) -> None:
    found = problems(text, {"SECRET": SECRET + "/", "S2": SECRET + " "})
    assert found
    assert "hunter2" not in "".join(found)


_KEYS = "tokens|signing_key|env|KEY|upstreams|app|servers|http://app|routes|path|upstream|users|sqlite|listen|port|cors|login"
_WORDS = st.sampled_from(
    [*_KEYS.split("|"), "/", "5", "5m", "no", "~", "''", "&a", "*a", "!!str", "<<", "é", "\x00", "\ud800"]
)
_SIGNS = st.sampled_from(
    [": ", "\n", "\n  ", "\n- ", "- ", "{", "}", "[", "]", ", ", "\t", "|\n", "? ", "#", "---\n", "'", '"', "\\U"]
)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.one_of(_WORDS, _SIGNS), max_size=60).map("".join)))
@example('a: "\\Uffffffff"')
@example("%YAML " + "9" * 5000 + ".1\n--- a")
@example("a: &a [*a]")
@example("[" * 10_000)
def test_no_text_makes_anything_but_a_document_or_problems(text: str) -> None:
    try:
        loads(text, "c.yaml", ENVIRON)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert re.match(r"c\.yaml(:[1-9][0-9]*)?: ", str(problem))
            assert str(problem).isprintable()


@given(st.data())
def test_no_mutation_of_a_good_file_makes_anything_but_a_document_or_problems(data: st.DataObject) -> None:
    text = text_with(cors="{allow_origins: ['*']}", listen="{port: 80}", identity="{fields: {X-A: b}}")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    mutated = text[:start] + data.draw(st.one_of(_WORDS, _SIGNS)) + text[end:]
    try:
        assert loads(mutated, "c.yaml", ENVIRON).config.routes
    except ConfigError as error:
        assert error.problems


@given(st.binary(max_size=100))
def test_no_bytes_make_anything_but_a_document_or_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(path, ENVIRON)
