"""What is read of an answer, and which URLs can be examined."""

import ssl
from pathlib import Path

import pytest

from gateway.commands.doctor_wire import (
    Reply,
    UnreachableError,
    exchange,
    is_whole,
    outdated_tls,
    parse_place,
    parse_reply,
    unverified,
)
from tests.integration.certificates import Authority


@pytest.mark.parametrize(
    ("received", "whole"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxy", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", True),
    ],
)
def test_the_end_of_an_answer(received: bytes, whole: bool) -> None:
    assert is_whole(received) is whole


def test_an_answer() -> None:
    received = b"HTTP/1.1 401 Unauthorized\r\nServer:  x \r\nServer: y\r\n\r\nbody"
    status, fields, body = parse_reply(received)
    assert (status, body) == (401, b"body")
    reply = Reply(status=status, fields=fields, body=body)
    assert (reply.field("server"), reply.field("date")) == ("x", "")


@pytest.mark.parametrize("received", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_http(received: bytes) -> None:
    assert parse_reply(received) == (0, (), b"")


@pytest.mark.parametrize(
    "url", ["ftp://x/", "/x", "http://", "http://u@x/", "http://x/ y", "http://x/#f", "http://x:y/"]
)
def test_no_url(url: str) -> None:
    with pytest.raises(ValueError):
        parse_place(url, None)


def test_a_place() -> None:
    place = parse_place("http://[::1]/orders", None)
    assert (place.url, place.path, place.tls) == ("http://[::1]:80/orders", "/orders", None)


async def test_the_certificate_is_judged_and_old_tls_is_noticed(tmp_path: Path) -> None:
    import asyncio

    authority = Authority(tmp_path, "authority")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=authority.server_context("127.0.0.1"))
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        place = parse_place(url, authority.certificate)
        reply = await exchange(place, b"GET / HTTP/1.1\r\n\r\n")
        assert reply.status == 204
        assert reply.certificate_end is not None
        assert (await exchange(unverified(parse_place(url, None)), b"GET / HTTP/1.1\r\n\r\n")).status == 204
        for refused in (parse_place(url, None), outdated_tls(place)):
            with pytest.raises(UnreachableError):
                await exchange(refused, b"GET / HTTP/1.1\r\n\r\n")
    context = authority.server_context("127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        old = parse_place(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", None)
        assert (await exchange(outdated_tls(old), b"GET / HTTP/1.1\r\n\r\n")).status == 204
