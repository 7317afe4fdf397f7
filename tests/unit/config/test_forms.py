import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.forms import MAX_TEXT_CHARS, RULES, Form, refusal

GOOD = {
    Form.TEXT: ["x", "a b", "é", "http://x/y?z"],
    Form.NAME: ["app", "a.b-c_d", "9", "a" * 64],
    Form.IDENTIFIER: ["gateway", "g", "a_9", "a" * 48],
    Form.BLOCK: ["x", "-----BEGIN\nabc\n-----END", "a" * (MAX_TEXT_CHARS + 1)],
    Form.QUOTABLE: ["api", "my api [1]", "~!"],
    Form.TOKEN: ["Bearer", "X-User_Id", "a!#$%&'*+.^`|~"],
    Form.METHOD: ["GET", "M-SEARCH", "TRACES", "CONNECTED"],
    Form.PATH: ["/", "/api", "/api/", "/a/b.c/...", "/a/.well-known/~x", "/:a@b,c=d+e"],
    Form.ADDRESS: ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost", "2001:db8::ffff:10.0.0.1", "gateway-1.lan"],
    Form.NETWORK: ["10.0.0.0/8", "192.0.2.1", "192.0.2.1/32", "0.0.0.0/1", "2001:db8::/32", "::1", "::1/128"],
    Form.UPSTREAM_URL: [
        "http://app",
        "http://app:8000",
        "http://my_backend:65535",
        "http://10.0.0.1:1",
        "http://[::1]:8000",
        "http://a.example.org",
        "http://8080a",
        "https://app",
        "https://[::1]:8443",
        "unix:/run/app/app.sock",
        "unix:/" + "@" * 106,
    ],
    Form.HTTPS_URL: [
        "https://login.example.org/.well-known/jwks.json",
        "https://127.0.0.1:8443/keys?p=a@b:c/d&x=[1]",
        "https://[::1]:8443",
        "https://a?x",
    ],
    Form.ORIGIN: [
        "*",
        "https://app.example.org",
        "http://localhost:4200",
        "https://app.example.org:8443",
        "capacitor://localhost",
        "http://[::1]:8080",
        "http://localhost:8080",
        "https://localhost:80",
    ],
    Form.VARIABLE: ["X", "_x9"],
}
BAD = {
    Form.TEXT: ["", "a\nb", "a\x00", "\x7f", "x" * (MAX_TEXT_CHARS + 1)],
    Form.NAME: ["", "-a", ".a", "a b", "a/b", "é", "a" * 65, "a\n"],
    Form.IDENTIFIER: ["", "9a", "_a", "A", "a-b", "{a}", "é", "a" * 49, "a\n"],
    Form.BLOCK: ["", "a\x00b"],
    Form.QUOTABLE: ['a"b', "a\\b", "é", "a\tb", "a\n"],
    Form.TOKEN: ["a b", "a:b", "a,b", "é", "a\n", '"a"', "(a)"],
    Form.METHOD: ["get", "Get", "G T", "TRACE", "CONNECT"],
    Form.PATH: [
        "api",
        "*",
        "/a//b",
        "//",
        "/.",
        "/a/../b",
        "/a/..",
        "/./a",
        "/a%2fb",
        "/a;b",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a b",
        "/é",
        "/a\n",
        "/a\n//",
    ],
    Form.ADDRESS: ["1.2.3", "256.1.1.1", ":", ":::", "1::2::3", "[::1]", "a b", "host:80", "http://x", "127.000.0.1"],
    Form.NETWORK: [
        "0.0.0.0/0",
        "::/0",
        "10.0.0.1/8",
        "2001:db8::1/32",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/",
        "10.0.0",
        "1::2::3",
        "fe80::1%eth0",
        "localhost",
    ],
    Form.UPSTREAM_URL: [
        "app:8000",
        "ftp://app",
        "https://app/",
        "https://u:p@app",
        "https://",
        "unix:",
        "unix:app.sock",
        "unix:/",
        "unix://app.sock",
        "unix:/a b",
        "unix:/" + "a" * 107,
        "http://",
        "http://:80",
        "http://app:0",
        "http://app:65536",
        "http://app:",
        "http://8080",
        "http://1.2.3",
        "http://app/",
        "http://app/x",
        "http://app?x",
        "http://app#x",
        "http://u:p@app",
        "http://a b",
        "http://app\n",
        "http://[::1",
        "http://[:::]",
        "http://[1::2::3]:80",
        "http://é",
        "HTTP://app",
        "http://app\\x",
    ],
    Form.HTTPS_URL: [
        "http://login.example.org/keys",
        "http://127.0.0.1/keys",
        "HTTPS://login.example.org/keys",
        "login.example.org/keys",
        "file:///etc/keys",
        "https://",
        "https:///keys",
        "https://8080/keys",
        "https://a:0/keys",
        "https://u@a/keys",
        "https://u:p@a/keys",
        "https://a/keys#1",
        "https://a\\b/keys",
        "https://a/ keys",
        "https://a/é",
        "https://[::g]/",
        "https://[1::2::3]/",
    ],
    Form.ORIGIN: [
        "null",
        "app.example.org",
        "https://App.example.org",
        "https://app.example.org/",
        "https://app.example.org:443",
        "http://app.example.org:80",
        "http://[::1]:80",
        "https://*.example.org",
        "https://",
        "https://a@b",
        "http://[::g]",
        "http://[1::2::3]",
        "**",
    ],
    Form.VARIABLE: ["", "9a", "a-b", "a b", "é"],
}


def _cases(table: dict[Form, list[str]]) -> list[tuple[Form, str]]:
    return [(form, text) for form, texts in table.items() for text in texts]


def test_every_form_has_rules_and_cases() -> None:
    assert set(RULES) == set(GOOD) == set(BAD) == set(Form)


@pytest.mark.parametrize(("form", "text"), _cases(GOOD))
def test_texts_of_a_form_pass(form: Form, text: str) -> None:
    assert refusal(form, text) is None


@pytest.mark.parametrize(("form", "text"), _cases(BAD))
def test_other_texts_are_refused_by_a_sentence_that_does_not_repeat_them(form: Form, text: str) -> None:
    sentence = refusal(form, text)
    assert sentence is not None
    assert re.match(r"must |is a method", sentence)
    if len(text) > 12:
        assert text not in sentence


def test_every_rule_refuses_something_by_itself() -> None:
    """A rule that no bad text reaches cannot fail, so it would prove nothing."""
    for form, rules in RULES.items():
        told = {refusal(form, text) for text in BAD[form]}
        assert {rule.refusal for rule in rules} <= told


@given(st.sampled_from(Form), st.text(alphabet="ab:/.[]-_0%;*AZ@\n ", max_size=40))
def test_no_text_makes_anything_but_a_sentence_or_none(form: Form, text: str) -> None:
    sentence = refusal(form, text)
    assert sentence is None or sentence.strip()


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("unit", ["a", "a.", "-", "/", "[", ":", "1", "http://a", "/.", "_"])
def test_long_nonsense_is_refused_in_no_time(form: Form, unit: str) -> None:
    """Patterns that back-track would take minutes here; the test's own time limit is the bound."""
    for rule in RULES[form]:
        re.fullmatch(rule.pattern, unit * (MAX_TEXT_CHARS // len(unit)) + "\x00")
