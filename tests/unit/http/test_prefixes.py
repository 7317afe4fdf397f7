"""Another prefix for the upstream, by whole segments."""

import pytest

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
        ("/app", "/", "/app//x;y", b"//x;y"),
    ],
)
def test_prefix_is_replaced(prefix: str, replacement: str, sent: str, expected: bytes) -> None:
    assert PrefixReplacement(prefix=prefix, replacement=replacement).apply(parse_target(sent)) == expected


@pytest.mark.parametrize(
    ("prefix", "lines"),
    [("/app", (b"X-Forwarded-Prefix: /app",)), ("/app/", (b"X-Forwarded-Prefix: /app",)), ("/", ())],
)
def test_what_was_taken_off_is_told(prefix: str, lines: tuple[bytes, ...]) -> None:
    assert PrefixReplacement(prefix=prefix, replacement="/v2").lines == lines
