"""WebSockets of the soak: every message is unique, is echoed to its own sender, and the backend knows whose it is."""

import contextlib
import json
import random
import time

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from tests.conformance.forging import token
from tests.integration.soak.ledger import Ledger

PATIENCE = 15.0


class TunnelUser:
    """Opens one tunnel after the other, in the name of one user."""

    def __init__(self, *, port: int, ledger: Ledger, chance: random.Random, user: str) -> None:
        self._url = f"ws://127.0.0.1:{port}/ws"
        self._ledger = ledger
        self._chance = chance
        self._user = user
        self._fields = {"Authorization": "Bearer " + token("access", user_id=user).decode(), "X_User_Id": "1"}

    def visit(self) -> None:
        opened_at = time.monotonic()
        try:
            with connect(self._url, additional_headers=self._fields, compression=None) as tunnel:
                self._converse(tunnel)
        except (ConnectionClosed, InvalidHandshake, OSError, EOFError) as error:
            self._ledger.outcomes["tunnel cut"] += 1
            if not self._ledger.was_worker_killed(opened_at):
                self._ledger.violate("a tunnel failed", error)

    def _converse(self, tunnel: ClientConnection) -> None:
        tunnel.send("!fields")
        users = [value for name, value in json.loads(tunnel.recv(PATIENCE)) if name.replace("_", "-") == "x-user-id"]
        if users != [self._user]:
            self._ledger.violate("wrong identity in a tunnel", users, self._user)
        for number in range(self._chance.randrange(1, 40)):
            message = f"{self._user}:{number}:{self._chance.getrandbits(64)}:" + "x" * self._chance.randrange(3_000)
            tunnel.send(message)
            echo = tunnel.recv(PATIENCE)
            if echo != message:
                self._ledger.violate("mixed message", echo, message)
            self._ledger.outcomes["message"] += 1
        self._end(tunnel)

    def _end(self, tunnel: ClientConnection) -> None:
        way = self._chance.choice(["close", "vanish", "leave"])
        if way == "vanish":
            tunnel.send("!vanish")
            with contextlib.suppress(ConnectionClosed):
                tunnel.recv(PATIENCE)
                self._ledger.violate("a message from a backend that is gone")
        elif way == "leave":
            tunnel.socket.shutdown(2)
