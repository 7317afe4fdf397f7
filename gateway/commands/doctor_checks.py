"""What the doctor tries, as tables, and how an answer is judged. Pure: nothing here sends or reads a clock."""

import base64
import email.utils
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from gateway.commands.doctor_wire import Reply

# Placeholders of tutorials, frameworks and jwt.io; `gateway run` starts with none of them.
COMMON_SECRETS: Final = (
    "secret",
    "changeme",
    "password",
    "test",
    "key",
    "jwt",
    "jwt-secret",
    "secretkey",
    "secret-key",
    "your-256-bit-secret",
    "your-secret-key",
    "a-string-secret-at-least-256-bits-long",
    "django-insecure",
    "please-change-this-secret-key-in-production",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
)
MOST_SKEW_SECONDS: Final = 30.0
LEAST_CERTIFICATE_SECONDS: Final = 14 * 86400.0


@unique
class Result(StrEnum):
    OK = "ok"
    FINDING = "finding"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One line of the report; `detail` says what was seen and, for a finding, what to do."""

    check: str
    result: Result
    detail: str


def sound(check: str, detail: str) -> Verdict:
    return Verdict(check=check, result=Result.OK, detail=detail)


def finding(check: str, detail: str) -> Verdict:
    return Verdict(check=check, result=Result.FINDING, detail=detail)


def skipped(check: str, detail: str) -> Verdict:
    return Verdict(check=check, result=Result.SKIPPED, detail=detail)


def path_tricks(path: str, authority: str) -> Iterator[tuple[str, bytes]]:
    """(what it is, target) for other spellings of `path` that some server takes for it."""
    rest = path[1:]
    tricks = {
        "//": f"//{rest}",
        "/./": f"/./{rest}",
        "/../": f"/doctor/../{rest}",
        "%2e": f"/%2e/{rest}",
        "%2e%2e": f"/doctor/%2e%2e/{rest}",
        "%252e": f"/doctor/%252e%252e/{rest}",
        "%2f": f"/%2f{rest}",
        "%5c": f"/%5c{rest}",
        "backslash": f"/\\{rest}",
        "semicolon": f"/;doctor/{rest}",
        "path parameter": f"{path};doctor=1",
        "escaped letter": f"/%{ord(rest[0]):02x}{rest[1:]}" if rest else "/%2e",
        "absolute form": f"http://{authority}{path}",
        "foreign absolute form": f"http://doctor.invalid{path}",
        "fragment": f"{path}#doctor",
        "%00": f"{path}%00",
        "NUL": f"{path}\0",
        "no slash": rest or "doctor",
    }
    for name, target in tricks.items():
        yield name, target.encode("ascii")


def identity_lines(name: str, value: str) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """(what it is, lines of a head) for the spellings under which an identity field was smuggled past some proxy."""
    for spelling in dict.fromkeys((name, name.lower(), name.upper(), name.replace("-", "_"))):
        yield spelling, (f"{spelling}: {value}".encode(),)
    line = f"{name}: {value}".encode()
    yield f"{name} twice", (line, line)
    yield f"{name} with a blank", (f"{name} : {value}".encode(),)
    yield f"{name} named by Connection", (f"Connection: {name}".encode(), line)
    yield f"{name} folded", (b"X-Doctor: 1", b" " + line)
    yield f"{name} behind a bare LF", (b"X-Doctor: 1\n" + line,)


# Harmless however they are read: each is one request without consequences in either reading.
SMUGGLING: Final[tuple[tuple[str, tuple[bytes, ...], bytes], ...]] = (
    ("Content-Length and Transfer-Encoding", (b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"0\r\n\r\n"),
    ("two lengths", (b"Content-Length: 0", b"Content-Length: 1"), b"x"),
    ("a signed length", (b"Content-Length: +0",), b""),
    ("an unknown coding", (b"Transfer-Encoding: chunked, doctor",), b"0\r\n\r\n"),
    ("a blank before the colon", (b"Transfer-Encoding : chunked",), b"0\r\n\r\n"),
    ("a folded field", (b"Transfer-Encoding:", b" chunked"), b"0\r\n\r\n"),
)


def forged_token(header: Mapping[str, object], claims: Mapping[str, object], secret: str | None) -> str:
    """A compact JWS signed with HMAC-SHA256, or with an empty signature."""
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = b"" if secret is None else hmac.digest(secret.encode(), signed, "sha256")
    return (signed + b"." + _base64url(signature)).decode("ascii")


def claims_of(token: str) -> dict[str, object] | None:
    """What a token says, unverified; None when it cannot be read."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (IndexError, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def gives_access(reply: Reply) -> bool:
    """Whether the server went along with who was asking; that it looked for the user says that it believed a token."""
    return 100 <= reply.status < 400 or b"user_not_found" in reply.body


def judge_missing_token(reply: Reply) -> Verdict:
    check = "missing token"
    if reply.status != 401:
        return finding(
            check,
            f"answered {reply.status} instead of 401: give the URL of a path that needs a token; if it is one, "
            "clients get past the gateway",
        )
    if not reply.field("www-authenticate"):
        return finding(
            check, "401 without WWW-Authenticate (RFC 9110 §11.6.1): another server than the gateway answers"
        )
    return sound(check, "401 with a challenge")


def judge_refusals(
    check: str, replies: Sequence[tuple[str, Reply]], advice: str, *, believed: frozenset[int] = frozenset()
) -> Verdict:
    """`replies` are of attempts that must all come to nothing; `believed` are statuses that say they did not."""
    through = [f"{name} ({reply.status})" for name, reply in replies if gives_access(reply) or reply.status in believed]
    if through:
        return finding(check, f"let through: {', '.join(through)}: {advice}")
    return sound(check, f"{len(replies)} attempts, none let through")


def judge_smuggling(replies: Sequence[tuple[str, Reply]]) -> Verdict:
    check = "request smuggling"
    # Refused for its form, or for something else on a connection that ends with it: either way nothing follows.
    kept = [
        f"{name} ({reply.status})"
        for name, reply in replies
        if gives_access(reply) or (reply.status not in (400, 501) and not reply.is_closed)
    ]
    if kept:
        return finding(check, f"taken for requests: {', '.join(kept)}: whatever stands in front must refuse them")
    return sound(check, f"{len(replies)} ambiguous requests, all refused")


def judge_echo(replies: Sequence[tuple[str, Reply]], marker: str) -> Verdict:
    check = "spoofed identity at the backend"
    arrived = [name for name, reply in replies if marker.encode() in reply.body]
    if arrived:
        return finding(check, f"arrived: {', '.join(arrived)}: requests reach this backend past the gateway's rules")
    if not any(200 <= reply.status < 300 for _, reply in replies):
        return skipped(check, f"the echo path answers {replies[0][1].status}; give --token")
    return sound(check, f"{len(replies)} spellings, none arrived")


def judge_admin(replies: Sequence[tuple[str, Reply]]) -> Verdict:
    check = "admin endpoints"
    # A front end that answers every path answers in HTML.
    open_ones = [
        f"{path} ({reply.status})"
        for path, reply in replies
        if 200 <= reply.status < 300 and not reply.field("content-type").startswith("text/html")
    ]
    if open_ones:
        return finding(check, f"answer clients: {', '.join(open_ones)}: let no route or proxy lead there")
    return sound(check, "no answer where clients connect")


def judge_backend(reply: Reply | None, url: str) -> Verdict:
    check = "backend around the gateway"
    if reply is None:
        return sound(check, f"{url} cannot be reached from here")
    if reply.status in (401, 403):
        return sound(check, f"{url} answers, but refused a made-up user with {reply.status}")
    return finding(
        check, f"{url} can be reached from here: any user can be made up there; bind it to the gateway's network alone"
    )


def judge_clock(reply: Reply, now: float) -> Verdict:
    check = "clock"
    try:
        at = email.utils.parsedate_to_datetime(reply.field("date")).timestamp()
    except ValueError:
        return skipped(check, "no Date in the answer")
    skew = at - now
    if abs(skew) > MOST_SKEW_SECONDS:
        way = "ahead of" if skew > 0 else "behind"
        return finding(check, f"{abs(skew):.0f} s {way} this machine's: tokens end early or late; set both by NTP")
    return sound(check, "within 30 s of this machine's")


def judge_certificate(reply: Reply, now: float) -> Verdict:
    check = "certificate"
    if reply.certificate_end is None:
        return skipped(check, "no TLS")
    days = (reply.certificate_end - now) / 86400
    if reply.certificate_end - now < LEAST_CERTIFICATE_SECONDS:
        return finding(check, f"ends in {days:.0f} days: renew it")
    return sound(check, f"ends in {days:.0f} days")


def judge_server_field(reply: Reply) -> Verdict:
    check = "server field"
    server = reply.field("server")
    if any(character.isdigit() for character in server):
        return finding(check, f"tells versions: {json.dumps(server)}: turn that off (nginx: server_tokens off)")
    return sound(check, "tells no version")


def judge_cors(reply: Reply, origin: str) -> Verdict:
    check = "cross-origin"
    allowed = reply.field("access-control-allow-origin")
    if allowed == origin and reply.field("access-control-allow-credentials").lower() == "true":
        return finding(check, "any web site may ask with the user's credentials: name the origins")
    return sound(check, "a foreign origin gets no credentials")


def judge_login(reply: Reply, path: str) -> Verdict:
    check = "log-in"
    if 200 <= reply.status < 300:
        return finding(check, f"{path} answered {reply.status} to a user who cannot exist")
    if reply.status not in (400, 401, 429):
        return skipped(check, f"{path} answered {reply.status}; give --login-path")
    if "no-store" not in reply.field("cache-control"):
        return finding(check, f"{path} answers without Cache-Control: no-store: tokens may stay in caches")
    return sound(check, "an unknown user is refused, and caches keep nothing")
