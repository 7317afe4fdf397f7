"""`gateway run`: the gateway itself, in the foreground, until it is told to stop."""

import argparse
import gc
import logging
import os
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command
from gateway.commands.outcome import exit_code_of

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config.model import Config

logger: Final = logging.getLogger("gateway")

_DETAILS: Final = """\
Once it listens it says so on standard error, with the address. SIGTERM and Ctrl-C let the requests in flight end
(drain.timeout), then it exits with 0. A second one ends it at once.

example:
  GATEWAY_SIGNING_KEY=... gateway run --config gateway.yaml"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "run", summary="run the gateway", details=_DETAILS)
    add_config_argument(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    # Imports leave next to no garbage, and looking for it is 15 of their 300 ms. Serving enables it again.
    gc.disable()
    from gateway import app
    from gateway.config import load
    from gateway.server.cores import usable_cores
    from gateway.server.lifecycle import run_until_signalled

    config = (document := load.load(arguments.config, os.environ)).config
    workers = usable_cores() if config.workers == "auto" else config.workers
    gateway = app.build(document, seats=workers)
    if workers == 1:
        # No supervisor: a sidecar has little memory, and whoever started this process watches it already.
        return run_until_signalled(lambda: gateway, on_serving=lambda: _announce(gateway.url, config, workers))
    return _supervise(gateway, config, workers)


def _supervise(gateway: "Gateway", config: "Config", workers: int) -> int:
    from gateway.app import url_of
    from gateway.composition.ports import open_ports
    from gateway.server.lifecycle import run_until_signalled
    from gateway.server.supervisor import Post, Supervisor

    def work(post: Post) -> int:
        # Built before the fork and entered after it: each worker has its own loop, threads and database connection.
        gateway.take_seat(post.seat, post.ports)
        return exit_code_of(
            lambda: run_until_signalled(lambda: gateway, lifeline=post.lifeline, on_serving=post.tell_serving)
        )

    seats = open_ports(config, seats=workers)
    url = url_of(config.listen, seats[0].clients[0].getsockname()[1])
    return Supervisor(
        seats=seats,
        work=work,
        on_serving=lambda: _announce(url, config, workers),
        drain_seconds=config.drain.delay + config.drain.timeout,
    ).run()


def _announce(url: str, config: "Config", workers: int) -> None:
    logger.info("listening url=%s workers=%d routes=%d", url, workers, len(config.routes))
