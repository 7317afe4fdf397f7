"""Another prefix for the upstream, by whole segments."""

import pytest

from gateway.errors import Reason, Refused
from gateway.http.prefixes import PrefixReplacement
from gateway.http.targets import parse_target


@pytest.mark.parametrize(
    ("prefix", "replacement", "sent", "expected"),
    [
        ("/app", "/", "/app/x/y?q=/app", b"/x/y?q=/app"),
        ("/app", "/", "/app", b"/"),
        ("/app", "/", "/app?q", b"/?q"),
        ("/app/", "/", "/app/", b"/"),
        ("/app", "/", "/app/app", b"/app"),
        ("/app", "/v2", "/app", b"/v2"),
        ("/app", "/v2/", "/app/", b"/v2/"),
        ("/app", "/v2/", "/app/x/", b"/v2/x/"),
        ("/", "/index.php", "/", b"/index.php/"),
        ("/", "/index.php", "/x", b"/index.php/x"),
        ("/", "/", "/x", b"/x"),
        ("/app", "/", "/app/x//y;z", b"/x//y;z"),
        ("/app", "/v2", "/app//x", b"/v2//x"),
    ],
)
def test_prefix_is_replaced(prefix: str, replacement: str, sent: str, expected: bytes) -> None:
    assert PrefixReplacement(prefix=prefix, replacement=replacement).apply(parse_target(sent)) == expected


@pytest.mark.parametrize("sent", ["/app//x;y", "/app//", "/app///", "/app//?q"])
def test_s20_what_is_left_of_a_path_names_no_authority(sent: str) -> None:
    """`//host/x` is another server to whoever reads it as RFC 3986 §4.2, in a redirect above all (CVE-2018-14574)."""
    with pytest.raises(Refused) as refused:
        PrefixReplacement(prefix="/app", replacement="/").apply(parse_target(sent))
    assert refused.value.reason is Reason.BAD_TARGET


@pytest.mark.parametrize(
    ("prefix", "lines"),
    [("/app", (b"X-Forwarded-Prefix: /app",)), ("/app/", (b"X-Forwarded-Prefix: /app",)), ("/", ())],
)
def test_what_was_taken_off_is_told(prefix: str, lines: tuple[bytes, ...]) -> None:
    assert PrefixReplacement(prefix=prefix, replacement="/v2").lines == lines
