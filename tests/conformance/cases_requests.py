"""Requests that must be refused: raw bytes, each row with its source.

A row that is refused is sent with `SMUGGLED` behind it: whoever cuts the row in another way would run that request.
"""

import dataclasses
from typing import Final

from tests.integration.data_plane import HOST

HEAD_END: Final = b"\r\n\r\n"
SMUGGLED: Final = b"GET /public/smuggled HTTP/1.1\r\nHost: api.example.org\r\n\r\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused:
    """`status` and, where only one is right, `code` of the answer, after which the connection ends."""

    id: str
    raw: bytes
    status: int = 400
    code: str | None = None


def _framed(name: str, *lines: bytes, body: bytes = b"5\r\nhello\r\n0\r\n\r\n", version: bytes = b"1.1") -> Refused:
    head = b"\r\n".join([b"POST /public/x HTTP/" + version, HOST, *lines])
    return Refused(id=name, raw=head + HEAD_END + body)


def _head(name: str, *lines: bytes, code: str | None = None, status: int = 400) -> Refused:
    return Refused(id=name, raw=b"\r\n".join(lines) + HEAD_END, code=code, status=status)


def _fielded(name: str, *lines: bytes) -> Refused:
    return _head(name, b"GET /public/x HTTP/1.1", HOST, *lines)


def _hosted(name: str, *lines: bytes) -> Refused:
    return _head(name, b"GET /public/x HTTP/1.1", *lines, code="bad_host")


_CHUNKED: Final = b"Transfer-Encoding: chunked"

# RFC 9112 §6.1, §6.3; checklist 11. CVE-2019-18277 (HAProxy), CVE-2021-40346, CVE-2022-32213 (Node), CVE-2023-25690.
FRAMING: Final = (
    _framed("s11-cl.te", b"Content-Length: 15", _CHUNKED),
    _framed("s11-te.cl", _CHUNKED, b"Content-Length: 4"),
    _framed("s11-cl.te-zero", b"Content-Length: 0", _CHUNKED),
    _framed("s11-te-unknown-coding", b"Transfer-Encoding: xchunked"),
    _framed("s11-te-identity", b"Transfer-Encoding: identity"),
    _framed("s11-te-chunked-not-last", b"Transfer-Encoding: chunked, identity"),
    _framed("s11-te-gzip-chunked", b"Transfer-Encoding: gzip, chunked"),
    _framed("s11-te-chunked-twice", b"Transfer-Encoding: chunked, chunked"),
    _framed("s11-te-list-comma", b"Transfer-Encoding: chunked,"),
    _framed("s11-te-quoted", b'Transfer-Encoding: "chunked"'),
    _framed("s11-te-parameter", b"Transfer-Encoding: chunked;q=1"),
    _framed("s11-te-empty", b"Transfer-Encoding:"),
    _framed("s11-te-vertical-tab", b"Transfer-Encoding: \x0bchunked"),
    _framed("s11-te-kelvin-sign", b"Transfer-Encoding: chun\xe2\x84\xaaed"),
    _framed("s11-te-nul-behind", b"Transfer-Encoding: chunked\x00"),
    _framed("s11-te-no-break-space", b"Transfer-Encoding: \xa0chunked"),
    _framed("s11-te-next-line", b"Transfer-Encoding: chunked\x85"),
    _framed("s11-te-form-feed", b"Transfer-Encoding: chunked\x0c"),
    _framed("s11-te-lf-before-colon", b"Transfer-Encoding\n: chunked"),
    _framed("s11-te-cr-before-colon", b"Transfer-Encoding\r: chunked"),
    _framed("s11-te-behind-lf", b"X-A: b\nTransfer-Encoding: chunked"),
    _framed("s11-te-behind-cr", b"X-A: b\rTransfer-Encoding: chunked"),
    _framed("s11-te-in-fold-of-other", b"X-A: b", b" Transfer-Encoding: chunked"),
    _framed("s11-te-coding-behind-comma", b"Transfer-Encoding: ,chunked"),
    _framed("s11-te-deflate", b"Transfer-Encoding: deflate", b"Content-Length: 5"),
    _framed("s11-te-two-lines", _CHUNKED, b"Transfer-Encoding: identity"),
    _framed("s11-te-two-equal-lines", _CHUNKED, _CHUNKED),
    _framed("s11-te-blank-before-colon", b"Transfer-Encoding : chunked"),
    _framed("s11-te-in-1.0", _CHUNKED, version=b"1.0"),
    _framed("s11-te-in-1.0-keep-alive", _CHUNKED, b"Connection: keep-alive", version=b"1.0"),
    _framed("s11-cl-plus", b"Content-Length: +5"),
    _framed("s11-cl-minus", b"Content-Length: -5"),
    _framed("s11-cl-hex", b"Content-Length: 0x5"),
    _framed("s11-cl-underscore", b"Content-Length: 1_0"),
    _framed("s11-cl-exponent", b"Content-Length: 1e1"),
    _framed("s11-cl-fraction", b"Content-Length: 5.0"),
    _framed("s11-cl-list-equal", b"Content-Length: 5, 5"),
    _framed("s11-cl-list-other", b"Content-Length: 5,6"),
    _framed("s11-cl-two-numbers", b"Content-Length: 5 5"),
    _framed("s11-cl-empty", b"Content-Length:"),
    _framed("s11-cl-arabic-digit", b"Content-Length: \xd9\xa5"),
    _framed("s11-cl-superscript", b"Content-Length: \xb2"),
    _framed("s11-cl-no-break-space", b"Content-Length: \xa05"),
    _framed("s11-cl-next-line", b"Content-Length: 5\x85"),
    _framed("s11-cl-vertical-tab", b"Content-Length: 5\x0b"),
    _framed("s11-cl-quoted", b'Content-Length: "5"'),
    _framed("s11-cl-octal", b"Content-Length: 0o5"),
    _framed("s11-cl-parameter", b"Content-Length: 5;q=1"),
    _framed("s11-cl-list-of-one", b"Content-Length: 5,"),
    _framed("s11-cl-name-behind-nul", b"\x00Content-Length: 5"),
    _framed("s11-cl-blank-before-colon", b"Content-Length : 5"),
    _framed("s11-cl-and-cl-other-behind-te", b"Content-Length: 5", _CHUNKED, b"Content-Length: 6"),
    _framed("s11-cl.te-in-1.0", b"Content-Length: 5", _CHUNKED, version=b"1.0"),
    _framed("s11-cl-two-lines-equal", b"Content-Length: 5", b"Content-Length: 5"),
    _framed("s11-cl-two-lines-other", b"Content-Length: 5", b"Content-Length: 6"),
    _framed("s11-cl-two-cases", b"Content-Length: 5", b"content-length: 50"),
    _framed("s11-cl-2^63", b"Content-Length: 9223372036854775808"),
    _framed("s11-cl-2^64+5", b"Content-Length: 18446744073709551621"),
    _framed("s11-cl-30-digits", b"Content-Length: 100000000000000000000000000005"),
)

# RFC 9112 §2.2, §5, §5.1, §5.2; RFC 9110 §5.5; checklist 12. CVE-2018-8004, CVE-2019-16276, CVE-2022-35256.
SYNTAX: Final = (
    _fielded("s5-connection-of-17-options", b"Connection: " + b", ".join(b"x%d" % number for number in range(17))),
    _fielded("s5-connection-of-17-equal-options", b"Connection: " + b"a," * 9, b"Connection: " + b"a," * 9),
    _fielded("s12-blank-before-colon", b"X-A : b"),
    _fielded("s12-tab-before-colon", b"X-A\t: b"),
    _head("s12-blank-before-first-field", b"GET /public/x HTTP/1.1", b" X-A: b", HOST),
    _head("s12-blank-before-host", b"GET /public/x HTTP/1.1", b" " + HOST),
    _fielded("s12-obs-fold-blank", b"X-A: b", b" c"),
    _fielded("s12-obs-fold-tab", b"X-A: b", b"\tX-User-Id: 1"),
    _fielded("s12-obs-fold-blanks-alone", b"X-A: b", b"  "),
    _fielded("s12-obs-fold-of-te", b"Transfer-Encoding:", b" chunked"),
    _head("s12-obs-fold-of-host", b"GET /public/x HTTP/1.1", b"Host:", b" api.example.org"),
    _fielded("s12-nul-in-value", b"X-A: b\x00c"),
    _fielded("s12-nul-in-name", b"X-\x00A: b"),
    _fielded("s12-bare-cr-in-value", b"X-A: b\rX-User-Id: 1"),
    _fielded("s12-bare-cr-at-end", b"X-A: b\r"),
    _fielded("s12-bare-lf-in-value", b"X-A: b\nX-User-Id: 1"),
    _head("s12-bare-lf-in-host", b"GET /public/x HTTP/1.1", HOST + b"\nX-User-Id: 1"),
    _head("s12-bare-cr-in-host", b"GET /public/x HTTP/1.1", HOST + b"\rX-User-Id: 1"),
    _head("s12-bare-lf-in-request-line", b"GET /public/x HTTP/1.1\nX-User-Id:1", HOST),
    _head("s12-bare-cr-in-request-line", b"GET /public/x HTTP/1.1\rX-User-Id:1", HOST),
    Refused(id="s12-lf-only-head", raw=b"GET /public/x HTTP/1.1\n" + HOST + b"\n\n"),
    Refused(id="s12-lf-only-end", raw=b"GET /public/x HTTP/1.1\r\n" + HOST + b"\n\n"),
    _fielded("s12-control-in-value", b"X-A: b\x01"),
    _fielded("s12-del-in-value", b"X-A: b\x7f"),
    _fielded("s12-escape-in-value", b"X-A: \x1b[31m"),
    _fielded("s12-name-parenthesis", b"X-(A): b"),
    _fielded("s12-name-empty", b": b"),
    _fielded("s12-name-blank-inside", b"X A: b"),
    _fielded("s12-name-not-ascii", b"X-\xc3\xa4: b"),
    _fielded("s12-name-brackets", b"X-]: b"),
    _fielded("s12-name-slash", b"X/A: b"),
    _fielded("s12-no-colon", b"X-A"),
    _fielded("s12-no-colon-after-known", b"X-A: b", b"X-User-Id"),
    _head("s12-request-line-cr-cr-lf", b"GET /public/x HTTP/1.1\r", HOST),
    _head("s12-request-line-two-versions", b"GET /public/x HTTP/1.1 HTTP/1.1", HOST),
    _head("s12-request-line-nul-behind", b"GET /public/x HTTP/1.1\x00", HOST),
    _head("s12-request-line-no-break-space", b"GET\xa0/public/x HTTP/1.1", HOST),
    _head("s12-request-line-byte-order-mark", b"\xef\xbb\xbfGET /public/x HTTP/1.1", HOST),
    _head("s12-request-line-nul-first", b"\x00GET /public/x HTTP/1.1", HOST),
    _head("s12-request-line-status", b"HTTP/1.1 200 OK", HOST),
    _head("s12-request-line-two-blanks", b"GET  /public/x HTTP/1.1", HOST),
    _head("s12-request-line-two-blanks-behind", b"GET /public/x  HTTP/1.1", HOST),
    _head("s12-request-line-tab", b"GET\t/public/x\tHTTP/1.1", HOST),
    _head("s12-request-line-leading-blank", b" GET /public/x HTTP/1.1", HOST),
    _head("s12-request-line-trailing-blank", b"GET /public/x HTTP/1.1 ", HOST),
    _head("s12-request-line-blank-in-target", b"GET /public/x y HTTP/1.1", HOST),
    _head("s12-request-line-no-target", b"GET HTTP/1.1", HOST),
    _head("s12-request-line-vertical-tab", b"GET /public/x\x0bHTTP/1.1", HOST),
    _head("s12-method-quoted", b'"GET" /public/x HTTP/1.1', HOST),
    _head("s12-method-empty", b" /public/x HTTP/1.1", HOST),
    _head("s12-method-colon", b"GET: /public/x HTTP/1.1", HOST),
    _head("s12-method-lower-case", b"get /public/x HTTP/1.1", HOST),
    _head("s12-method-mixed-case", b"Get /public/x HTTP/1.1", HOST),
    _head("s12-method-long", b"G" * 64 + b" /public/x HTTP/1.1", HOST),
    _head("s12-method-nul", b"GET\x00 /public/x HTTP/1.1", HOST),
    _head("s12-version-comma", b"GET /public/x HTTP/1,1", HOST),
    _head("s12-version-plus", b"GET /public/x HTTP/+1.1", HOST),
    _head("s12-version-blank-inside", b"GET /public/x HTTP/ 1.1", HOST),
    _head("s12-version-no-minor", b"GET /public/x HTTP/1", HOST),
    _head("s12-version-three-parts", b"GET /public/x HTTP/1.1.1", HOST),
    _head("s12-version-lower-case", b"GET /public/x http/1.1", HOST),
    _head("s12-version-two-digits", b"GET /public/x HTTP/1.10", HOST),
    _head("s12-version-leading-zero", b"GET /public/x HTTP/01.1", HOST),
    _head("s12-version-other-protocol", b"GET /public/x ICY/1.1", HOST),
    _head("s12-http-0.9", b"GET /public/x", HOST),
    Refused(id="s12-http-0.9-without-fields", raw=b"GET /public/x\r\n\r\n"),
    Refused(id="s12-two-empty-lines-first", raw=b"\r\n\r\nGET /public/x HTTP/1.1\r\n" + HOST + HEAD_END),
    Refused(id="s12-tls-on-plain-port", raw=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)),
    Refused(id="s12-socks", raw=b"\x05\x01\x00"),
    Refused(id="s12-proxy-protocol-v2", raw=b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)),
    Refused(id="s12-proxy-protocol-v1", raw=b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + SMUGGLED),
)

# RFC 9112 §3.2, RFC 9110 §7.2; checklist 12, 25.
HOSTS: Final = (
    _hosted("s12-host-missing"),
    _hosted("s12-host-other-spelling", b"Ho_st: api.example.org"),
    _hosted("s12-host-empty", b"Host:"),
    _hosted("s12-host-twice", HOST, b"Host: other.example.org"),
    _hosted("s12-host-twice-equal", HOST, HOST),
    _hosted("s12-host-twice-other-case", HOST, b"hOST: api.example.org"),
    _hosted("s12-host-list-in-two-lines", b"Host: api.example.org,", HOST),
    _hosted("s12-host-dots", b"Host: .."),
    _hosted("s12-host-dot-first", b"Host: .example.org"),
    _hosted("s12-host-two-dots-inside", b"Host: api..example.org"),
    _hosted("s12-host-two-dots-last", b"Host: api.example.org.."),
    _hosted("s12-host-port-alone", b"Host: :80"),
    _hosted("s12-host-port-empty", b"Host: api.example.org:"),
    _hosted("s12-host-port-65536", b"Host: api.example.org:65536"),
    _hosted("s12-host-port-six-digits", b"Host: api.example.org:000080"),
    _hosted("s12-host-port-plus", b"Host: api.example.org:+80"),
    _hosted("s12-host-port-and-user", b"Host: api.example.org:80@evil.example.org"),
    _hosted("s12-host-query", b"Host: api.example.org?x"),
    _hosted("s12-host-fragment", b"Host: api.example.org#x"),
    _hosted("s12-host-scheme", b"Host: http://api.example.org"),
    _hosted("s12-host-asterisk", b"Host: *"),
    _hosted("s12-host-semicolon", b"Host: api.example.org;x"),
    _hosted("s12-host-escaped-letter", b"Host: %61pi.example.org"),
    _hosted("s12-host-no-break-space", b"Host: api.example.org\xa0"),
    _hosted("s12-host-v6-without-brackets", b"Host: ::1"),
    _hosted("s12-host-v6-zone", b"Host: [fe80::1%25eth0]"),
    _hosted("s12-host-v6-zone-raw", b"Host: [fe80::1%eth0]"),
    _hosted("s12-host-v6-empty", b"Host: []"),
    _hosted("s12-host-v6-three-colons", b"Host: [:::]"),
    _hosted("s12-host-v6-two-gaps", b"Host: [1::2::3]"),
    _hosted("s12-host-v6-nine-groups", b"Host: [1:2:3:4:5:6:7:8:9]"),
    _hosted("s12-host-v6-five-digits", b"Host: [::12345]"),
    _hosted("s12-host-v6-bad-v4", b"Host: [::1.2.3.456]"),
    _hosted("s12-host-v-future", b"Host: [v1.x]"),
    _hosted("s12-host-v6-name", b"Host: [api.example.org]"),
    _hosted("s12-host-blank-inside", b"Host: api example.org"),
    _hosted("s12-host-list", b"Host: api.example.org, other.example.org"),
    _hosted("s12-host-path", b"Host: api.example.org/x"),
    _hosted("s12-host-user", b"Host: alice@api.example.org"),
    _hosted("s12-host-port-word", b"Host: api.example.org:http"),
    _hosted("s12-host-port-twice", b"Host: api.example.org:80:80"),
    _hosted("s12-host-escape", b"Host: api%00.example.org"),
    _hosted("s12-host-bracket", b"Host: [::1"),
    _hosted("s12-host-bracket-behind", b"Host: [::1]x"),
    _hosted("s12-host-not-ascii", b"Host: \xc3\xa4pi.example.org"),
    _hosted("s12-host-quote", b'Host: "api.example.org"'),
    _hosted("s12-host-angle", b"Host: <script>"),
    _hosted("s12-host-backslash", b"Host: api\\example.org"),
    _head("s25-absolute-other-host", b"GET http://other.example.org/public/x HTTP/1.1", HOST, code="bad_host"),
    _head("s25-absolute-other-port", b"GET http://api.example.org:81/public/x HTTP/1.1", HOST, code="bad_host"),
    _head("s25-absolute-own-port", b"GET http://api.example.org:80/public/x HTTP/1.1", HOST, code="bad_host"),
    _head("s25-absolute-trailing-dot", b"GET http://api.example.org./public/x HTTP/1.1", HOST, code="bad_host"),
    _head("s25-absolute-empty-port", b"GET http://api.example.org:/public/x HTTP/1.1", HOST, code="bad_host"),
    _head("s25-absolute-1.0-without-host-but-user", b"GET http://a@api.example.org/public/x HTTP/1.0"),
    _head("s25-absolute-backslash", b"GET http://api.example.org\\@evil.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-escaped-slash", b"GET http://api.example.org%2fx/public/x HTTP/1.1", HOST, code="bad_host"),
    _head("s25-absolute-one-slash", b"GET http:/api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-no-slash", b"GET http:api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-three-slashes", b"GET http:////api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-longer-scheme", b"GET httpsx://api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-file", b"GET file:///public/x HTTP/1.1", HOST),
    _head("s25-absolute-websocket", b"GET ws://api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-fragment-user", b"GET http://api.example.org#@evil.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-no-host", b"GET http://api.example.org/public/x HTTP/1.1", code="bad_host"),
    _head("s25-absolute-user", b"GET http://a@api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-other-scheme", b"GET ftp://api.example.org/public/x HTTP/1.1", HOST),
    _head("s25-absolute-no-authority", b"GET http:///public/x HTTP/1.1", HOST),
    _head("s25-authority-form", b"GET api.example.org:80 HTTP/1.1", HOST),
    _head("s25-dot-first", b"GET ./public/x HTTP/1.1", HOST),
    _head("s25-query-alone", b"GET ?x HTTP/1.1", HOST),
    _head("s25-backslash-first", b"GET \\public\\x HTTP/1.1", HOST),
    _head("s25-escaped-slash-first", b"GET %2fpublic/x HTTP/1.1", HOST),
    _head("s25-asterisk-path", b"OPTIONS */public/x HTTP/1.1", HOST),
    _head("s25-no-slash", b"GET public/x HTTP/1.1", HOST),
    _head("s25-asterisk-options", b"OPTIONS * HTTP/1.1", HOST),
    _head("s25-asterisk-get", b"GET * HTTP/1.1", HOST),
)

# RFC 9110 §9.3.6, §9.3.8, §10.1.1; RFC 9113 §3.4; checklist 17, 18, 79.
OTHER: Final = (
    _head("s18-connect", b"CONNECT api.example.org:443 HTTP/1.1", HOST, status=501, code="method_not_supported"),
    _head("s18-connect-path", b"CONNECT /public/x HTTP/1.1", HOST, status=501, code="method_not_supported"),
    _head("s18-trace", b"TRACE /public/x HTTP/1.1", HOST, status=501, code="method_not_supported"),
    _head("s18-connect-absolute", b"CONNECT http://api.example.org/ HTTP/1.1", HOST, status=501),
    _head("s18-connect-1.0", b"CONNECT api.example.org:443 HTTP/1.0", status=501, code="method_not_supported"),
    _head("s18-trace-absolute", b"TRACE http://api.example.org/public/x HTTP/1.1", HOST, status=501),
    _head("s18-trace-asterisk", b"TRACE * HTTP/1.1", HOST, status=501, code="method_not_supported"),
    _head("s18-http2-preface", b"PRI * HTTP/2.0", b"", b"SM", status=505, code="http_version_not_supported"),
    _head("s18-version-2", b"GET /public/x HTTP/2.0", HOST, status=505, code="http_version_not_supported"),
    _head("s17-expectation", b"POST /public/x HTTP/1.1", HOST, b"Expect: 200-ok", status=417),
    # PortSwigger, "HTTP/1.1 must die" (2025): servers that look for the word inside of the value wait for nothing.
    _head("s17-expectation-inside", b"POST /public/x HTTP/1.1", HOST, b"Expect: y 100-continue", status=417),
    _head("s17-expectation-empty", b"POST /public/x HTTP/1.1", HOST, b"Expect:", status=417),
    _head("s17-expectation-parameter", b"POST /public/x HTTP/1.1", HOST, b"Expect: 100-continue;x", status=417),
    _head("s17-expectation-list", b"POST /public/x HTTP/1.1", HOST, b"Expect: 100-continue, x", status=417),
    _head("s17-expectation-twice", *[b"POST /public/x HTTP/1.1", HOST, *[b"Expect: 100-continue"] * 2], status=417),
    _head("s79-target-too-long", b"GET /public/" + b"x" * 9000 + b" HTTP/1.1", HOST, status=414),
    _head("s79-query-too-long", b"GET /public/?" + b"x" * 9000 + b" HTTP/1.1", HOST, status=414),
    _head("s79-too-many-fields", b"GET /public/x HTTP/1.1", HOST, *[b"X-A: b"] * 100, status=431),
    _head("s79-field-too-large", b"GET /public/x HTTP/1.1", HOST, b"X-A: " + b"b" * 33000, status=431),
    _head("s79-head-too-large", b"GET /public/x HTTP/1.1", HOST, *[b"X-A: " + b"b" * 990] * 40, status=431),
    Refused(id="s79-head-without-end", raw=b"GET /public/x HTTP/1.1\r\nX-A: " + b"b" * 40000, status=431),
    Refused(id="s79-request-line-without-end", raw=b"GET /" + b"x" * 40000, status=431),
)

HEADS: Final = (*FRAMING, *SYNTAX, *HOSTS, *OTHER)


def _chunks(name: str, coded: bytes) -> Refused:
    head = b"\r\n".join([b"POST /public/x HTTP/1.1", HOST, _CHUNKED])
    return Refused(id=name, raw=head + HEAD_END + coded, code="bad_framing")


# RFC 9112 §7.1; checklist 13, 16. CVE-2023-39326, CVE-2024-27982, CVE-2025-22871 (bare LF), CVE-2025-55315.
CHUNKS: Final = (
    _chunks("s13-0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-blank-before", b" 5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-blank-behind", b"5 \r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-tab-behind", b"5\t\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-no-size", b"\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-no-size-extension", b";a=b\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-not-hex", b"g\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-fullwidth-digit", b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-overflow-64-bit", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-overflow-f", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-leading-zeros-without-end", b"0" * 300 + b"5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-lf-after-size", b"5\nhello\r\n0\r\n\r\n"),
    _chunks("s13-lf-after-data", b"5\r\nhello\n0\r\n\r\n"),
    _chunks("s13-lf-after-last", b"5\r\nhello\r\n0\n\r\n"),
    _chunks("s13-lf-at-end", b"5\r\nhello\r\n0\r\n\n"),
    _chunks("s13-cr-after-size", b"5\rhello\r\n0\r\n\r\n"),
    _chunks("s13-cr-cr-lf", b"5\r\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-longer-than-size", b"5\r\nhello!\r\n0\r\n\r\n"),
    _chunks("s13-no-end-of-data", b"5\r\nhello0\r\n\r\n"),
    _chunks("s13-two-bytes-for-an-end", b"5\r\nhelloXX0\r\n\r\n"),
    _chunks("s13-one-byte-for-an-end", b"5\r\nhelloX0\r\n\r\n"),
    _chunks("s13-lf-cr-for-an-end", b"5\r\nhello\n\r0\r\n\r\n"),
    _chunks("s13-size-in-quotes", b'"5"\r\nhello\r\n0\r\n\r\n'),
    _chunks("s13-h-behind", b"5h\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-two-sizes", b"5 5\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-nul-behind", b"5\x00\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-vertical-tab-behind", b"5\x0b\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-fold-of-a-size", b"5\r\n hello\r\n0\r\n\r\n"),
    _chunks("s13-last-minus-zero", b"5\r\nhello\r\n-0\r\n\r\n"),
    _chunks("s13-last-16-zeros", b"5\r\nhello\r\n0000000000000000\r\n\r\n"),
    _chunks("s13-extension-del", b"5;a\x7f\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-not-ascii", b"5;a=\xc3\xa9\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-of-last-lf", b"5\r\nhello\r\n0;\n\r\n"),
    _chunks("s13-shorter-than-size", b"7\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-lf", b"5;a\n=b\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-lf-request", b"5;\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-cr", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-nul", b"5;a\x00b\r\nhello\r\n0\r\n\r\n"),
    _chunks("s13-extension-without-bound", b"5;" + b"a" * 10_000 + b"\r\nhello\r\n0\r\n\r\n"),
    _chunks("s16-trailer-blank-before-colon", b"0\r\nX-A : b\r\n\r\n"),
    _chunks("s16-trailer-fold", b"0\r\nX-A: b\r\n c\r\n\r\n"),
    _chunks("s16-trailer-no-colon", b"0\r\nX-A\r\n\r\n"),
    _chunks("s16-trailer-nul", b"0\r\nX-A: \x00\r\n\r\n"),
    _chunks("s16-trailer-bare-cr", b"0\r\nX-A: b\rc\r\n\r\n"),
    _chunks("s16-trailer-lf", b"0\r\nX-A: b\n\r\n"),
    _chunks("s16-trailer-too-long", b"0\r\nX-A: " + b"b" * 10_000 + b"\r\n\r\n"),
    _chunks("s16-trailers-without-bound", b"0\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n"),
)
