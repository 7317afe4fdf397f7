"""The whole control plane on a real socket, with its real neighbours: SQLite, argon2 (cheap), PyJWT."""

import asyncio
import dataclasses
import json
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import jwt
from aiohttp import web

from gateway.auth.issuer import IssuedClaims, Lifetimes, TokenIssuer
from gateway.auth.passwords import PasswordHasher
from gateway.auth.revocation import RevocationList
from gateway.auth.sessions import SessionRules
from gateway.endpoints.application import EndpointSettings, Surroundings, build_application
from gateway.endpoints.connection import Connection
from gateway.endpoints.hashing import HashingPool
from gateway.observability.audit import AuditLog
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.types import TokenReference, User
from gateway.users.sqlite import SqliteUserDirectory
from tests.unit.auth.verifiers import keyring_of, verifier_of
from tests.unit.metering import new_meters

T = TypeVar("T")

KEY = "_0re9rln9fLi3x3QgIN3IJ0v6eltrxrZWAbI0cW11Qc"
NOW = 1_800_000_000
JSON = {"Content-Type": "application/json"}
PATHS = {
    "obtain_path": "/api/token/",
    "refresh_path": "/api/token/refresh/",
    "verify_path": "/api/token/verify/",
    "blacklist_path": "/api/token/blacklist/",
}

# Nothing of an answer may differ between the four endpoints but status, body, challenge and length.
EVERY_ANSWER = {
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Type": "application/json",
}


@dataclass
class Answer:
    status: int
    fields: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def challenge(self) -> str | None:
        return self.fields.get("WWW-Authenticate")


@dataclass
class Clock:
    now: float = NOW + 0.5

    def __call__(self) -> float:
        return self.now


@dataclass
class Neighbours:
    """What the application is built of, for one event loop."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    access_lifetime: float = 300
    rotates: bool = False
    rotation_grace: float = 30
    idle_timeout: float | None = None
    session_lifetime: float | None = None
    leeway: float = 0.0
    login_attribute: Any = "username"
    hash_workers: int = 2
    hash_queue: int = 64
    store_class: type[SqliteStateStore] = SqliteStateStore

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.lifetimes = Lifetimes(access=self.access_lifetime, refresh=86400)
        self.rules = SessionRules(
            rotates=self.rotates,
            rotation_grace=self.rotation_grace,
            idle_timeout=self.idle_timeout,
            lifetime=self.session_lifetime,
        )
        self.hasher = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
        self.revocations = RevocationList()
        self.users: dict[str, User] = {}

    async def open(self) -> None:
        self.file = SqliteFile.open(self.folder / "gateway.sqlite3")
        self.directory = SqliteUserDirectory(self.file, login_attribute=self.login_attribute)
        self.store = self.store_class(self.file)
        await self.directory.prepare()
        await self.store.prepare()
        self.hashing = HashingPool(hasher=self.hasher, workers=self.hash_workers, queue=self.hash_queue)
        for name in ("alice", "bob", "mallory"):
            self.users[name] = await self.directory.add(
                username=name,
                email=f"{name}@example.org",
                roles=("staff",) if name == "alice" else (),
                password_hash=self.hasher.hash(f"{name}-pass-1"),
            )
        await self.directory.set_active("mallory", is_active=False)

    async def close(self) -> None:
        self.hashing.close()
        await self.file.close()

    def application(self) -> web.Application:
        keyring = keyring_of(KEY)
        parts = Surroundings(
            directory=self.directory,
            store=self.store,
            hashing=self.hashing,
            verifier=verifier_of(keyring, leeway=self.leeway),
            issuer=TokenIssuer(
                keyring=keyring,
                audience=(),
                issuer=None,
                lifetimes=self.lifetimes,
                names=IssuedClaims(
                    user_id="user_id",
                    token_type="token_type",
                    jti="jti",
                    session_id="sid",
                    extra={},
                    numeric_user_id=False,
                ),
            ),
            revocations=self.revocations,
            audit=AuditLog(clock=self.clock, meter=new_meters().auth()),
            clock=self.clock,
        )
        settings = EndpointSettings(
            sessions=self.rules, lifetimes=self.lifetimes, leeway=self.leeway, **(PATHS | self.settings)
        )
        return build_application(parts, settings)


@dataclass
class Plane(Neighbours):
    """The application on a real socket, with an event loop of its own that runs while a test asks something.

    So tables of requests need neither an event loop nor a server for each row.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loop = asyncio.Runner()
        try:
            self.run(self._start())
        except BaseException:
            self.loop.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def stop(self) -> None:
        self.run(self._stop())
        self.loop.close()

    def reload(self, **lifetimes: float) -> None:
        """Go on with another application, whose tokens have these lifetimes."""
        self.lifetimes = dataclasses.replace(self.lifetimes, **lifetimes)
        self.run(self._end_serving())
        self.run(self._serve())

    async def _start(self) -> None:
        await self.open()
        await self._serve()

    async def _serve(self) -> None:
        self.runner = web.AppRunner(self.application(), access_log=None)
        await self.runner.setup()
        server = self.runner.server
        assert server is not None
        self.listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}", auto_decompress=False)

    async def _stop(self) -> None:
        await self._end_serving()
        await self.close()

    async def _end_serving(self) -> None:
        await self.session.close()
        self.listener.close()
        await self.runner.cleanup()

    async def exchange(
        self, method: str, path: str, content: Any = None, fields: Mapping[str, str] | None = None
    ) -> Answer:
        async with self.session.request(
            method, path, data=content, headers=fields, skip_auto_headers=("Content-Type", "Accept")
        ) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    def ask(self, path: str, content: Any = None, fields: Mapping[str, str] = JSON, method: str = "POST") -> Answer:
        """Send `content` (an object goes as JSON) to `/api/token/` + `path`."""
        raw = content if isinstance(content, bytes | str | None) else json.dumps(content)
        return self.run(self.exchange(method, f"/api/token/{path}", raw, fields))

    def ask_at_once(self, path: str, contents: list[object], fields: Mapping[str, str] = JSON) -> list[Answer]:
        async def all_of_them() -> list[Answer]:
            raws = [json.dumps(content) for content in contents]
            return await asyncio.gather(*(self.exchange("POST", f"/api/token/{path}", raw, fields) for raw in raws))

        return self.run(all_of_them())

    def raw(self, *pieces: bytes, timeout: float = 2.0) -> bytes:
        """Send bytes as they are, piece by piece; what came back until the server closed or the time was up."""

        async def speak() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            received = b""
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.02)
                async with asyncio.timeout(timeout):
                    while chunk := await reader.read(65536):
                        received += chunk
            except (TimeoutError, ConnectionError):
                pass
            writer.close()
            return received

        return self.run(speak())

    def login(self, name: str = "alice") -> dict[str, str]:
        answer = self.ask("", {"username": name, "password": f"{name}-pass-1"})
        assert answer.status == 200
        return dict(answer.json)

    def token(self, token_type: str | None = "refresh", *, key: str = KEY, without: str = "", **claims: Any) -> str:
        """A signed token; `claims` override the usual ones, `without` names one to leave out."""
        payload = {
            "token_type": token_type,
            "exp": NOW + 1000,
            "iat": NOW - 10,
            "jti": secrets.token_hex(16),
            "user_id": self.users["alice"].id,
            **claims,
        }
        payload.pop(without, None)
        return jwt.encode(payload, key, "HS256")


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def reference_of(token: str) -> TokenReference:
    """What a revocation can name of a token that the gateway issued."""
    claims = claims_of(token)
    return TokenReference(
        token_id=claims["jti"], session_id=claims["sid"], user_id=claims["user_id"], issued_at=claims["iat"]
    )
