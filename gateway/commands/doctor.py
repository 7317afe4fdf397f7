"""`gateway doctor`: attacks a running deployment from outside, harmlessly, and says what it found."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, declare_command
from gateway.commands.output import print_rows

if TYPE_CHECKING:
    from gateway.commands.doctor_checks import Verdict
    from gateway.commands.doctor_wire import Place, Reply

_DETAILS: Final = """\
URL is that of a path that needs a token, as clients reach it. Nothing is written: some 80 requests, all GET but one
log-in of a user who does not exist. One line a check: name, `ok`, `finding` or `skipped`, what was seen.
Tab-separated in a pipe. Exit code 0 without findings, 1 with any; also 1, with a sentence on standard error and no
verdicts, when URL cannot be reached.

examples:
  gateway doctor https://api.example.org/api/orders/
  gateway doctor https://api.example.org/api/orders/ --backend http://10.0.0.7:8000
  gateway doctor https://api.example.org/api/orders/ --token access.jwt --echo-path /debug/fields/ --json"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "doctor", summary="attack a running deployment harmlessly", details=_DETAILS)
    parser.add_argument("url", metavar="URL", type=_url, help="a path that needs a token, as clients reach it")
    parser.add_argument("--backend", metavar="URL", type=_url, help="the backend itself, which must not answer")
    parser.add_argument("--token", metavar="FILE", help="an access token that is good, `-` for standard input")
    parser.add_argument("--echo-path", metavar="PATH", type=_path, help="a path whose backend shows what it received")
    parser.add_argument("--identity-field", metavar="NAME", default="X-User-Id", help="else X-User-Id")
    parser.add_argument("--login-path", metavar="PATH", type=_path, default="/api/token/", help="else /api/token/")
    parser.add_argument("--admin-port", metavar="PORT", type=_port, default=8081, help="else 8081")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="certificates to trust instead of the system's")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.commands.doctor_checks import Result
    from gateway.commands.doctor_wire import parse_place

    examination = _Examination(arguments, parse_place(arguments.url, arguments.ca), _read_token(arguments.token))
    verdicts = asyncio.run(examination.run())
    rows = [(verdict.check, verdict.result.value, verdict.detail) for verdict in verdicts]
    if arguments.json:
        members = ("check", "result", "detail")
        print(json.dumps({"verdicts": [dict(zip(members, row, strict=True)) for row in rows]}, indent=2))
    else:
        print_rows(("CHECK", "RESULT", "DETAIL"), rows)
    return 1 if any(verdict.result is Result.FINDING for verdict in verdicts) else 0


def _url(text: str) -> str:
    from gateway.commands.doctor_wire import parse_place

    try:
        parse_place(text, None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path, as /api/token/")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _read_token(source: str | None) -> str | None:
    if source is None:
        return None
    return (sys.stdin.read() if source == "-" else Path(source).read_text("ascii", "replace")).strip()


class _Examination:
    """Sends what the tables hold and has the answers judged; a connection an attempt, one after the other."""

    def __init__(self, arguments: argparse.Namespace, place: "Place", token: str | None) -> None:
        self._arguments = arguments
        self._place = place
        self._token = token
        self._sent = 0

    async def run(self) -> list["Verdict"]:
        """Raises `UnreachableError` when any connection fails: what cannot be asked has not been refused."""
        from gateway.commands import doctor_checks as checks

        plain = await self._get()
        now = time.time()
        verdicts = [
            checks.judge_missing_token(plain),
            *(await self._attempts() if plain.status == 401 else self._no_attempts(plain)),
            checks.judge_smuggling(
                [
                    (name, await self._get(*lines, body=body, awaits_close=True))
                    for name, lines, body in checks.SMUGGLING
                ]
            ),
            *([await self._echo()] if self._arguments.echo_path else []),
            checks.judge_admin([(path, await self._get(target=path)) for path in ("/healthz", "/readyz", "/metrics")]),
            await self._admin_port(),
            await self._backend(),
            await self._tls(),
            checks.judge_certificate(plain, now),
            checks.judge_clock(plain, now),
            checks.judge_server_field(plain),
            await self._cross_origin(),
            await self._login(),
        ]
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return verdicts

    async def _attempts(self) -> list["Verdict"]:
        from gateway.commands import doctor_checks as checks

        tricks = checks.path_tricks(self._place.path, self._place.authority)
        return [
            checks.judge_refusals(
                "forged tokens",
                [(name, await self._get(_bearer(token))) for name, token in self._forgeries()],
                "replace the key (`gateway key generate`), and let the gateway alone check tokens",
                believed=frozenset({403}),
            ),
            checks.judge_refusals(
                "identity fields",
                [
                    (name, await self._get(*lines))
                    for name, lines in checks.identity_lines(self._arguments.identity_field, "1")
                ],
                "whatever stands in front believes its clients who they are",
            ),
            checks.judge_refusals(
                "path tricks",
                [(name, await self._get(target=target)) for name, target in tricks],
                "the path is decided on in another form than the backend reads it",
            ),
        ]

    def _no_attempts(self, plain: "Reply") -> list["Verdict"]:
        from gateway.commands import doctor_checks as checks

        why = f"the plain path answers {plain.status} already"
        return [checks.skipped(check, why) for check in ("forged tokens", "identity fields", "path tricks")]

    def _forgeries(self) -> list[tuple[str, str]]:
        import uuid

        from gateway.commands import doctor_checks as checks

        at = int(time.time())
        made_up = {"token_type": "access", "iat": at, "jti": uuid.uuid4().hex, "user_id": f"doctor-{at}"}
        claims = {**made_up, **((self._token and checks.claims_of(self._token)) or {}), "exp": at + 300}
        forged = checks.forged_token
        return [
            ("garbage", "garbage"),
            *((f"alg {name}", forged({"alg": name, "typ": "JWT"}, claims, None)) for name in ("none", "None", "HS256")),
            *(
                (f"the key {secret!r}", forged({"alg": "HS256", "typ": "JWT"}, claims, secret))
                for secret in checks.COMMON_SECRETS
            ),
        ]

    async def _echo(self) -> "Verdict":
        import secrets

        from gateway.commands import doctor_checks as checks

        marker = f"doctor{secrets.token_hex(8)}"
        token = () if self._token is None else (_bearer(self._token),)
        replies = [
            (name, await self._get(*token, *lines, target=self._arguments.echo_path))
            for name, lines in [("", ()), *checks.identity_lines(self._arguments.identity_field, marker)]
        ]
        return checks.judge_echo(replies, marker)

    async def _admin_port(self) -> "Verdict":
        from gateway.commands import doctor_checks as checks
        from gateway.commands.doctor_wire import Place

        check, port = "admin port", self._arguments.admin_port
        if self._is_local:
            return checks.skipped(check, "this is the gateway's own machine")
        place = Place(host=self._place.host, port=port, path="/readyz", tls=None)
        reply = await self._ask_elsewhere(place)
        if reply is not None and reply.status:
            return checks.finding(check, f"port {port} answers from here: bind it to loopback, or keep clients off it")
        return checks.sound(check, f"port {port} does not answer from here")

    async def _backend(self) -> "Verdict":
        from gateway.commands import doctor_checks as checks
        from gateway.commands.doctor_wire import parse_place

        url = self._arguments.backend
        if url is None:
            return checks.skipped("backend around the gateway", "give --backend")
        place = parse_place(url, self._arguments.ca)
        line = f"{self._arguments.identity_field}: doctor".encode()
        return checks.judge_backend(await self._ask_elsewhere(place, line), url)

    async def _tls(self) -> "Verdict":
        from gateway.commands import doctor_checks as checks
        from gateway.commands.doctor_wire import outdated_tls

        if self._place.tls is None and self._is_local:
            return checks.skipped("TLS", "plain HTTP on this machine")
        if self._place.tls is None:
            return checks.finding("TLS", "plain HTTP: passwords and tokens can be read on the way; use https")
        if await self._ask_elsewhere(outdated_tls(self._place)) is not None:
            return checks.finding("TLS", "TLS 1.1 or older is spoken: raise the minimum to 1.2")
        return checks.sound("TLS", "nothing older than TLS 1.2 is spoken")

    async def _cross_origin(self) -> "Verdict":
        from gateway.commands import doctor_checks as checks

        origin = "https://doctor.invalid"
        return checks.judge_cors(await self._get(f"Origin: {origin}".encode()), origin)

    async def _login(self) -> "Verdict":
        import secrets

        from gateway.commands import doctor_checks as checks

        path = self._arguments.login_path
        user = f"doctor-{secrets.token_hex(8)}"
        body = json.dumps({"username": user, "email": f"{user}@doctor.invalid", "password": secrets.token_hex(16)})
        lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body))
        reply = await self._get(*lines, method=b"POST", target=path, body=body.encode())
        return checks.judge_login(reply, path)

    @property
    def _is_local(self) -> bool:
        return self._place.host in ("localhost", "::1") or self._place.host.startswith("127.")

    async def _get(
        self,
        *lines: bytes,
        method: bytes = b"GET",
        target: str | bytes | None = None,
        body: bytes = b"",
        awaits_close: bool = False,
    ) -> "Reply":
        from gateway.commands.doctor_wire import exchange

        self._sent += 1
        if sys.stderr.isatty():
            print(f"\r{self._sent} requests", end="", file=sys.stderr, flush=True)
        request = _request(self._place, *lines, method=method, target=target) + body
        return await exchange(self._place, request, awaits_close=awaits_close)

    async def _ask_elsewhere(self, place: "Place", *lines: bytes) -> "Reply | None":
        from gateway.commands.doctor_wire import UnreachableError, exchange

        try:
            return await exchange(place, _request(place, *lines))
        except UnreachableError:
            return None


def _bearer(token: str) -> bytes:
    return f"Authorization: Bearer {token}".encode()


def _request(place: "Place", *lines: bytes, method: bytes = b"GET", target: str | bytes | None = None) -> bytes:
    asked = place.path if target is None else target
    raw = asked if isinstance(asked, bytes) else asked.encode("ascii")
    return b"\r\n".join([method + b" " + raw + b" HTTP/1.1", f"Host: {place.authority}".encode(), *lines, b"", b""])
