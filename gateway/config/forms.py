"""What texts must look like: one table, used by the parser (refusals) and by the JSON Schema (patterns).

Patterns keep to what Python and ECMA 262 both read in the same way, and match the whole text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from ipaddress import IPv6Address, ip_network
from typing import Final

# Only a key is longer than this; it also keeps the patterns below cheap on nonsense.
MAX_TEXT_CHARS: Final = 2048


@unique
class Form(StrEnum):
    """The kinds of text; the value is what messages and the reference call them."""

    TEXT = "text"
    NAME = "a name"
    IDENTIFIER = "an identifier"
    BLOCK = "text of any number of lines"
    QUOTABLE = "visible ASCII text"
    TOKEN = "a token (RFC 9110)"
    METHOD = "a method"
    PATH = "a path"
    ADDRESS = "an address"
    NETWORK = "a network"
    UPSTREAM_URL = "a URL"
    HTTPS_URL = "an https URL"
    ORIGIN = "an origin"
    VARIABLE = "the name of an environment variable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`pattern` must match the whole text, or it is refused with `refusal`, which goes on from the name of the key."""

    pattern: str
    refusal: str


_TCHAR: Final = r"!#$%&'*+.^_`|~0-9A-Z-"  # RFC 9110 §5.6.2, without the lower-case letters
_PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"  # 1-65535
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_IPV6: Final = r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45}"  # narrowed by ipaddress in `refusal`
# The last label is not all digits: resolvers read `http://8080` as the address 0.0.31.144. Docker's names have `_`.
_HOST_NAME: Final = r"(?:[A-Za-z0-9_-]{1,63}\.){0,8}[A-Za-z0-9_-]{0,31}[A-Za-z_-][A-Za-z0-9_-]{0,31}"
_HOST: Final = rf"(?:{_IPV4}|\[{_IPV6}\]|{_HOST_NAME})"
_LOWER_HOST: Final = _HOST.replace("A-Za-z", "a-z").replace("A-Fa-f", "a-f")

RULES: Final[Mapping[Form, tuple[Rule, ...]]] = {
    Form.TEXT: (Rule(pattern=r"[^\x00-\x1f\x7f]+", refusal="must be one line of text without control characters"),),
    Form.NAME: (
        Rule(
            pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
            refusal="must be 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit",
        ),
    ),
    Form.IDENTIFIER: (
        Rule(
            pattern=r"[a-z][a-z0-9_]{0,47}",
            refusal="must be 1 to 48 lower-case letters, digits or `_`, the first a letter",
        ),
    ),
    Form.BLOCK: (Rule(pattern=r"[^\x00]+", refusal="must not hold a NUL character"),),
    Form.QUOTABLE: (Rule(pattern=r"[ !#-\[\]-~]+", refusal='must be visible ASCII and blanks, without `"` and `\\`'),),
    Form.TOKEN: (
        Rule(
            pattern=rf"[{_TCHAR}a-z]+",
            refusal="must be a token of RFC 9110: letters, digits and any of !#$%&'*+-.^_`|~",
        ),
    ),
    Form.METHOD: (
        Rule(pattern=rf"[{_TCHAR}]+", refusal="must be a method in upper case, as GET or POST"),
        Rule(pattern=r"(?!(?:CONNECT|TRACE)$).*", refusal="is a method that the gateway never passes; leave it out"),
    ),
    Form.PATH: (
        Rule(pattern=r"/[\s\S]*", refusal="must start with `/`"),
        Rule(
            pattern=r"[^%;?#\\]*",
            refusal="must not hold any of `%`, `;`, `?`, `#` and `\\`: back ends read them in different ways",
        ),
        Rule(
            pattern=r"[A-Za-z0-9/._~!$&'()*+,=:@-]*",
            refusal="must consist of the characters of a URL path: ASCII letters, digits and any of /-._~!$&'()*+,=:@",
        ),
        Rule(pattern=r"(?!.*//).*", refusal="must not hold `//`: write one slash"),
        Rule(
            pattern=r"(?!.*/\.{1,2}(?:/|$)).*",
            refusal="must not hold the dot segments `.` or `..`: write the path that they lead to",
        ),
    ),
    Form.ADDRESS: (
        Rule(
            pattern=rf"(?:{_IPV4}|{_IPV6}|{_HOST_NAME})",
            refusal='must be an IP address or a host name, as 127.0.0.1, "::1" or localhost',
        ),
    ),
    Form.NETWORK: (
        Rule(
            pattern=rf"(?:{_IPV4}(?:/(?:[12]?[0-9]|3[0-2]))?|{_IPV6}(?:/(?:[1-9]?[0-9]|1[01][0-9]|12[0-8]))?)",
            refusal='must be an IP address or a network, as 192.0.2.1, 10.0.0.0/8 or "2001:db8::/32"',
        ),
        Rule(pattern=r"(?!.*/0$).*", refusal="must not be every address there is: name the proxies' own"),
    ),
    Form.UPSTREAM_URL: (
        Rule(
            pattern=r"(?:https?://|unix:/)[\s\S]*",
            refusal="must be http://host[:port], https://host[:port] or unix:/path/to.sock",
        ),
        Rule(pattern=r"unix:[\s\S]*|[^@]*", refusal="must not hold a user name or password"),
        Rule(
            pattern=r"unix:[\s\S]*|https?://[^/?#\\]*",
            refusal="must end after host and port: no path, query or fragment, and no `/` at the end",
        ),
        Rule(
            pattern=rf"unix:[\s\S]*|https?://{_HOST}(?::{_PORT})?",
            refusal="must have a host name or IP address, and where there is a port, one of 1 to 65535",
        ),
        # sockaddr_un holds 108 bytes with the NUL at the end.
        Rule(
            pattern=r"http[\s\S]*|unix:/[!-.0-~][!-~]{0,105}",
            refusal="must be unix: and the absolute path of a socket, at most 107 characters of visible ASCII",
        ),
    ),
    Form.HTTPS_URL: (
        Rule(
            pattern=r"https://[\s\S]*", refusal="must be https://host[:port]/path: keys are believed for the TLS alone"
        ),
        Rule(pattern=r"https://[^/?@]*(?:[/?][\s\S]*)?", refusal="must not hold a user name or password"),
        Rule(
            pattern=rf"https://{_HOST}(?::{_PORT})?(?:[/?][\s\S]*)?",
            refusal="must have a host name or IP address, and where there is a port, one of 1 to 65535",
        ),
        Rule(
            pattern=r"[!$-;=?-\[\]_a-z~]*",
            refusal='must be visible ASCII without any of `#`, `"`, `<`, `>`, `\\`, `^`, `` ` ``, `{`, `|` and `}`',
        ),
    ),
    Form.ORIGIN: (
        Rule(
            pattern=rf"\*|[a-z][a-z0-9+.-]{{0,31}}://{_LOWER_HOST}(?::{_PORT})?",
            refusal="must be an origin as browsers send it: scheme://host or scheme://host:port in lower case, "
            "without a path or a `/` at the end",
        ),
        Rule(
            pattern=r"(?!http://.*[^:]:80$)(?!https://.*[^:]:443$).*",
            refusal="must be written without :80 or :443: browsers leave a scheme's own port out",
        ),
    ),
    Form.VARIABLE: (
        Rule(
            pattern=r"[A-Za-z_][A-Za-z0-9_]*",
            refusal="must be the name of an environment variable: letters, digits and `_`, the first no digit",
        ),
    ),
}


def refusal(form: Form, text: str) -> str | None:
    """Why `text` is not of this form, as a sentence that goes on from the name of its key; None when it is."""
    if not text:
        return "must not be empty"
    if form is not Form.BLOCK and len(text) > MAX_TEXT_CHARS:
        return f"must not be longer than {MAX_TEXT_CHARS} characters"
    for rule in RULES[form]:
        if re.fullmatch(rule.pattern, text) is None:
            return rule.refusal
    if form is Form.NETWORK:
        return _network_refusal(text)
    if form in {Form.ADDRESS, Form.UPSTREAM_URL, Form.HTTPS_URL, Form.ORIGIN} and not _is_host_sound(text, form):
        return "must hold a valid IPv6 address"
    return None


def _network_refusal(text: str) -> str | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return "must hold a valid IPv6 address"
    if network.network_address != ip_network(text.partition("/")[0]).network_address:
        return f"must be the network's first address: write {network}"
    return None


def _is_host_sound(text: str, form: Form) -> bool:
    """Whether an IPv6 address inside is one: what a pattern can hardly say."""
    bracketed = re.search(r"\[([^\]]*)\]", text.partition("?")[0])
    if bracketed is not None:
        address = bracketed[1]
    elif form is Form.ADDRESS and ":" in text:
        address = text
    else:
        return True
    try:
        IPv6Address(address)
    except ValueError:
        return False
    return True
