"""A legacy backend: knows nothing of tokens and answers every request with what it received, as JSON.

Run as `python echo_backend.py PORT`. A process of its own, on the standard library only; it reads heads by hand so that
no field is folded, merged or renamed before it is shown. Bodies need a Content-Length.
"""

import asyncio
import json
import sys


def _show(head: bytes, body: bytes) -> bytes:
    request_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = request_line.split(" ")
    fields = [[name.lower(), value.strip()] for name, _, value in (line.partition(":") for line in lines)]
    return json.dumps({"method": method, "target": target, "fields": fields, "body": body.decode("latin-1")}).encode()


def _length(head: bytes) -> int:
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


async def _serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            shown = _show(head, await reader.readexactly(_length(head)))
            payload = b"" if head.startswith(b"HEAD ") else shown
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(shown), payload)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_serve_connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
