"""Sends what the tables of `doctor_attacks` and `doctor_forgeries` hold and has the answers judged."""

import asyncio
import json
import secrets
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.commands import doctor_attacks as attacks
from gateway.commands import doctor_checks as checks
from gateway.commands import doctor_forgeries as forgeries
from gateway.commands.doctor_attacks import Attempt
from gateway.commands.doctor_checks import Verdict
from gateway.commands.doctor_deployment import Deployment
from gateway.commands.doctor_wire import Place, Reply, UnreachableError, exchange, outdated_tls, parse_place, unverified

_AT_ONCE: Final = 4  # connections; a deployment that is examined goes on serving others
_BELIEVED: Final = frozenset({403})  # whoever says that this user may not has believed who it is
_FOUNDLING: Final = "the plain path answers {} already"
_ATTEMPTED: Final = (
    "forged tokens", "public keys as secrets", "unfit tokens", "identity fields", "misleading fields", "path tricks",
    "other methods", "upgrades",
)  # fmt: skip

Replies = list[tuple[str, Reply]]


class Examination:
    """Of the deployment at `place`; `echo_path` is one whose backend shows the request. A connection an attempt."""

    def __init__(self, place: Place, deployment: Deployment, *, echo_path: str | None) -> None:
        self._place = place
        self._deployment = deployment
        self._echo_path = echo_path
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._sent = 0

    async def run(self) -> list[Verdict]:
        """Raises `UnreachableError` when any connection fails: what cannot be asked has not been refused."""
        plain = await self._ask(Attempt(name="plain"))
        now = time.time()
        decoy = await self._ask(Attempt(name="decoy", target=f"/doctor-{secrets.token_hex(8)}/".encode()))
        verdicts = [
            *self._deployment.verdicts,
            checks.judge_missing_token(plain),
            *(await self._attempts(decoy) if plain.status == 401 else _no_attempts(plain)),
            checks.judge_smuggling(await self._ask_all(attacks.SMUGGLING, awaits_close=True)),
            await self._reflection(),
            *([await self._echo(self._echo_path)] if self._echo_path else []),
            await self._admin_paths(decoy),
            await self._admin_port(),
            await self._backends(),
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

    # What has to be refused

    async def _attempts(self, decoy: Reply) -> list[Verdict]:
        deployment, place = self._deployment, self._place
        return [
            *([await self._guarded()] if deployment.guarded else []),
            await self._forged(),
            await self._confused(),
            *await self._tokens(),
            await self._refused(
                "identity fields",
                attacks.identity_lines(deployment.identity_fields, "1"),
                "whatever stands in front believes its clients who they are",
            ),
            await self._refused(
                "misleading fields",
                attacks.misleading_fields(dict.fromkeys(("/", deployment.login_path, *deployment.free))),
                "the decision hangs on a field that any client can write, not on the request itself",
            ),
            checks.judge_refusals(
                "path tricks",
                await self._ask_all(attacks.path_tricks(place.path, place.authority)),
                "the path is decided on in another form than the backend reads it",
                decoy=decoy,
            ),
            await self._refused(
                "other methods",
                attacks.OTHER_METHODS,
                "guard the path for every method, and answer no TRACE or CONNECT",
            ),
            await self._refused("upgrades", attacks.UPGRADES, "a tunnel was opened for somebody without a token"),
        ]

    async def _guarded(self) -> Verdict:
        attempts = (Attempt(name=path, target=path.encode()) for path in dict.fromkeys(self._deployment.guarded))
        return await self._refused(
            "routes of the file",
            attempts,
            "these need a token by the file: the gateway that answers has another one, or stands aside",
        )

    async def _forged(self) -> Verdict:
        claims, kid = self._claims(), self._deployment.kid
        tokens = [
            *forgeries.unsigned(claims, kid),
            *forgeries.guessed(claims, kid),
            *forgeries.misdirected(claims),
        ]
        return await self._refused(
            "forged tokens",
            (Attempt(name=name, token=token) for name, token in tokens),
            "replace the key (`gateway key generate`), and let the gateway alone check tokens",
            believed=_BELIEVED,
        )

    async def _confused(self) -> Verdict:
        check = "public keys as secrets"
        reply = await self._ask(Attempt(name="keys", target=self._deployment.jwks_path.encode()))
        tokens = list(forgeries.confused(self._claims(), forgeries.published_keys(reply.body)))
        if not tokens:
            return checks.skipped(check, f"{self._deployment.jwks_path} shows no keys")
        return await self._refused(
            check,
            (Attempt(name=name, token=token) for name, token in tokens),
            "anybody can sign with a key that is published: check each key with its own algorithm alone",
            believed=_BELIEVED,
        )

    async def _tokens(self) -> list[Verdict]:
        """With real ones: what is signed with the right key and is no access token, and a good one elsewhere."""
        tokens, check = self._deployment.tokens, "unfit tokens"
        unfit = {"expired": tokens.expired, "a refresh token": tokens.refresh}
        named = [(name, token) for name, token in unfit.items() if token is not None]
        named += [] if tokens.access is None else forgeries.altered(tokens.access)
        verdicts = [checks.skipped(check, "give --token or --config")]
        if named:
            attempts = (Attempt(name=name, token=token) for name, token in named)
            advice = "whoever finds an old or stolen token is let in: check signature, exp and type of each"
            verdicts = [await self._refused(check, attempts, advice, believed=_BELIEVED)]
        signed_here = self._deployment.signed_here
        if signed_here is not None:
            verdicts.append(checks.judge_own_key(await self._ask(Attempt(name="expired", token=signed_here))))
        if tokens.access is not None:
            verdicts.append(await self._misplaced(tokens.access))
        return verdicts

    async def _misplaced(self, token: str) -> Verdict:
        check = "tokens out of place"
        usual = await self._ask(Attempt(name="usual", token=token))
        if not checks.gives_access(usual):
            return checks.skipped(check, f"the access token given is answered {usual.status} where it belongs")
        line = self._deployment.token_line(token)
        return await self._refused(
            check,
            [*attacks.tokens_out_of_place(token, self._place.path), Attempt(name="twice", lines=(line, line))],
            "URLs and other fields end up in logs: take tokens from the one field alone",
        )

    def _claims(self) -> forgeries.Claims:
        at = int(time.time())
        made_up = {"token_type": "access", "user_id": f"doctor-{at}", "jti": uuid.uuid4().hex}
        return {**made_up, **self._deployment.claims, "iat": at, "exp": at + 300}

    async def _refused(
        self, check: str, attempts: Iterable[Attempt], advice: str, *, believed: frozenset[int] = frozenset()
    ) -> Verdict:
        return checks.judge_refusals(check, await self._ask_all(attempts), advice, believed=believed)

    # What must not be seen or reached

    async def _reflection(self) -> Verdict:
        marker = f"doctor-{secrets.token_hex(8)}.invalid"
        paths = dict.fromkeys((self._place.path, "/", self._deployment.login_path, *self._echo_paths))
        token = self._deployment.tokens.access if self._echo_path else None
        attempts = [
            replace(attempt, name=f"{attempt.name} at {path}", target=path.encode(), token=token)
            for path in paths
            for attempt in attacks.forwarded_hosts(marker)
        ]
        return checks.judge_reflection(await self._ask_all(attempts), marker)

    @property
    def _echo_paths(self) -> tuple[str, ...]:
        return () if self._echo_path is None else (self._echo_path,)

    async def _echo(self, path: str) -> Verdict:
        marker = f"doctor{secrets.token_hex(8)}"
        lines = attacks.identity_lines(self._deployment.identity_fields, marker)
        attempts = [
            replace(attempt, target=path.encode(), token=self._deployment.tokens.access)
            for attempt in (Attempt(name=""), *lines)
        ]
        return checks.judge_echo(await self._ask_all(attempts), marker)

    async def _admin_paths(self, decoy: Reply) -> Verdict:
        paths = ("/healthz", "/readyz", "/metrics")
        attempts = (Attempt(name=path, target=path.encode()) for path in paths)
        return checks.judge_admin(await self._ask_all(attempts), decoy)

    async def _admin_port(self) -> Verdict:
        check, port = "admin port", self._deployment.admin_port
        if port is None:
            return checks.skipped(check, "there is none by the file")
        if self._is_local:
            return checks.skipped(check, "this is the gateway's own machine")
        place = Place(host=self._place.host, port=port, path="/readyz", tls=None)
        reply = await self._ask_elsewhere(place)
        if reply is not None and reply.status:
            return checks.finding(check, f"port {port} answers from here: bind it to loopback, or keep clients off it")
        return checks.sound(check, f"port {port} does not answer from here")

    async def _backends(self) -> Verdict:
        # The gateway's own machine reaches them, or nobody would.
        urls = self._deployment.backends or (() if self._is_local else self._deployment.known_backends)
        if not urls:
            return checks.skipped("backend around the gateway", "give --backend")
        line = f"{self._deployment.identity_fields[0]}: doctor".encode()
        places = [unverified(parse_place(url, None)) for url in urls]
        return checks.judge_backends(
            [(url, await self._ask_elsewhere(place, line)) for url, place in zip(urls, places, strict=True)]
        )

    async def _tls(self) -> Verdict:
        if self._place.tls is None and self._is_local:
            return checks.skipped("TLS", "plain HTTP on this machine")
        if self._place.tls is None:
            return checks.finding("TLS", "plain HTTP: passwords and tokens can be read on the way; use https")
        if await self._ask_elsewhere(outdated_tls(self._place)) is not None:
            return checks.finding("TLS", "TLS 1.1 or older is spoken: raise the minimum to 1.2")
        return checks.sound("TLS", "nothing older than TLS 1.2 is spoken")

    async def _cross_origin(self) -> Verdict:
        origin = "https://doctor.invalid"
        return checks.judge_cors(await self._ask(Attempt(name="origin", lines=(f"Origin: {origin}".encode(),))), origin)

    async def _login(self) -> Verdict:
        path, user = self._deployment.login_path, f"doctor-{secrets.token_hex(8)}"
        body = json.dumps({"username": user, "email": f"{user}@doctor.invalid", "password": secrets.token_hex(16)})
        lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body))
        attempt = Attempt(name="log-in", method=b"POST", target=path.encode(), lines=lines, body=body.encode())
        return checks.judge_login(await self._ask(attempt), path)

    @property
    def _is_local(self) -> bool:
        return self._place.host in ("localhost", "::1") or self._place.host.startswith("127.")

    # Sending

    async def _ask_all(self, attempts: Iterable[Attempt], *, awaits_close: bool = False) -> Replies:
        listed = tuple(attempts)
        asked = (self._ask(attempt, awaits_close=awaits_close) for attempt in listed)
        replies = await asyncio.gather(*asked)
        return [(attempt.name, reply) for attempt, reply in zip(listed, replies, strict=True)]

    async def _ask(self, attempt: Attempt, *, awaits_close: bool = False) -> Reply:
        lines = list(attempt.lines)
        if attempt.token is not None:
            lines.append(self._deployment.token_line(attempt.token))
        target = self._place.path.encode("ascii") if attempt.target is None else attempt.target
        head = _head(self._place, lines, attempt.method, target, attempt.version)
        async with self._slots:
            self._sent += 1
            if sys.stderr.isatty():
                print(f"\r{self._sent} requests", end="", file=sys.stderr, flush=True)
            return await exchange(self._place, head + attempt.body, awaits_close=awaits_close)

    async def _ask_elsewhere(self, place: Place, *lines: bytes) -> Reply | None:
        try:
            return await exchange(place, _head(place, lines, b"GET", place.path.encode("ascii"), b"HTTP/1.1"))
        except UnreachableError:
            return None


def _no_attempts(plain: Reply) -> list[Verdict]:
    return [checks.skipped(check, _FOUNDLING.format(plain.status)) for check in _ATTEMPTED]


def _head(place: Place, lines: Iterable[bytes], method: bytes, target: bytes, version: bytes) -> bytes:
    host = f"Host: {place.authority}".encode()
    return b"\r\n".join([method + b" " + target + b" " + version, host, *lines, b"", b""])
