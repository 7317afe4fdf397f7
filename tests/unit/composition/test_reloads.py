"""Reading again: what is taken, what is refused, and what is looked at."""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path

import pytest

from gateway.auth.keys import generate_key
from gateway.composition.blueprint import Blueprint
from gateway.composition.reloads import Reloads, WorkersOrders, _draw
from gateway.errors import ConfigError
from gateway.observability.meters import ReloadMeter
from gateway.observability.tally import Tally, open_regions
from gateway.server.hangups import HangUps
from tests.certificates import write_pair

CONFIGURATION = """\
listen: {{port: 0{listen}}}
tokens: {{signing_key: {{file: key}}}}
upstreams: {{main: {{servers: ["{server}"]{tls}}}}}
routes: [{{path: /, upstream: main{route}}}]
users: {{sqlite: users.sqlite3}}
reload: {{{reload}}}
"""
WATCHING = "watch: true, interval: 100ms"
TLS = ", tls: {certificate: own.crt, key: own.key}"


@pytest.fixture(autouse=True)
def levels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have become the least that this process logs."""
    levels: list[str] = []
    monkeypatch.setattr("gateway.composition.reloads.configure_logging", lambda *, form, level: levels.append(level))
    return levels


class World:
    def __init__(self, folder: Path, **values: str) -> None:
        self.folder = folder
        self.file = folder / "gateway.yaml"
        (folder / "key").touch(0o600)
        (folder / "key").write_text(generate_key("HS256"))
        self.write(**values)
        self.reloads = Reloads(self.file, {})
        self.meter = ReloadMeter(Tally(open_regions(1)[0], pid=1, levels=frozenset()))
        self.reloads.count_with(self.meter)

    def write(self, **values: str) -> None:
        usual = {"listen": "", "route": "", "reload": "", "server": "http://127.0.0.1:1", "tls": ""}
        self.replace(self.file, CONFIGURATION.format(**{**usual, **values}))

    def replace(self, path: Path, text: str) -> None:
        """As an editor does: another file in its place."""
        new = path.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text)
        os.replace(new, path)

    def counted(self) -> tuple[float, float]:
        """Good ones and others."""
        cells, by_result = self.meter._cells, self.meter._by_result
        return cells[by_result[True]], cells[by_result[False]]

    def read(self) -> Blueprint | None:
        return self.reloads.read(is_asked=False)

    def take(self) -> Blueprint:
        blueprint = self.reloads.read(is_asked=True)
        assert blueprint is not None
        self.reloads.keep(blueprint)
        self.reloads.announce()
        return blueprint


def test_nothing_to_begin_with_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Reloads(tmp_path / "none.yaml", {})


def test_what_fits_is_taken_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    world.write(route=", access: public")
    assert world.take() is world.reloads.current
    world.replace(tmp_path / "key", generate_key("HS256"))
    world.take()
    world.take()
    told = [message for message in caplog.messages if message.startswith("reloaded")]
    assert told == [
        "reloaded changes=routes[0].access",
        "reloaded changes=tokens.signing_key",
        "reloaded changes=none",
    ]
    assert world.counted() == (3, 0)


def test_the_audit_trail_has_the_keys_at_the_start_and_when_they_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    world.reloads.announce_start()
    world.write(route=", access: public")
    world.take()
    world.replace(tmp_path / "key", generate_key("HS256"))  # another one without a name
    world.take()
    world.take()
    told = [json.loads(record.getMessage()) for record in caplog.records if record.name == "gateway.audit"]
    nameless = {"event": "keys_loaded", "kid": None, "algorithm": "HS256", "further_kids": []}
    assert told == [{**nameless, "reason": "start"}, {**nameless, "reason": "reload"}]


def test_what_is_refused_is_told_with_its_place_and_the_last_good_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    before = world.reloads.current
    world.write(route=", acess: public, upstream: other")
    assert world.reloads.read(is_asked=True) is None
    world.write(listen=", address: 127.0.0.2")
    assert world.reloads.read(is_asked=True) is None
    world.write(server="https://127.0.0.1:1", tls=", tls: {ca: missing.pem}")
    assert world.reloads.read(is_asked=True) is None
    assert [message.partition(f"reload_failed {world.file}:")[2] for message in caplog.messages] == [
        "4: routes[0].upstream: the key `upstream` is given twice, first on line 4; remove one",
        "4: routes[0].acess: unknown key `acess`; did you mean `access`?",
        "1: listen.address: cannot change while the gateway runs; restart it, or change it back",
        f"3: upstreams.main.tls.ca: the file {tmp_path}/missing.pem does not exist",
    ]
    assert world.reloads.current is before
    assert world.counted() == (0, 3)
    assert not world.meter.was_good


def test_the_least_that_is_told_is_the_new_one(tmp_path: Path, levels: list[str]) -> None:
    world = World(tmp_path)
    world.replace(world.file, world.file.read_text() + "log: {level: error}\n")
    world.take()
    assert levels == ["error"]


def test_a_defect_is_told_and_counted_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)

    def fail(*_: object) -> None:
        raise LookupError("a defect")

    monkeypatch.setattr("gateway.composition.reloads.load", fail)
    assert world.reloads.read(is_asked=True) is None
    assert caplog.messages == ["reload_failed"]
    assert world.counted() == (0, 1)


def test_without_watching_only_certificates_are_looked_at_and_read(tmp_path: Path) -> None:
    write_pair(tmp_path, "own")
    world = World(tmp_path, listen=TLS)
    world.write(listen=TLS, route=", access: public")
    world.replace(tmp_path / "key", generate_key("HS256"))
    assert not world.reloads.has_changed()
    write_pair(tmp_path, "own")
    assert world.reloads.has_changed()
    blueprint = world.read()
    assert blueprint is not None
    before = world.reloads.current
    assert blueprint.config == before.config
    assert blueprint.credentials.certificate != before.credentials.certificate
    world.reloads.keep(blueprint)
    assert not world.reloads.has_changed()


def test_half_a_renewal_is_refused_once_and_waited_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pair = write_pair(tmp_path, "own")
    world = World(tmp_path, listen=TLS)
    renewed = write_pair(tmp_path, "renewed")
    os.replace(renewed.certificate, pair.certificate)
    assert world.reloads.has_changed()
    assert world.read() is None
    assert not world.reloads.has_changed()
    assert caplog.messages == [f"reload_failed {world.file}:1: listen.tls.key: is not the key of the certificate"]
    os.replace(renewed.key, pair.key)
    assert world.reloads.has_changed()
    assert world.read() is not None


def test_the_files_of_upstreams_are_certificates_too(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "own")
    world = World(tmp_path, server="https://127.0.0.1:1", tls=", tls: {ca: own.crt}")
    os.replace(write_pair(tmp_path, "other").certificate, pair.certificate)
    assert world.reloads.has_changed()
    assert world.read() is not None


@pytest.mark.parametrize("name", ["gateway.yaml", "key", "own.crt"])
def test_watching_looks_at_all_files(tmp_path: Path, name: str) -> None:
    write_pair(tmp_path, "own")
    world = World(tmp_path, reload=WATCHING, listen=TLS)
    assert not world.reloads.has_changed()
    path = tmp_path / name
    world.replace(path, path.read_text())
    assert world.reloads.has_changed()
    assert world.read() is None, "the same in another file is no reason to reload"
    assert not world.reloads.has_changed()


def test_a_file_that_was_missing_is_looked_for(tmp_path: Path) -> None:
    """A ConfigMap may come before the Secret that it names."""
    world = World(tmp_path, reload=WATCHING)
    text = world.file.read_text().replace("{file: key}", "{file: new}")
    world.replace(world.file, text)
    assert world.read() is None
    assert not world.reloads.has_changed()
    (tmp_path / "key").rename(tmp_path / "new")
    assert world.reloads.has_changed()
    assert world.read() is None, "it is the same key"


def test_a_link_that_is_turned_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes changes what it mounts: `gateway.yaml` → `..data/gateway.yaml`, `..data` → another folder."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        World(tmp_path / name, reload=WATCHING, route=", access: public" if name == "two" else "")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "gateway.yaml").symlink_to("..data/gateway.yaml")
    (tmp_path / "key").symlink_to("..data/key")
    reloads = Reloads(tmp_path / "gateway.yaml", {})
    assert not reloads.has_changed()
    (tmp_path / "..new").symlink_to("two")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    assert reloads.has_changed()
    assert reloads.read(is_asked=False) is not None


def test_workers_are_given_what_was_read_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    write_pair(tmp_path, "own")
    world = World(tmp_path, listen=TLS)
    orders = WorkersOrders(world.reloads)
    assert orders.next(is_asked=False) is None
    world.write(listen=TLS, route=", access: public")
    order = orders.next(is_asked=True)
    assert order is not None
    for path in tmp_path.iterdir():
        path.unlink()
    drawn, current = _draw(order), world.reloads.current
    assert drawn.config == current.config
    assert drawn.credentials.certificate == current.credentials.certificate
    assert world.counted() == (0, 0)
    orders.on_obeyed()
    assert world.counted() == (1, 0)
    assert orders.interval == 2.0


async def test_follow_reloads_when_asked_and_when_files_change(tmp_path: Path) -> None:
    world = World(tmp_path, reload=WATCHING)
    put: asyncio.Queue[Blueprint] = asyncio.Queue()
    hang_ups = HangUps()
    following = asyncio.create_task(world.reloads.follow(hang_ups, put.put))
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await put.get()).config == world.reloads.current.config
    world.write(reload=WATCHING, route=", access: public")
    assert (await put.get()).config.routes[0].access == "public"
    following.cancel()


async def test_what_cannot_be_put_in_place_leaves_the_last_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    before = world.reloads.current
    tried = asyncio.Event()

    async def fail(_: Blueprint) -> None:
        tried.set()
        raise LookupError("a defect")

    hang_ups = HangUps()
    following = asyncio.create_task(world.reloads.follow(hang_ups, fail))
    for turn in range(1, 3):
        os.kill(os.getpid(), signal.SIGHUP)
        await tried.wait()
        tried.clear()
        await asyncio.sleep(0)
        assert world.counted() == (0, turn)
    assert world.reloads.current is before
    following.cancel()
