"""Where a request comes from, as far as trusted proxies may say so (checklist 6, 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.addresses import Networks, parse_address
from gateway.http.forwarding import TrustedProxies, connection_origin

PROXIES = TrustedProxies(Networks(["10.0.0.0/8", "2001:db8:ffff::/48"]))
PEER = connection_origin("10.0.0.1", is_tls=False)


def origin_lines(*claims: tuple[str, bytes], is_tls: bool = False) -> dict[str, str]:
    connection = connection_origin("10.0.0.1", is_tls=is_tls)
    origin = PROXIES.origin([(name.encode(), value) for name, value in claims], connection)
    lines = [line.partition(": ") for line in origin.lines.decode("ascii").split("\r\n")]
    return {"client": origin.address, **{name: value for name, _, value in lines}}


def test_a_connection_speaks_for_itself() -> None:
    origin = connection_origin("192.0.2.1", is_tls=True)
    assert origin.lines == b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https"
    assert origin.endpoint_line == b"X-Gateway-Client-Address: 192.0.2.1"


# name → (X-Forwarded-For, client, what is sent on)
CHAINS: dict[str, tuple[list[bytes], str, str]] = {
    "none": ([], "10.0.0.1", "10.0.0.1"),
    "one": ([b"203.0.113.7"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "forged-left-of-the-client": ([b"1.1.1.1, 203.0.113.7"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "forged-as-a-proxy": ([b"10.0.0.9, 203.0.113.7"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "through-two-proxies": ([b"203.0.113.7, 10.2.0.1"], "203.0.113.7", "203.0.113.7, 10.2.0.1, 10.0.0.1"),
    "two-lines": ([b"203.0.113.7", b"10.2.0.1"], "203.0.113.7", "203.0.113.7, 10.2.0.1, 10.0.0.1"),
    "forged-line-before": ([b"9.9.9.9", b"203.0.113.7"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "only-proxies": ([b"10.3.0.1, 10.2.0.1"], "10.3.0.1", "10.3.0.1, 10.2.0.1, 10.0.0.1"),
    "ipv6": ([b"2001:DB8::7"], "2001:db8::7", "2001:db8::7, 10.0.0.1"),
    "ipv6-proxy": ([b"203.0.113.7, 2001:db8:ffff::1"], "203.0.113.7", "203.0.113.7, 2001:db8:ffff::1, 10.0.0.1"),
    "with-port": ([b"203.0.113.7:4711"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "ipv6-with-port": ([b"[2001:db8::7]:4711"], "2001:db8::7", "2001:db8::7, 10.0.0.1"),
    "mapped": ([b"::ffff:203.0.113.7"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "blanks": ([b" \t203.0.113.7 ,  10.2.0.1 "], "203.0.113.7", "203.0.113.7, 10.2.0.1, 10.0.0.1"),
    "unknown": ([b"unknown"], "10.0.0.1", "10.0.0.1"),
    "garbage-nearest": ([b"203.0.113.7, <script>"], "10.0.0.1", "10.0.0.1"),
    "garbage-behind-a-proxy": ([b"203.0.113.7, x, 10.2.0.1"], "10.2.0.1", "10.2.0.1, 10.0.0.1"),
    "garbage-left": ([b"\xff\x01, 203.0.113.7"], "203.0.113.7", "203.0.113.7, 10.0.0.1"),
    "empty-nearest": ([b"203.0.113.7,"], "10.0.0.1", "10.0.0.1"),
    "empty": ([b""], "10.0.0.1", "10.0.0.1"),
    "zone": ([b"fe80::1%eth0"], "10.0.0.1", "10.0.0.1"),
    "octal": ([b"203.0.113.07"], "10.0.0.1", "10.0.0.1"),
    "bad-bracket": ([b"[2001:db8::7"], "10.0.0.1", "10.0.0.1"),
    "long": ([b"1" * 65], "10.0.0.1", "10.0.0.1"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_s6_client_is_the_first_address_from_the_right_that_is_not_trusted(name: str) -> None:
    values, client, sent_on = CHAINS[name]
    found = origin_lines(*(("x-forwarded-for", value) for value in values))
    assert found["client"] == client
    assert found["X-Forwarded-For"] == sent_on


def test_s83_a_chain_is_read_so_far_and_no_further() -> None:
    found = origin_lines(("x-forwarded-for", b", ".join([b"10.0.0.2"] * 1000)))
    assert len(found["X-Forwarded-For"].split(", ")) == 33


@pytest.mark.parametrize(
    ("values", "is_tls", "scheme"),
    [
        ([], False, "http"),
        ([], True, "https"),
        ([b"https"], False, "https"),
        ([b"http"], True, "http"),
        ([b"HTTPS"], False, "https"),
        ([b"wss"], False, "http"),
        ([b"https, http"], False, "http"),
        ([b"https", b"http"], False, "http"),
        ([b"https\x00"], True, "https"),
    ],
)
def test_s6_scheme_is_the_proxys_where_it_says_one(values: list[bytes], is_tls: bool, scheme: str) -> None:
    found = origin_lines(*(("x-forwarded-proto", value) for value in values), is_tls=is_tls)
    assert found["X-Forwarded-Proto"] == scheme


@pytest.mark.parametrize(
    ("value", "port"),
    [(b"443", "443"), (b"65535", "65535"), (b"65536", None), (b"0", None), (b"0443", None), (b"x", None), (b"", None)],
)
def test_s6_port_is_passed_on_when_it_is_one(value: bytes, port: str | None) -> None:
    assert origin_lines(("x-forwarded-port", value)).get("X-Forwarded-Port") == port


@pytest.mark.parametrize(
    ("values", "host"),
    [
        ([b"shop.example.org"], b"shop.example.org"),
        ([b"shop.example.org:8443"], b"shop.example.org:8443"),
        ([b"a, b"], None),
        ([b"a", b"b"], None),
        ([b"a/b"], None),
        ([b"u@a"], None),
        ([], None),
    ],
)
def test_s6_host_is_the_one_that_the_proxy_was_asked_for(values: list[bytes], host: bytes | None) -> None:
    assert PROXIES.origin([(b"x-forwarded-host", value) for value in values], PEER).host == host


NAMES = [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=6))
def test_what_is_sent_on_is_always_of_its_grammar(claims: list[tuple[bytes, bytes]]) -> None:
    origin = PROXIES.origin(claims, PEER)
    first, second, *port = origin.lines.decode("ascii").split("\r\n")
    chain = first.removeprefix("X-Forwarded-For: ").split(", ")
    assert [str(parse_address(text)) for text in chain] == chain
    assert chain[0] == origin.address
    assert chain[-1] == "10.0.0.1"
    assert second in ("X-Forwarded-Proto: http", "X-Forwarded-Proto: https")
    assert len(port) <= 1
