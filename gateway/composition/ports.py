"""Configuration → the sockets that a process, or each worker of it, listens on."""

from gateway.config.model import Config
from gateway.server import sockets
from gateway.server.sockets import Ports


def open_ports(config: Config, *, seats: int = 1) -> tuple[Ports, ...]:
    """One set for each seat. Raises `GatewayError`."""
    listen, admin = config.listen, config.admin
    return sockets.open_ports(
        (listen.address, listen.port), (admin.address, admin.port) if admin.enabled else None, seats=seats
    )
