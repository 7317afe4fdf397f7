"""WebSocket handshakes: what is one, where its token is, and what a backend must answer."""

import pytest

from gateway.errors import Reason, Refused
from gateway.http.fields import RequestFieldUses, ResponseFieldUses
from gateway.http.requests import Request, RequestReader
from gateway.http.responses import Response, ResponseReader
from gateway.http.targets import Target
from gateway.http.upgrades import Handshake, HandshakeReader

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3, with what must be answered to it
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
USUAL = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY.decode(),
    "Sec-WebSocket-Version": "13",
}
REQUESTS = RequestReader(uses=RequestFieldUses(token_field="Authorization", managed={"X-User-Id"}), max_fields=40)
RESPONSES = ResponseReader(uses=ResponseFieldUses())


def request(*more: str, method: str = "GET", version: str = "HTTP/1.1", without: str = "", **changed: str) -> Request:
    """The usual handshake; `changed` values by name with `_` for `-`, `more` whole lines."""
    fields = {**USUAL, **{name.replace("_", "-"): value for name, value in changed.items()}}
    fields.pop(without, None)
    lines = [f"{method} /ws {version}", "Host: a", *(f"{name}: {value}" for name, value in fields.items()), *more]
    return REQUESTS.read("\r\n".join([*lines, "", ""]).encode())


def read(
    of: Request,
    *,
    query: str = "",
    allow_origins: tuple[str, ...] = ("https://a.example",),
    token_query: str | None = None,
) -> Handshake:
    reader = HandshakeReader(allow_origins=allow_origins, token_query=token_query, scheme="Bearer")
    handshake = reader.read(of, Target("/ws", query))
    assert handshake is not None
    return handshake


def refusal(of: Request, **options: object) -> Reason:
    with pytest.raises(Refused) as caught:
        read(of, **options)  # type: ignore[arg-type]
    return caught.value.reason


def test_the_usual_handshake_is_written_anew() -> None:
    handshake = read(request("Cookie: a=b", Origin="https://a.example"))
    assert b"\r\n".join(handshake.lines).split(b"\r\n") == [
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + KEY,
    ]
    assert handshake.request.passed == [b"Origin: https://a.example", b"Cookie: a=b"]
    assert handshake.request.tokens is None


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "UPGRADE"},
    ],
)
def test_s69_the_same_in_other_words(changed: dict[str, str]) -> None:
    assert read(request(**changed)).lines[0].startswith(b"Upgrade: websocket\r\nConnection: Upgrade\r\n")


@pytest.mark.parametrize(
    ("changed", "without"),
    [
        ({"Upgrade": "h2c"}, ""),
        ({"Upgrade": "TLS/1.2, HTTP/1.1"}, ""),
        ({"Upgrade": "websocket/13"}, ""),
        ({}, "Upgrade"),
    ],
)
def test_s69_other_upgrades_are_ordinary_requests(changed: dict[str, str], without: str) -> None:
    reader = HandshakeReader(allow_origins=(), token_query=None, scheme="Bearer")
    assert reader.read(request(without=without, **changed), Target("/ws", "")) is None


@pytest.mark.parametrize(
    "of",
    [
        request(without="Connection"),
        request(Connection="close"),
        request(version="HTTP/1.0"),
        request(without="Upgrade"),
    ],
    ids=["no-connection", "not-named", "http-1.0", "no-upgrade"],
)
def test_s69_an_upgrade_that_says_nothing_is_none(of: Request) -> None:
    """RFC 9110 §7.8: it must be named in Connection, and HTTP/1.0 has none."""
    assert not of.is_upgrade


@pytest.mark.parametrize(
    "of",
    [
        request(method="POST"),
        request(method="HEAD"),
        request("Content-Length: 3"),
        request("Content-Length: 0"),
        request("Transfer-Encoding: chunked"),
        request(without="Sec-WebSocket-Key"),
        request(without="Sec-WebSocket-Version"),
        request(Sec_WebSocket_Key=""),
        request(Sec_WebSocket_Key="short"),
        request(Sec_WebSocket_Key="A" * 24),
        request(Sec_WebSocket_Key="A" * 21 + "B=="),  # bits that code nothing are set
        request(Sec_WebSocket_Key="A" * 20 + "===="),
        request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZTEyMzQ1Njc4OTA="),  # 26 bytes
        request(f"Sec-WebSocket-Key: {KEY.decode()}"),  # twice
        request("Sec-WebSocket-Version: 13"),
        request(Connection="Upgrade, Sec-WebSocket-Key"),
        request(Sec_WebSocket_Protocol="chat, chat"),
        request("Sec-WebSocket-Protocol: chat", Sec_WebSocket_Protocol="chat"),
        request(Sec_WebSocket_Protocol="a b"),
        request(Sec_WebSocket_Protocol="bearer"),
        request(Sec_WebSocket_Protocol="chat, bearer"),
        request(Sec_WebSocket_Extensions="a b"),
        request(Sec_WebSocket_Extensions="permessage-deflate; ="),
    ],
)
def test_s70_what_is_no_handshake_is_refused(of: Request) -> None:
    assert refusal(of) is Reason.BAD_HANDSHAKE


@pytest.mark.parametrize("version", ["8", "0", "14", "13, 8", "013"])
def test_s70_other_versions_are_told_which_one_there_is(version: str) -> None:
    assert refusal(request(Sec_WebSocket_Version=version)) is Reason.WEBSOCKET_VERSION


def test_s1_other_spellings_of_the_fields_do_not_reach_the_backend() -> None:
    handshake = read(request("Sec_WebSocket_Protocol: admin", "sec.websocket.key: x", "SEC-WEBSOCKET_EXTENSIONS: y"))
    assert handshake.request.passed == []
    assert not any(b"admin" in line for line in handshake.lines)


@pytest.mark.parametrize(
    ("origin", "allowed", "passes"),
    [
        ("https://a.example", ("https://a.example",), True),
        ("https://b.example", ("https://a.example", "https://b.example"), True),
        ("https://evil.example", ("https://a.example",), False),
        ("https://a.example.evil.example", ("https://a.example",), False),
        ("https://A.example", ("https://a.example",), False),  # browsers write it small
        ("http://a.example", ("https://a.example",), False),
        ("https://a.example:8443", ("https://a.example",), False),
        ("null", ("https://a.example",), False),
        ("", ("https://a.example",), False),
        ("https://a.example", (), False),
        ("https://evil.example", ("*",), True),
        ("null", ("*",), True),
    ],
)
def test_s63_origins(origin: str, allowed: tuple[str, ...], passes: bool) -> None:
    of = request(Origin=origin)
    if passes:
        read(of, allow_origins=allowed)
    else:
        assert refusal(of, allow_origins=allowed) is Reason.ORIGIN_NOT_ALLOWED


def test_s63_who_sends_no_origin_is_no_browser() -> None:
    read(request(), allow_origins=())


# Where the token is.


@pytest.mark.parametrize(
    ("offered", "forwarded"),
    [
        ("bearer, t.o.k", None),
        ("bearer,t.o.k", None),
        ("bearer, t.o.k, chat, v2", b"chat, v2"),
        ("chat, bearer, t.o.k", b"chat"),
        ("chat, , bearer, , t.o.k,", b"chat"),
    ],
)
def test_the_token_comes_as_a_subprotocol(offered: str, forwarded: bytes | None) -> None:
    handshake = read(request(Sec_WebSocket_Protocol=offered))
    assert handshake.request.tokens == [b"Bearer t.o.k"]
    lines = [line for line in handshake.lines if line.startswith(b"Sec-WebSocket-Protocol")]
    assert lines == ([] if forwarded is None else [b"Sec-WebSocket-Protocol: " + forwarded])
    assert not any(b"t.o.k" in line for line in handshake.lines + handshake.request.passed)


def test_the_token_comes_as_a_subprotocol_in_two_fields() -> None:
    handshake = read(request("Sec-WebSocket-Protocol: t.o.k", Sec_WebSocket_Protocol="bearer"))
    assert handshake.request.tokens == [b"Bearer t.o.k"]


@pytest.mark.parametrize(
    ("query", "forwarded", "tokens"),
    [
        ("?access_token=t.o.k", "", [b"Bearer t.o.k"]),
        ("?a=1&access_token=t.o.k&b=2", "?a=1&b=2", [b"Bearer t.o.k"]),
        ("?access_token=", "", None),
        ("?access_token", "", None),
        ("?my_access_token=x", "?my_access_token=x", None),
        ("?a=access_token", "?a=access_token", None),
        ("?", "?", None),
        ("", "", None),
    ],
)
def test_the_token_comes_in_the_query_where_the_route_says_so(
    query: str, forwarded: str, tokens: list[bytes] | None
) -> None:
    handshake = read(request(), query=query, token_query="access_token")
    assert handshake.target.query == forwarded
    assert handshake.request.tokens == tokens


def test_s40_a_token_in_the_query_is_none_elsewhere() -> None:
    handshake = read(request(), query="?access_token=t.o.k")
    assert handshake.target.query == "?access_token=t.o.k"
    assert handshake.request.tokens is None


@pytest.mark.parametrize(
    ("of", "query"),
    [
        (request("Authorization: Bearer a.b.c", Sec_WebSocket_Protocol="bearer, t.o.k"), ""),
        (request("Authorization: Bearer a.b.c"), "?access_token=t.o.k"),
        (request(Sec_WebSocket_Protocol="bearer, t.o.k"), "?access_token=t.o.k"),
        (request(), "?access_token=a.b.c&access_token=t.o.k"),
    ],
)
def test_s39_two_tokens_are_refused(of: Request, query: str) -> None:
    assert refusal(of, query=query, token_query="access_token") is Reason.BAD_HANDSHAKE


# What the backend answers.


def response(
    *more: str, status: str = "HTTP/1.1 101 Switching Protocols", without: str = "", **changed: str
) -> Response:
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT.decode()}
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    fields.pop(without, None)
    lines = [status, *(f"{name}: {value}" for name, value in fields.items()), *more]
    return RESPONSES.read("\r\n".join([*lines, "", ""]).encode())


def answer(handshake: Handshake, of: Response) -> list[bytes]:
    return b"\r\n".join(handshake.answer(of)).split(b"\r\n")


def test_s68_the_answer_is_written_anew() -> None:
    told = answer(read(request()), response("Set-Cookie: a=b", "Server: x", "Keep-Alive: 5", Upgrade="WebSocket"))
    assert told == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + ACCEPT,
        b"Set-Cookie: a=b",
        b"Server: x",
    ]


@pytest.mark.parametrize(
    "of",
    [
        response(without="Upgrade"),
        response(without="Connection"),
        response(without="Sec-WebSocket-Accept"),
        response(Upgrade="h2c"),
        response(Upgrade="websocket, h2c"),
        response(Connection="keep-alive"),
        response(Sec_WebSocket_Accept="AAAAMBiTxaQ9kYGzzhZRbK+xOo="),
        response(Sec_WebSocket_Accept=ACCEPT.decode().lower()),
        response(f"Sec-WebSocket-Accept: {ACCEPT.decode()}"),
        response(Connection="Upgrade, Sec-WebSocket-Accept"),
        response(status="HTTP/1.0 101 Switching Protocols"),
        response(Sec_WebSocket_Protocol="chat"),
        response(Sec_WebSocket_Extensions="permessage-deflate"),
        response(Sec_WebSocket_Extensions="a b"),
    ],
)
def test_s68_an_answer_that_a_client_would_refuse(of: Response) -> None:
    with pytest.raises(Refused) as caught:
        read(request()).answer(of)
    assert caught.value.reason is Reason.UPSTREAM_BROKEN


@pytest.mark.parametrize(
    ("offered", "chosen", "told"),
    [
        ("chat, v2", "v2", b"v2"),
        ("chat", None, None),
        ("bearer, t.o.k", None, b"bearer"),
        ("bearer, t.o.k, chat", "chat", b"chat"),
        ("bearer, t.o.k, chat", None, b"bearer"),
    ],
)
def test_the_subprotocol_that_is_chosen(offered: str, chosen: str | None, told: bytes | None) -> None:
    of = response() if chosen is None else response(Sec_WebSocket_Protocol=chosen)
    lines = answer(read(request(Sec_WebSocket_Protocol=offered)), of)
    found = [line for line in lines if line.startswith(b"Sec-WebSocket-Protocol")]
    assert found == ([] if told is None else [b"Sec-WebSocket-Protocol: " + told])


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("bearer, t.o.k", "bearer"),  # the backend has never heard of it
        ("bearer, t.o.k", "t.o.k"),
        ("chat, v2", "chat, v2"),
        ("chat", "Chat"),
        ("chat", ""),
    ],
)
def test_s68_a_subprotocol_that_was_not_offered(offered: str, chosen: str) -> None:
    with pytest.raises(Refused):
        read(request(Sec_WebSocket_Protocol=offered)).answer(response(Sec_WebSocket_Protocol=chosen))


@pytest.mark.parametrize(
    ("offered", "chosen", "told"),
    [
        ("permessage-deflate; client_max_window_bits", "permessage-deflate", b"permessage-deflate"),
        ("permessage-deflate", 'permessage-deflate; server_max_window_bits="10"', None),
        ("x-a, permessage-deflate", "permessage-deflate;server_no_context_takeover", None),
        ("x-a", "", b""),
    ],
)
def test_extensions_pass_as_they_were_offered_and_chosen(offered: str, chosen: str, told: bytes | None) -> None:
    handshake = read(request(Sec_WebSocket_Extensions=offered))
    assert handshake.lines[1:] == [b"Sec-WebSocket-Extensions: " + offered.encode()]
    lines = answer(handshake, response(Sec_WebSocket_Extensions=chosen))
    expected = chosen.encode() if told is None else told
    found = [line for line in lines if line.startswith(b"Sec-WebSocket-Extensions")]
    assert found == ([b"Sec-WebSocket-Extensions: " + expected] if expected else [])
