"""`forward_auth`: nobody may ask who is not named."""

from gateway.config.sections.forward_auth import RequestIn
from tests.unit.config.sample import parse_with, refusals

TRUSTING = "{trusted_proxies: [10.0.0.7]}"


def test_s7_nobody_may_ask_by_default() -> None:
    assert parse_with().forward_auth is None
    assert refusals(forward_auth="{}")[0].startswith("forward_auth.proxies: is missing")
    assert refusals(forward_auth="{proxies: []}") == ["forward_auth.proxies: must have at least 1 entry"]


def test_fields_say_what_is_asked_about_unless_it_is_the_target() -> None:
    for text, request_in in (("", RequestIn.FIELDS), (", request_in: target", RequestIn.TARGET)):
        section = parse_with(forward_auth=f"{{proxies: [10.0.0.7]{text}}}", listen=TRUSTING).forward_auth
        assert section is not None
        assert (section.path, section.request_in) == ("/forward-auth", request_in)


def test_s7_the_whole_world_may_not_ask() -> None:
    for network in ("0.0.0.0/0", "'::/0'"):
        assert paths_of(refusals(forward_auth=f"{{proxies: [{network}]}}")) == ["forward_auth.proxies[0]"]


def paths_of(sentences: list[str]) -> list[str]:
    return [sentence.partition(": ")[0] for sentence in sentences]
