"""Questions of other proxies: answered as the request would be that they are about, and nothing goes further."""

from collections.abc import AsyncIterator

import pytest

from gateway.types import Revocation, RevokedKind
from tests.unit.proxy.plane import World, running
from tests.unit.proxy.test_spans import Sink, recording
from tests.unit.proxy.transports import Peer, settle
from tests.unit.proxy.wire import BOB, ID, ORIGIN_LINE, answer, answers, bearer, chunked, fresh_bearer, post, request

PROXY = "10.0.0.7"


@pytest.fixture
async def asked() -> AsyncIterator[World]:
    async with running(asking=(PROXY,), trusted=(PROXY,)) as world:
        yield world
        assert not world.app.peers
        assert not world.endpoints.peers


def about(uri: bytes, *lines: bytes, method: bytes = b"GET", by: bytes = b"GET") -> bytes:
    return request(b"/forward-auth", b"X-Forwarded-Method: " + method, b"X-Forwarded-Uri: " + uri, *lines, method=by)


async def ask(world: World, raw: bytes, address: str = PROXY) -> Peer:
    client = world.connect(address)
    client.send(raw)
    await settle()
    return client


async def test_leave_to_pass_is_a_200_with_the_identity_that_a_backend_would_get(asked: World) -> None:
    client = await ask(asked, about(b"/app/x?y", bearer(), ID, b"X-Forwarded-For: 198.51.100.7"))
    told = answer(client)
    assert (told.status, told.body, told.closes) == (200, b"", False)
    assert told.fields["x-user-id"] == "7"
    assert told.fields["x-request-id"] == "0123456789"
    assert told.fields["cache-control"] == "no-store"
    assert "date" in told.fields
    (line,) = asked.log_lines()
    assert (line["client"], line["method"], line["path"]) == ("198.51.100.7", "GET", "/app/x")
    assert (line["route"], line["upstream"], line["user_id"], line["status"]) == ("/app", None, "7", 200)
    # The connection is good for the next question, of the same bytes, too.
    for _ in range(2):
        client.send(about(b"/app/x?y", bearer()))
        await settle()
        assert answer(client).status == 200


async def test_s2_nobody_is_told_of_on_a_public_route_whatever_the_client_claims(asked: World) -> None:
    told = answer(await ask(asked, about(b"/open/x", bearer(), b"X-User-Id: 1")))
    assert told.status == 200
    assert "x-user-id" not in told.fields


VERDICTS = {
    "no-token": (about(b"/app/x"), 401, "not_authenticated"),
    "bad-token": (about(b"/app/x", b"Authorization: Bearer x"), 401, "token_invalid"),
    "two-tokens": (about(b"/app/x", bearer(), bearer()), 401, "bad_authorization_header"),
    "inactive": (about(b"/app/x", fresh_bearer(BOB)), 401, "user_inactive"),
    "role": (about(b"/admin/x", bearer()), 403, "permission_denied"),
    "method": (about(b"/get/x", method=b"POST"), 405, "method_not_allowed"),
    "override": (about(b"/get/x", b"X-HTTP-Method-Override: DELETE"), 405, "method_not_allowed"),
    "no-route": (about(b"/nowhere"), 404, "no_route"),
    "endpoint": (about(b"/api/token/", method=b"POST"), 404, "no_route"),
    "dots": (about(b"/open/../app/x"), 400, "bad_target"),
    "escaped-prefix": (about(b"/%6Fpen/x"), 400, "bad_target"),
    "trace": (about(b"/open/x", method=b"TRACE"), 501, "method_not_supported"),
    "connect": (about(b"/open/x", method=b"CONNECT"), 501, "method_not_supported"),
    "long": (about(b"/open/" + b"x" * 1100), 414, "target_too_long"),
    "host": (about(b"/open/x").replace(b"a.example", b"a@example"), 400, "bad_host"),
    "spelling": (about(b"/open/x", b"X_User_Id: 1"), 400, "forged_field"),
    "other-identity": (about(b"/open/x", b"Remote-User: 1"), 400, "forged_field"),
    "other-path": (about(b"/open/x", b"X-Rewrite-URL: /app"), 400, "forged_field"),
    "asked-host": (about(b"/open/x", b"X-Forwarded-Host: a@example"), 400, "bad_host"),
    "unclear": (request(b"/forward-auth", bearer()), 503, "question_unclear"),
    "preflight": (
        about(b"/app/x", ORIGIN_LINE, b"Access-Control-Request-Method: GET", method=b"OPTIONS"),
        401,
        "not_authenticated",
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
async def test_s24_the_verdict_is_that_on_the_request_that_is_asked_about(asked: World, name: str) -> None:
    raw, status, reason = VERDICTS[name]
    assert answer(await ask(asked, raw)).status == status
    assert asked.outcomes() == [(status, reason)]


async def test_a_log_line_has_what_was_asked_about_whatever_came_of_it(asked: World) -> None:
    for line in (b"Remote-User: 1", b"X-HTTP-Method-Override: PUT"):
        await ask(asked, about(b"/get/x", line, method=b"POST"))
        (told,) = asked.log_lines()
        assert (told["method"], told["path"]) == ("POST", "/get/x")


async def test_a_path_that_is_only_spelled_otherwise_passes(asked: World) -> None:
    assert answer(await ask(asked, about(b"/open/%61"))).status == 200
    assert answer(await ask(asked, about(b"/open/%61?%61"))).status == 200


async def test_who_is_browsed_by_can_read_a_refusal(asked: World) -> None:
    told = answer(await ask(asked, about(b"/cors/x", ORIGIN_LINE)))
    assert told.status == 401
    assert told.fields["access-control-allow-origin"] == "https://app.example"
    assert told.fields["www-authenticate"] == 'bearer realm="api"'


async def test_s57_revocation_and_expiry_count_at_once(asked: World) -> None:
    client = await ask(asked, about(b"/app/x", bearer()))
    assert answer(client).status == 200
    asked.revocations.add(Revocation(kind=RevokedKind.TOKEN, id="t1", expires_at=2_000_000_000))
    client.send(about(b"/app/x", bearer()))
    await settle()
    assert answer(client).status == 401
    assert asked.outcomes() == [(200, None), (401, "token_revoked")]


async def test_s52_rates_are_counted(asked: World) -> None:
    client = await ask(asked, about(b"/limited/x", bearer()) * 3)
    found = answers(client.read())
    assert [each.status for each in found] == [200, 200, 429]
    assert found[-1].fields["retry-after"] == "60"


async def test_nobody_can_tell_is_503(asked: World) -> None:
    asked.directory.go_away()
    assert answer(await ask(asked, about(b"/app/x", fresh_bearer()))).status == 503


async def test_a_user_is_looked_up_before_the_answer(asked: World) -> None:
    asked.directory.may_answer.clear()
    client = await ask(asked, about(b"/app/x", fresh_bearer()))
    assert client.read() == b""
    asked.directory.may_answer.set()
    await settle()
    assert answer(client).status == 200


@pytest.mark.parametrize(("uri", "has_body"), [(b"/app/x", True), (b"/open/x", False)])
@pytest.mark.parametrize("by", [b"GET", b"HEAD"])
async def test_whether_an_answer_has_a_body_is_the_questions_affair(
    asked: World, uri: bytes, by: bytes, has_body: bool
) -> None:
    client = await ask(asked, about(uri, method=b"HEAD", by=by))
    assert client.read().endswith(b"\r\n\r\n") is (by == b"HEAD" or not has_body)


async def test_a_body_of_the_question_is_waited_for_by_nobody(asked: World) -> None:
    lines = (b"X-Forwarded-Method: POST", b"X-Forwarded-Uri: /small/x", b"Expect: 100-continue")
    for raw in (post(b"/forward-auth", b"", *lines, length=20), chunked(b"/forward-auth", *lines)):
        client = await ask(asked, raw)
        told = answer(client)
        assert (told.status, told.closes) == (200, True)


async def test_s68_a_handshake_is_decided_on_as_any_request(asked: World) -> None:
    lines = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Protocol: bearer, x")
    assert answer(await ask(asked, about(b"/ws", bearer(), *lines))).status == 200
    assert answer(await ask(asked, about(b"/ws", *lines))).status == 401


async def test_s7_s24_who_is_not_listed_may_not_ask_and_is_not_passed_on() -> None:
    async with running(asking=(PROXY,), trusted=("10.0.0.0/8",)) as world:
        for address in ("192.0.2.1", "10.0.0.8"):
            for raw in (about(b"/open/x"), request(b"/forward-auth/open/x"), request(b"/forward-auth*")):
                assert answer(await ask(world, raw, address)).code == "question_denied"
        assert set(world.outcomes()) == {(403, "question_denied")}
        assert not world.app.peers


async def test_what_else_comes_from_a_proxy_is_an_ordinary_request() -> None:
    async with running(asking=(PROXY,), trusted=(PROXY,)) as world:
        await ask(world, request(b"/open/x", b"X-Forwarded-Uri: /app", b"X-Forwarded-For: 198.51.100.7"))
        forwarded = world.forwarded()
        assert forwarded.startswith(b"GET /open/x HTTP/1.1\r\n")
        assert b"X-Forwarded-Uri" not in forwarded
        assert b"\r\nX-Forwarded-For: 198.51.100.7, 10.0.0.7\r\n" in forwarded
        await ask(world, request(b"/forward-authors"))
        assert answer(world.clients[-1]).status == 404


async def test_a_recorded_question_calls_nobody() -> None:
    sink = Sink()
    async with running(asking=(PROXY,), trusted=(PROXY,), tracing=recording(sink)) as world:
        await ask(world, about(b"/app/x", bearer()))
        ((_, served),) = sink.told
        assert (served.path, served.status, served.call) == ("/app/x", 200, None)


async def test_a_question_is_counted_as_a_request_of_its_route(asked: World) -> None:
    await ask(asked, about(b"/app/x", bearer(), method=b"POST"))
    await ask(asked, about(b"/app/x"))
    assert asked.metering.series("gateway_http_requests_total") == {
        ("/app", "POST", "200", ""): 1,
        ("/app", "GET", "401", "not_authenticated"): 1,
    }
    assert asked.metering.value("gateway_upstream_response_seconds") == 0
