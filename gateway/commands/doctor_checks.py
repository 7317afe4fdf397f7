"""How the doctor judges what it saw. Pure: nothing here sends or reads a clock."""

import email.utils
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

from gateway.commands.doctor_wire import Reply

MOST_SKEW_SECONDS: Final = 30.0
LEAST_CERTIFICATE_SECONDS: Final = 14 * 86400.0
_PUT_OFF: Final = frozenset({429, 503})


@unique
class Result(StrEnum):
    OK = "ok"
    FINDING = "finding"
    ACCEPTED = "accepted"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One line of the report; `detail` says what was seen and, for a finding, what to do."""

    check: str
    result: Result
    detail: str


CHECKS: Final = (
    "keys of the file", "missing token", "routes of the file", "forged tokens", "public keys as secrets",
    "unfit tokens", "key of the running gateway", "tokens out of place", "identity fields", "misleading fields",
    "path tricks", "other methods", "upgrades", "request smuggling", "forwarded hosts",
    "spoofed identity at the backend", "admin endpoints", "admin port", "backend around the gateway", "TLS",
    "certificate", "clock", "server field", "cross-origin", "log-in",
)  # fmt: skip
"""What a verdict may be about, in the order in which they are told."""


def accepted(verdict: Verdict, checks: Sequence[str]) -> Verdict:
    """With findings of `checks` for what they are: known."""
    is_known = verdict.result is Result.FINDING and verdict.check in checks
    return replace(verdict, result=Result.ACCEPTED) if is_known else verdict


def sound(check: str, detail: str) -> Verdict:
    return Verdict(check=check, result=Result.OK, detail=detail)


def finding(check: str, detail: str) -> Verdict:
    return Verdict(check=check, result=Result.FINDING, detail=detail)


def skipped(check: str, detail: str) -> Verdict:
    return Verdict(check=check, result=Result.SKIPPED, detail=detail)


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
    check: str,
    replies: Sequence[tuple[str, Reply]],
    advice: str,
    *,
    believed: frozenset[int] = frozenset(),
    decoy: Reply | None = None,
) -> Verdict:
    """`replies` are of attempts that must all come to nothing; `believed` are statuses that say they did not.

    `decoy` is what a path gets that nobody has: whoever gets the same has got nothing that is guarded.
    """
    through = [
        f"{name} ({reply.status})"
        for name, reply in replies
        if (gives_access(reply) or reply.status in believed) and not _is_same(reply, decoy)
    ]
    if through:
        return finding(check, f"let through: {', '.join(through)}: {advice}")
    put_off = sum(reply.status in _PUT_OFF for _, reply in replies)
    if put_off:
        return skipped(check, f"{put_off} of {len(replies)} attempts were put off (429 or 503): try again later")
    return sound(check, f"{len(replies)} attempt{'s' * (len(replies) > 1)}, none let through")


def _is_same(reply: Reply, decoy: Reply | None) -> bool:
    return decoy is not None and (reply.status, reply.body) == (decoy.status, decoy.body)


def judge_smuggling(replies: Sequence[tuple[str, Reply]]) -> Verdict:
    check = "request smuggling"
    # Refused for its form, or for something else on a connection that ends with it: either way nothing follows.
    kept = [
        f"{name} ({reply.status})"
        for name, reply in replies
        if gives_access(reply) or (reply.status not in (400, 501) and not reply.is_closed)
    ]
    if kept:
        return finding(
            check,
            f"answered, and the connection kept: {', '.join(kept)}: whatever stands in front must refuse them or close "
            "(RFC 9112 §6.1); until it does, let no proxy before it share connections",
        )
    return sound(check, f"{len(replies)} ambiguous requests, all refused")


def judge_echo(replies: Sequence[tuple[str, Reply]], marker: str) -> Verdict:
    check = "spoofed identity at the backend"
    arrived = [name for name, reply in replies if marker.encode() in reply.body]
    if arrived:
        return finding(check, f"arrived: {', '.join(arrived)}: requests reach this backend past the gateway's rules")
    if not any(200 <= reply.status < 300 for _, reply in replies):
        return skipped(check, f"the echo path answers {replies[0][1].status}; give --token")
    return sound(check, f"{len(replies)} spellings, none arrived")


def judge_admin(replies: Sequence[tuple[str, Reply]], decoy: Reply) -> Verdict:
    """`decoy` as for `judge_refusals`."""
    check = "admin endpoints"
    # A front end that answers every path answers in HTML, and perhaps not twice the same.
    open_ones = [
        f"{path} ({reply.status})"
        for path, reply in replies
        if 200 <= reply.status < 300
        and not reply.field("content-type").startswith("text/html")
        and not _is_same(reply, decoy)
    ]
    if open_ones:
        return finding(check, f"answer clients: {', '.join(open_ones)}: let no route or proxy lead there")
    return sound(check, "no answer where clients connect")


def judge_backends(replies: Sequence[tuple[str, Reply | None]]) -> Verdict:
    """What each of them, by its URL, answered to a request past the gateway."""
    check = "backend around the gateway"
    open_ones = [url for url, reply in replies if reply is not None and reply.status not in (401, 403)]
    if open_ones:
        return finding(
            check,
            f"{', '.join(open_ones)} can be reached from here: any user can be made up there; "
            "bind it to the gateway's network alone",
        )
    refusing = [url for url, reply in replies if reply is not None]
    if refusing:
        return sound(check, f"{', '.join(refusing)} can be reached from here, but refused a made-up user")
    return sound(check, f"{', '.join(url for url, _ in replies)} cannot be reached from here")


def judge_reflection(replies: Sequence[tuple[str, Reply]], marker: str) -> Verdict:
    """`marker` is a host that the client made up for the proxy in front."""
    check = "forwarded hosts"
    shown = [
        name
        for name, reply in replies
        if marker.encode() in reply.body or any(marker in value for _, value in reply.fields)
    ]
    if shown:
        return finding(
            check,
            f"believed: {', '.join(shown)}: links and redirects lead where a stranger says; "
            "let the outermost proxy set or remove these fields",
        )
    return sound(check, f"{len(replies)} attempts, none shown again")


def judge_own_key(reply: Reply) -> Verdict:
    """`reply` is to a token that has ended and was signed with the key of the file."""
    check = "key of the running gateway"
    if b"Token is expired" in reply.body:
        return sound(check, "is that of the file")
    if b"Token is invalid" in reply.body:
        return finding(
            check, "is not that of the file, whose tokens it does not take: reload it, or look for another one"
        )
    return skipped(check, f"a token of the file's key is answered {reply.status}, which does not tell")


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
