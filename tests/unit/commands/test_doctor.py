"""`gateway doctor`: usage; what it finds is told by tests/integration/test_doctor.py."""

import asyncio
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("ftp://x/",),
        ("http://x/", "--backend", "x"),
        ("http://x/", "--echo-path", "x"),
        ("http://x/", "--login-path", "/a b"),
        ("http://x/", "--admin-port", "65536"),
        ("http://x/", "--accept", "everything"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], run: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        run("doctor", *arguments)
    assert ended.value.code == 2


async def test_one_tab_separated_line_a_check_in_a_pipe(run: Run) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        code, out, err = await asyncio.to_thread(run, "doctor", f"http://127.0.0.1:{port}/")
    assert (code, err) == (1, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert {len(row) for row in rows} == {3}
    assert rows[0][:2] == ["missing token", "finding"]
    assert ["request smuggling", "ok", "21 ambiguous requests, all refused"] in rows
