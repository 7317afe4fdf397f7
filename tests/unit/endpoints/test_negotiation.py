import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.endpoints.answers import RequestError
from gateway.endpoints.negotiation import MAX_ACCEPT_CHARS, require_acceptable


def check(*accept: str, target: str = "/") -> int:
    request = make_mocked_request("POST", target, headers=[("Accept", value) for value in accept])
    try:
        require_acceptable(request)
    except RequestError as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/json",
        "application/json, text/plain, */*",  # axios
        "application/json, */*;q=0.5",  # HTTPie
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html",
        "application/json;q=0",
        "APPLICATION/JSON; indent=4",
        "application/*",
        "application/xml, application/json",
        ", ,application/json",
    ],
)
def test_acceptable(accept: str) -> None:
    assert check(accept) == 200


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "application/xml",
        "text/plain",
        "json",
        "*",
        "application/vnd.api+json",
        "a/b; x*=nope''y",
        "*/*" + " " * 9000,
    ],
)
def test_not_acceptable(accept: str) -> None:
    assert check(accept) == 406


def test_without_accept_json_is_taken() -> None:
    assert check() == 200


def test_several_fields_are_one_list() -> None:
    assert check("application/xml", "application/json") == 200


def test_what_stands_behind_the_bounds_does_not_count() -> None:
    assert check("a/b," * 63 + "*/*") == 200
    assert check("a/b," * 64 + "*/*") == 406
    assert check("application/json;x=" + "y" * 256) == 406
    assert check("a" * (MAX_ACCEPT_CHARS - 1) + ",*/*") == 406
    assert check("*/*" + "a" * MAX_ACCEPT_CHARS) == 406


@pytest.mark.parametrize(
    ("query", "status"),
    [("format=json", 200), ("format=", 200), ("format=xml", 404), ("format=JSON", 404), ("x=y", 200)],
)
def test_format_in_the_query(query: str, status: int) -> None:
    assert check("*/*", target=f"/?{query}") == status
