"""How a target is said to be read, where the words do not follow from the verdict."""

import asyncio

import pytest

from gateway.commands.explanation import Explanation, explain
from gateway.composition.blueprint import draw
from tests.unit.composition.documents import document_with


def explained(target: str, method: str = "GET") -> Explanation:
    routes = "[{path: /, upstream: app, access: public}, {path: /ab, upstream: app}]"
    blueprint = draw(document_with(routes=routes))
    request = f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    return asyncio.run(explain(blueprint, request, target=target, client="192.0.2.1", token=None, is_offline=True))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/a/%7Eb?c", "path /a/~b, query ?c"),
        ("/a;b", "path /a;b has other readings too (semicolon), which are not allowed here or lead elsewhere"),
        ("/a/../b", "/a/../b has more than one reading (or is none) and is refused"),
    ],
)
def test_how_a_target_is_read(target: str, words: str) -> None:
    assert explained(target).target == words


def test_a_method_that_is_not_passed_on_needs_no_target() -> None:
    told = explained("/a", "TRACE")
    assert told.target == "/a is not looked at: This method is not passed on by the gateway."


def test_a_prefix_that_ends_inside_of_a_segment() -> None:
    steps = {step.subject: step.words for step in explained("/abc").routes}
    assert steps["/ab"] == "does not match: it ends inside of a segment of the path"
    assert steps["/"] == "matches, the longest that does: it decides"


def asked(request: str, *, client: str = "192.0.2.1") -> Explanation:
    blueprint = draw(
        document_with(
            routes="[{path: /, upstream: app, access: public}, {path: /ab, upstream: app}]",
            listen="{trusted_proxies: [192.0.2.1]}",
            forward_auth="{proxies: [192.0.2.1]}",
        )
    )
    raw = f"GET /forward-auth HTTP/1.1\r\nHost: a\r\n{request}\r\n".encode()
    return asyncio.run(explain(blueprint, raw, target="/forward-auth", client=client, token=None, is_offline=True))


def about(uri: str) -> str:
    return f"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: {uri}\r\n"


def test_of_a_proxys_question_it_is_the_request_that_is_explained() -> None:
    told = asked(about("/x?y"))
    assert told.target == "a proxy asks about path /x, query ?y"
    assert {step.subject: step.words for step in told.routes}["/"] == "matches, the longest that does: it decides"
    assert list(told.verdict)[-2:] == [
        "a proxy would be told that it may pass it on: 200",
        "with no identity: nobody is there, or nobody is asked",
    ]
    told = asked(about("/ab/c"))
    assert {step.subject: step.words for step in told.routes}["/ab"] == "matches, the longest that does: it decides"
    assert "would be refused: 401, reason not_authenticated" in told.verdict


@pytest.mark.parametrize(
    ("request_", "client", "reason"),
    [("", "192.0.2.1", "question_unclear"), (about("/x"), "192.0.2.2", "question_denied")],
)
def test_what_is_no_question_to_be_answered_has_no_route(request_: str, client: str, reason: str) -> None:
    told = asked(request_, client=client)
    assert told.target == "/forward-auth is where other proxies ask"
    assert told.routes == []
    assert f"reason {reason}" in told.verdict[0]
