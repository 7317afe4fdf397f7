"""A backend that speaks WebSocket and knows nothing of tokens: it echoes, and does what a message with `!` asks for.

Run as `python websocket_backend.py PORT`. `!fields`: the handshake's fields as JSON; `!path`: its target; `!close CODE`;
`!vanish`: end without a Close frame; `!deaf`: read nothing more; `!flood SIZE COUNT`; `!closes`: the close codes that
other connections ended with, in order.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

from websockets import ConnectionClosed, Subprotocol
from websockets.asyncio.server import ServerConnection, serve

closes: list[int | None] = []


def _choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((each for each in offered if each == "chat"), None)


async def _obey(connection: ServerConnection, words: list[str]) -> None:
    match words:
        case ["!fields"]:
            assert connection.request is not None
            fields = [[name.lower(), value] for name, value in connection.request.headers.raw_items()]
            await connection.send(json.dumps(fields))
        case ["!path"]:
            assert connection.request is not None
            await connection.send(connection.request.path)
        case ["!close", code]:
            await connection.close(int(code), "as asked")
        case ["!vanish"]:
            connection.transport.abort()
        case ["!deaf"]:
            connection.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
        case ["!flood", size, count]:
            for _ in range(int(count)):
                await connection.send(b"x" * int(size))
        case ["!closes"]:
            await connection.send(json.dumps(closes))


async def _echo(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            if isinstance(message, str) and message.startswith("!"):
                await _obey(connection, message.split(" "))
            else:
                await connection.send(message)
    except ConnectionClosed:
        pass
    finally:
        await connection.wait_closed()
        closes.append(connection.close_code)


async def _serve(port: int) -> None:
    async with serve(_echo, "127.0.0.1", port, select_subprotocol=_choose, max_size=None, ping_interval=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
