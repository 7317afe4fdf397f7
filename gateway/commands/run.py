"""`gateway run`: the gateway itself, in the foreground, until it is told to stop."""

import argparse
import gc
import logging
import os
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command
from gateway.commands.outcome import exit_code_of

if TYPE_CHECKING:
    from gateway.composition.metrics import Metering
    from gateway.composition.reloads import Reloads
    from gateway.config.model import Config
    from gateway.server.hangups import HangUps
    from gateway.server.lifecycle import SignOfLife

logger: Final = logging.getLogger("gateway")

_DETAILS: Final = """\
Once it listens it says so on standard error, with the address. SIGTERM and Ctrl-C let the requests in flight end
(drain.timeout), then it exits with 0. A second one ends it at once. SIGHUP reads the configuration again.

example:
  GATEWAY_SIGNING_KEY=... gateway run --config gateway.yaml"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "run", summary="run the gateway", details=_DETAILS)
    add_config_argument(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    # Imports leave next to no garbage, and looking for it is 15 of their 300 ms. Serving enables it again.
    gc.disable()
    from gateway.server.hangups import HangUps

    hang_ups = HangUps()  # before the file is read: whoever changes it after that and says so is heard
    from gateway.composition.metrics import open_metering
    from gateway.composition.reloads import Reloads
    from gateway.observability.log_output import configure_logging
    from gateway.server.cores import usable_cores

    reloads = Reloads(arguments.config, os.environ)
    config = reloads.current.config
    configure_logging(form=config.log.format, level=config.log.level)
    workers = usable_cores() if config.workers == "auto" else config.workers
    metering = open_metering(workers, is_exposed=config.admin.enabled)
    reloads.count_with(metering.reloads)
    # One needs no supervisor: a sidecar has little memory, and whoever started this process watches it already.
    return (_serve if workers == 1 else _supervise)(reloads, hang_ups, metering)


def _serve(reloads: "Reloads", hang_ups: "HangUps", metering: "Metering") -> int:
    from gateway.app import Gateway
    from gateway.server.lifecycle import run_until_signalled
    from gateway.server.service_manager import STOPPING, tell

    gateway = Gateway(reloads.current, metering)
    return run_until_signalled(
        lambda: gateway,
        on_serving=lambda: _announce(gateway.url, reloads, 1),
        on_stopping=lambda: tell(STOPPING),
        meanwhile=lambda: reloads.follow(hang_ups, gateway.reload),
        sign_of_life=_sign_of_life(),
    )


def _supervise(reloads: "Reloads", hang_ups: "HangUps", metering: "Metering") -> int:
    from gateway.app import Gateway, url_of
    from gateway.composition.ports import open_ports
    from gateway.composition.reloads import WorkersOrders, obey
    from gateway.server.lifecycle import SignOfLife, run_until_signalled
    from gateway.server.service_manager import STOPPING, tell
    from gateway.server.supervisor import Post, Supervisor

    config, workers = reloads.current.config, metering.seats
    sign_of_life = _sign_of_life()

    def work(post: Post) -> int:
        # Drawn before the fork and entered after it: each worker has its own loop, threads and database connection.
        gateway = Gateway(reloads.current, metering)
        gateway.take_seat(post.seat, post.ports)
        return run_until_signalled(
            lambda: gateway,
            lifeline=post.lifeline,
            on_serving=post.tell_serving,
            meanwhile=lambda: obey(post.orders, gateway.reload, post.tell_obeyed),
            sign_of_life=sign_of_life and SignOfLife(interval=sign_of_life.interval, tell=post.tell_alive),
        )

    seats = open_ports(config, seats=workers)
    url = url_of(config.listen, seats[0].clients[0].getsockname()[1])
    return Supervisor(
        seats=seats,
        work=lambda post: exit_code_of(lambda: work(post)),
        on_serving=lambda: _announce(url, reloads, workers),
        on_stopping=lambda: tell(STOPPING),
        drain_seconds=lambda: sum(_drain_times(reloads.current.config)),
        orders=WorkersOrders(reloads),
        hang_ups=hang_ups,
        sign_of_life=sign_of_life,
    ).run()


def _drain_times(config: "Config") -> tuple[float, float]:
    return config.drain.delay, config.drain.timeout


def _sign_of_life() -> "SignOfLife | None":
    from gateway.server.lifecycle import SignOfLife
    from gateway.server.service_manager import ALIVE, tell, watchdog_interval

    interval = watchdog_interval()
    return None if interval is None else SignOfLife(interval=interval, tell=lambda: tell(ALIVE))


def _announce(url: str, reloads: "Reloads", workers: int) -> None:
    from gateway.server.service_manager import READY, tell

    tell(READY)
    logger.info("listening url=%s workers=%d routes=%d", url, workers, len(reloads.current.config.routes))
    reloads.announce_start()
