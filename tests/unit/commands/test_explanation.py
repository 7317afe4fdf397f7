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
