"""What `gateway demo` prints: where things are, and a story to paste into another terminal.

Commands stand alone on lines indented by four blanks and hold no comments, which an interactive zsh would not take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoUser:
    """Passwords are well known: the demo listens on loopback only, and its users end with it."""

    username: str
    password: str
    roles: tuple[str, ...]


ALICE: Final = DemoUser(username="alice", password="white-rabbit", roles=("staff",))  # noqa: S106 - meant to be known
BOB: Final = DemoUser(username="bob", password="yes-we-can", roles=())  # noqa: S106 - meant to be known

_ACCESS: Final = """ACCESS=$(echo "$TOKENS" | sed 's/.*"access":"\\([^"]*\\)".*/\\1/')"""
_REFRESH: Final = """REFRESH=$(echo "$TOKENS" | sed 's/.*"refresh":"\\([^"]*\\)".*/\\1/')"""


def tour(*, gateway_url: str, backend_url: str) -> str:
    """The whole text; both addresses without a slash at the end."""
    users = "\n".join(
        f"    {user.username:<8}{user.password:<16}{'roles ' + ', '.join(user.roles) if user.roles else 'no roles'}"
        for user in (ALICE, BOB)
    )
    return f"""\
gateway    {gateway_url}    what clients speak to
backend    {backend_url}    knows nothing of tokens and shows each request as it received it
users
{users}

Paste into another terminal, line by line.

With curl:

{_story(_curl_lines(gateway_url))}

The same with HTTPie:

{_story(_httpie_lines(gateway_url))}

/public needs no token, /staff needs the role staff, everything else any user.
Ctrl-C ends the demo and leaves nothing behind.
"""


_CHAPTERS: Final = (
    "  No token: the gateway answers 401, the backend hears nothing of it.",
    "  Log in as alice.",
    "  Call the backend. It sees X-User-Id, and no token.",
    "  Claim to be somebody else. The backend still sees alice's id.",
    "  The access token lives for 5 minutes; the refresh token gives a new one.",
    "  Log in as bob, who has not the role that /staff asks for: 403.",
)


def _story(commands: Sequence[Sequence[str]]) -> str:
    lines: list[str] = []
    for chapter, chapter_commands in zip(_CHAPTERS, commands, strict=True):
        lines += [chapter, *(f"    {command}" for command in chapter_commands)]
    return "\n".join(lines)


def _curl_lines(url: str) -> Sequence[Sequence[str]]:
    obtain, refresh = f"{url}/api/token/", f"{url}/api/token/refresh/"
    bearer = '-H "Authorization: Bearer $ACCESS"'
    return (
        (rf'curl -i -w "\n" {url}/hello/',),
        (
            f"TOKENS=$(curl -s {obtain} -d username={ALICE.username} -d password={ALICE.password})",
            'echo "$TOKENS"',
            _ACCESS,
            _REFRESH,
        ),
        (f"curl -s {url}/hello/ {bearer}",),
        (f'curl -s {url}/hello/ {bearer} -H "X-User-Id: 42"',),
        (rf'curl -s -w "\n" {refresh} -d "refresh=$REFRESH"',),
        (
            f"TOKENS=$(curl -s {obtain} -d username={BOB.username} -d password={BOB.password})",
            _ACCESS,
            rf'curl -i -w "\n" {url}/staff/ {bearer}',
        ),
    )


def _httpie_lines(url: str) -> Sequence[Sequence[str]]:
    obtain, refresh = f"{url}/api/token/", f"{url}/api/token/refresh/"
    bearer = '"Authorization: Bearer $ACCESS"'
    return (
        (f"http {url}/hello/",),
        (
            f"TOKENS=$(http --body POST {obtain} username={ALICE.username} password={ALICE.password})",
            'echo "$TOKENS"',
            _ACCESS,
            _REFRESH,
        ),
        (f"http {url}/hello/ {bearer}",),
        (f'http {url}/hello/ {bearer} "X-User-Id: 42"',),
        (f'http POST {refresh} refresh="$REFRESH"',),
        (
            f"TOKENS=$(http --body POST {obtain} username={BOB.username} password={BOB.password})",
            _ACCESS,
            f"http {url}/staff/ {bearer}",
        ),
    )
