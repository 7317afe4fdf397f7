"""A proxy's question names one request plainly, or it is no question that is answered."""

from typing import Any

import pytest

from gateway.errors import Reason, Refused
from gateway.http.heads import HTTP11
from gateway.http.questions import NamedIn, Questions
from gateway.http.requests import Request

METHOD, URI = b"x-forwarded-method", b"x-forwarded-uri"


def questions(named_in: NamedIn | None = NamedIn.FIELDS, path: str = "/forward-auth") -> Questions:
    return Questions(path=path, named_in=named_in)


def question(*fields: tuple[bytes, bytes], target: str = "/forward-auth", method: str = "GET", **more: Any) -> Request:
    return Request(method, target, HTTP11, forwarded=list(fields) or None, **more)


def about(asked_method: bytes, uri: bytes, **more: Any) -> Request:
    return question((METHOD, asked_method), (URI, uri), **more)


def refusal(request: Request, named_in: NamedIn | None = NamedIn.FIELDS) -> Reason:
    with pytest.raises(Refused) as refused:
        questions(named_in).unfold(request)
    return refused.value.reason


@pytest.mark.parametrize(
    "target",
    ["/forward-auth", "/forward-auth/", "/forward-auth/x", "/forward-auth?x", "/forward-auth*", "/forward-auth%2Fx"],
)
def test_whatever_comes_to_the_endpoint_concerns_it(target: str) -> None:
    assert questions().concerns(target)
    assert questions(None).concerns(target)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/forward",
        "/forward-authentic",
        "/forward-auth-2",
        "/forward-auth_2",
        "/forward-auth.html",
        "/x/forward-auth",
        "*",
    ],
)
def test_other_paths_do_not(target: str) -> None:
    assert not questions().concerns(target)


def test_the_fields_say_which_request_is_meant() -> None:
    request = about(b"POST", b"/admin/x?y=/z", method="HEAD")
    questions().unfold(request)
    assert (request.method, request.target, request.asked_by) == ("POST", "/admin/x?y=/z", "HEAD")


def test_caddy_leaves_the_query_behind_the_path_where_it_says_nothing() -> None:
    request = about(b"GET", b"/x", target="/forward-auth?/y")
    questions().unfold(request)
    assert request.target == "/x"


def test_or_the_request_line_behind_the_path() -> None:
    for target in ("/", "/admin/x?y", "/%61"):
        request = question(target="/forward-auth" + target, method="PUT")
        questions(NamedIn.TARGET).unfold(request)
        assert (request.method, request.target, request.asked_by) == ("PUT", target, "PUT")


def test_what_is_the_questions_own_affair_stays_and_what_the_client_wants_of_its_connection_goes() -> None:
    request = about(b"GET", b"/x", is_preflight=True, is_upgrade=True, expect=b"100-continue", content_length=b"5")
    questions().unfold(request)
    assert (request.is_preflight, request.is_upgrade, request.expect) == (False, False, None)
    assert request.content_length == b"5"


def test_s24_who_is_not_listed_is_told_nothing() -> None:
    assert refusal(about(b"GET", b"/x"), None) is Reason.QUESTION_DENIED
    assert refusal(question(target="/forward-auth/x"), None) is Reason.QUESTION_DENIED


UNCLEAR = {
    "nothing": question(),
    "no-method": question((URI, b"/x")),
    "no-target": question((METHOD, b"GET")),
    "two-methods": question((METHOD, b"GET"), (METHOD, b"GET"), (URI, b"/x")),
    "two-targets": question((METHOD, b"GET"), (URI, b"/x"), (URI, b"/x")),
    "behind-the-path": about(b"GET", b"/x", target="/forward-auth/"),
    "another-behind-the-path": about(b"GET", b"/x", target="/forward-auth/y"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_s24_two_ways_to_say_it_or_none_are_refused(name: str) -> None:
    assert refusal(UNCLEAR[name]) is Reason.QUESTION_UNCLEAR


@pytest.mark.parametrize(
    "request_",
    [
        question(),
        about(b"GET", b"/x"),
        about(b"GET", b"/x", target="/forward-auth/x"),
        question((URI, b"/x"), target="/forward-auth/x"),
    ],
)
def test_s24_nor_do_fields_count_where_the_line_says_it(request_: Request) -> None:
    assert refusal(request_, NamedIn.TARGET) is Reason.QUESTION_UNCLEAR


@pytest.mark.parametrize(
    ("method", "uri"),
    [
        (b"get", b"/x"),
        (b"", b"/x"),
        (b"GET", b""),
        (b"GET /public", b"/x"),
        (b"GET /public HTTP/1.1", b"/x"),
        (b"GET", b"/x HTTP/1.1"),
        (b"GET", b"/x y"),
        (b"GET,POST", b"/x"),
        (b"GET", b"/caf\xe9"),
        (b"G" * 40, b"/x"),
    ],
)
def test_s24_what_could_not_stand_in_a_request_line_is_refused(method: bytes, uri: bytes) -> None:
    assert refusal(about(method, uri)) is Reason.BAD_REQUEST


@pytest.mark.parametrize("uri", [b"*", b"http://a.example/x", b"a.example:443", b"x"])
def test_a_target_that_is_no_path_is_refused(uri: bytes) -> None:
    assert refusal(about(b"GET", uri)) is Reason.BAD_TARGET


def test_so_is_one_that_comes_behind_the_path() -> None:
    for behind in ("*", "?x", "%2Fx"):
        assert refusal(question(target="/forward-auth" + behind), NamedIn.TARGET) is Reason.BAD_TARGET


def test_s12_the_host_is_the_one_that_the_client_named() -> None:
    host = (b"x-forwarded-host", b"a.example")
    request = question((METHOD, b"GET"), (URI, b"/x"), host, host=b"gateway:8080")
    questions().unfold(request)
    assert request.host == b"a.example"
    assert refusal(question((METHOD, b"GET"), (URI, b"/x"), host, host)) is Reason.BAD_HOST
    for kept, named_in in (
        (about(b"GET", b"/x", host=b"gateway"), NamedIn.FIELDS),
        (question(host, target="/forward-auth/x", host=b"gateway"), NamedIn.TARGET),
    ):
        questions(named_in).unfold(kept)
        assert kept.host == b"gateway"


def test_s1_a_request_that_names_a_user_itself_is_refused() -> None:
    assert refusal(about(b"GET", b"/x", has_forgery=True)) is Reason.FORGED_FIELD
    assert refusal(question(target="/forward-auth/x", has_forgery=True), NamedIn.TARGET) is Reason.FORGED_FIELD


def test_the_endpoint_itself_is_no_backends() -> None:
    for uri in (b"/forward-auth", b"/forward-auth/x", b"/forward-auth?x"):
        assert refusal(about(b"GET", uri)) is Reason.NO_ROUTE
