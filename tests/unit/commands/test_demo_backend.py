import socket

import aiohttp

from gateway.commands.demo_backend import serving


def listener() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


async def test_shows_the_request_as_it_came() -> None:
    bound = listener()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    async with serving(bound), aiohttp.ClientSession(auto_decompress=False) as session:
        answer = await session.post(
            aiohttp.client.URL(f"{url}/a%2Fb?c=%20", encoded=True), data=b"hi", headers={"X-User-Id": "1"}
        )
        lines = (await answer.text()).splitlines()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert lines[0] == "POST /a%2Fb?c=%20 HTTP/1.1"
    assert "X-User-Id: 1" in lines
    assert lines[-2:] == ["", "hi"]


async def test_a_packed_body_is_not_unpacked() -> None:
    bound = listener()
    async with serving(bound), aiohttp.ClientSession() as session:
        answer = await session.post(
            f"http://127.0.0.1:{bound.getsockname()[1]}/", data=b"no gzip at all", headers={"Content-Encoding": "gzip"}
        )
        assert (await answer.text()).endswith("\n\nno gzip at all\n")


async def test_the_socket_is_closed_at_the_end() -> None:
    bound = listener()
    async with serving(bound):
        pass
    assert bound.fileno() == -1
