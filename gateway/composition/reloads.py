"""The configuration file of a running gateway: read again when that is asked for or when files have changed.

What is read is looked at as a whole, as `gateway check` does, and the last good one counts until then. What cannot be
exchanged while the gateway runs refuses the whole file, too: what runs is always what one file says, never a half of
the new one beside a half of the old.
"""

import asyncio
import gc
import logging
import pickle
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.composition.blueprint import Blueprint, changed_paths, draw, restart_paths
from gateway.composition.credentials import certificate_paths
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.files import NamedFiles, Version, version_of
from gateway.observability.audit import tell_keys
from gateway.observability.log_output import configure_logging
from gateway.observability.meters import ReloadMeter
from gateway.server.hangups import HangUps
from gateway.server.orders import next_order
from gateway.server.service_manager import READY, REFUSED, reloading, tell

logger: Final = logging.getLogger("gateway")

_SHOWN_PATHS: Final = 20

PutInPlace = Callable[[Blueprint], Awaitable[None]]
"""`Gateway.reload`."""


class Reloads:
    """`current` is what the gateway is, or is about to be. Raises `ConfigError` when there is nothing to begin with."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        files = NamedFiles()
        self.current = self._announced = draw(load(path, environ, files))
        self._seen: dict[Path, Version] = files.versions
        self._meter: ReloadMeter | None = None

    def count_with(self, meter: ReloadMeter) -> None:
        """Whoever counts has to know before how many processes there are, which the configuration says."""
        self._meter = meter
        meter.begin(self.current.document.digest, time.time())

    def announce_start(self) -> None:
        """It serves, as `current` says."""
        self._tell_keys("start")

    @property
    def interval(self) -> float:
        """Seconds between two looks at the files."""
        return self.current.config.reload.interval

    def has_changed(self) -> bool:
        """Whether one of the files that are watched is another one than at the last reading, good or not."""
        watched = self._seen if self.current.config.reload.watch else set(certificate_paths(self.current.document))
        return any(version_of(path) != self._seen.get(path) for path in watched)

    def read(self, *, is_asked: bool) -> Blueprint | None:
        """The file as it is now; None when it is refused, which has been said, or nobody asked and nothing differs.

        Without being asked, and where only certificates are watched, only these are read.
        """
        tell(reloading(), self._environ)
        blueprint = self._read(is_asked=is_asked)
        if blueprint is not None and not is_asked and not changed_paths(self.current, blueprint):
            tell(READY, self._environ)
            return None
        return blueprint

    def _read(self, *, is_asked: bool) -> Blueprint | None:
        files = NamedFiles()
        try:
            if is_asked or self.current.config.reload.watch:
                blueprint = draw(load(self._path, self._environ, files))
            else:
                document = self.current.document
                files = document.files.but_for(set(certificate_paths(document)))
                blueprint = draw(replace(document, files=files))
            self._refuse_restarts(blueprint)
        except ConfigError as error:
            for problem in error.problems:
                logger.error("reload_failed %s", problem)  # noqa: TRY400  (a stack says nothing)
            self._count_failure()
            return None
        except Exception:
            self.fail()
            return None
        finally:
            self._seen = {**self._seen, **files.versions}
        return blueprint

    def keep(self, blueprint: Blueprint) -> None:
        """It is what counts from now on."""
        self.current = blueprint
        _use_log(blueprint)
        self._seen = blueprint.document.files.versions

    def announce(self) -> None:
        """The gateway is what `current` says."""
        tell(READY, self._environ)
        before, self._announced = self._announced, self.current
        paths = changed_paths(before, self.current)
        more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
        logger.info("reloaded changes=%s%s", ",".join(paths[:_SHOWN_PATHS]) or "none", more)
        if _keys(before) != _keys(self.current):
            self._tell_keys("reload")
        if self._meter is not None:
            self._meter.succeeded(self.current.document.digest, time.time())
        _collect()

    def fail(self) -> None:
        """It could not be put in place, for a reason that no configuration has."""
        logger.exception("reload_failed")
        self._count_failure()

    def _tell_keys(self, reason: str) -> None:
        keyring = self.current.credentials.keyring
        further = [key.kid for key in keyring.further]
        tell_keys(kid=keyring.active.kid, algorithm=keyring.active.algorithm, further=further, reason=reason)

    def _count_failure(self) -> None:
        tell(REFUSED, self._environ)
        if self._meter is not None:
            self._meter.failed()

    def _refuse_restarts(self, blueprint: Blueprint) -> None:
        message = "cannot change while the gateway runs; restart it, or change it back"
        paths = restart_paths(self.current, blueprint)
        if paths:
            raise ConfigError([blueprint.document.problem(path, message) for path in paths])

    async def follow(self, hang_ups: HangUps, put_in_place: PutInPlace) -> None:
        """Reload when asked to and when files change, again and again until cancelled."""
        while True:
            is_asked = await hang_ups.wait(self.interval)
            if not is_asked and not self.has_changed():
                continue
            # Beside the requests: a long file takes a second to read, and a key of RSA a moment to judge.
            blueprint = await asyncio.to_thread(self.read, is_asked=is_asked)
            if blueprint is None:
                continue
            try:
                await put_in_place(blueprint)
            except Exception:
                self.fail()
            else:
                self.keep(blueprint)
                self.announce()


def _keys(blueprint: Blueprint) -> tuple[object, ...]:
    """What is configured of them: another key may have the name of the one before."""
    tokens = blueprint.config.tokens
    return tokens.algorithm, tokens.kid, tokens.signing_key, tokens.verifying_key, tokens.further_keys


class WorkersOrders:
    """The same for workers: what the supervisor has read goes to them as it is, so that nobody reads another thing."""

    def __init__(self, reloads: Reloads) -> None:
        self._reloads = reloads

    @property
    def interval(self) -> float:
        return self._reloads.interval

    def next(self, *, is_asked: bool) -> bytes | None:
        """As `server.orders.Orders` has it."""
        reloads = self._reloads
        if not is_asked and not reloads.has_changed():
            return None
        blueprint = reloads.read(is_asked=is_asked)
        if blueprint is None:
            return None
        reloads.keep(blueprint)
        return pickle.dumps(blueprint.document)

    def on_obeyed(self) -> None:
        self._reloads.announce()


async def obey(orders: socket.socket, put_in_place: PutInPlace, tell_obeyed: Callable[[], None]) -> None:
    """In a worker: carry out orders until cancelled. Raises what stands against one: the worker then has to go."""
    while True:
        order = await next_order(orders)
        blueprint = await asyncio.to_thread(_draw, order)
        await put_in_place(blueprint)
        _use_log(blueprint)
        tell_obeyed()
        _collect()


def _use_log(blueprint: Blueprint) -> None:
    log = blueprint.config.log
    configure_logging(form=log.format, level=log.level)


def _collect() -> None:
    """What was replaced is full of cycles, and old: the collector, which is set to leave the old alone (`lifecycle`),
    would find it after a thousand reloads. Takes 0.1 ms, and 15 ms for each thousand of connections that are open."""
    gc.collect()


def _draw(order: bytes) -> Blueprint:
    return draw(pickle.loads(order))  # noqa: S301  (the supervisor's own, through memory that nobody else can reach)
