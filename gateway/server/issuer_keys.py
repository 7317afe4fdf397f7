"""Keeps the keys of a foreign issuer: fetched ahead of their age, and kept when the issuer is away.

Theory of operation. One task an issuer, and a request never waits for it. A set is fetched again when three quarters of
its time have passed; its time is what `Cache-Control` says, within bounds. When that fails, what is known goes on
counting, and it is tried again after 1 s, 2 s, 4 s … a minute; after `max_key_age` without success nobody can tell any
more whether these are the issuer's keys, so they are dropped, and its tokens are answered 503. A token that names an
unknown key has the set fetched at once, but once in `_COOL_DOWN` at most: strangers can write any `kid`.
"""

import asyncio
import contextlib
import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, hdrs
from yarl import URL

from gateway.auth.foreign_issuer import ForeignIssuer
from gateway.auth.key_set import KeySet, KeySetRefused, parse_key_set
from gateway.errors import GatewayError, printable
from gateway.observability.meters import IssuerMeter

logger: Final = logging.getLogger("gateway")

_MAX_BYTES: Final = 256 * 1024  # the largest public issuers need about 20 KiB
_TIMEOUT: Final = ClientTimeout(total=10.0)
_COOL_DOWN: Final = 30.0  # as Nimbus (Spring) and jose have it
_DEFAULT_AGE: Final = 600.0
_LEAST_AGE, _LONGEST_AGE = 300.0, 86400.0
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age=\"?([0-9]{1,9})\b", re.IGNORECASE)
_NOT_KEPT: Final = re.compile(r"(?:^|,)\s*no-(?:store|cache)\b", re.IGNORECASE)
_REQUEST_FIELDS: Final = {
    hdrs.ACCEPT: "application/jwk-set+json, application/json",
    hdrs.ACCEPT_ENCODING: "identity",  # 256 KiB may unpack to anything
    hdrs.USER_AGENT: "simplejwt-gateway",
}


class _KeysUnavailable(GatewayError):
    """The text is a sentence about the answer, or about why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    body: bytes
    age: float  # seconds until it should be fetched again at the latest


class IssuerKeys:
    """Gives `issuer` its keys. `on_keys_gone` is called when one is no longer there.

    `tls` is what the server is verified with; `max_key_age` is in seconds.
    """

    def __init__(
        self,
        *,
        name: str,
        issuer: ForeignIssuer,
        url: str,
        tls: ssl.SSLContext,
        max_key_age: float,
        on_keys_gone: Callable[[], None],
        meter: IssuerMeter,
    ) -> None:
        self._name = name
        self._issuer = issuer
        self._url = URL(url, encoded=True)
        self._tls = tls
        self._max_key_age = max_key_age
        self._on_keys_gone = on_keys_gone
        self._meter = meter
        self._fetched_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._is_tried = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._cool_until = float("-inf")
        self._keys_end_at = float("-inf")
        self._retry = _FIRST_RETRY
        self._is_reachable = True
        self._faults: Sequence[str] = ()
        issuer.on_unknown_key = self._on_unknown_key

    async def follow(self) -> None:
        """Fetch again and again until cancelled."""
        while True:
            pause = await self._fetch()
            self._is_tried.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._is_wanted.wait()

    def resume(self, before: "IssuerKeys") -> None:
        """Before anything is fetched: begin with what another one has, which asks in the same place."""
        self._issuer.replace_keys(before._issuer.keys)
        self._keys_end_at = min(before._keys_end_at, self._loop.time() + self._max_key_age)
        self._fetched_at = before._fetched_at

    @property
    def name(self) -> str:
        return self._name

    @property
    def fetched_at(self) -> float | None:
        """When the keys that count were fetched, in Unix seconds; None as long as none were."""
        return self._fetched_at

    @property
    def usable(self) -> int:
        """How many keys count: none when they are too old, or have not been fetched yet."""
        return 0 if self._issuer.keys is None else len(self._issuer.keys)

    async def wait(self) -> None:
        """Until the keys have been fetched once, or this has failed once."""
        await self._is_tried.wait()

    def _on_unknown_key(self) -> None:
        now = self._loop.time()
        if now >= self._cool_until:
            self._cool_until = now + _COOL_DOWN
            self._is_wanted.set()

    async def _fetch(self) -> float:
        """Seconds until the next time."""
        self._is_wanted.clear()
        try:
            answer = await self._ask()
            keys, faults = parse_key_set(answer.body, self._issuer.algorithms)
        except (_KeysUnavailable, KeySetRefused) as error:
            return self._on_failure(str(error))
        except Exception as error:
            # On purpose wide: without this task the keys would never be fetched again.
            return self._on_failure("It did what nobody foresaw.", defect=error)
        return self._on_success(keys, faults, answer.age)

    async def _ask(self) -> _Answer:
        try:
            async with (
                ClientSession(
                    connector=TCPConnector(ssl=self._tls, force_close=True),
                    cookie_jar=DummyCookieJar(),
                    trust_env=False,
                    auto_decompress=False,
                    timeout=_TIMEOUT,
                ) as session,
                session.get(self._url, headers=_REQUEST_FIELDS, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    # Also for a redirect: it might lead to where no TLS is, or no issuer.
                    raise _KeysUnavailable(f"It answered {response.status}.")
                return _Answer(body=await _read(response), age=_age(response))
        except TimeoutError:
            raise _KeysUnavailable(f"It did not answer within {_TIMEOUT.total:.0f} s.") from None
        except (ClientError, OSError) as error:
            raise _KeysUnavailable(f"It cannot be asked: {printable(str(error)) or type(error).__name__}.") from None

    def _on_success(self, keys: KeySet, faults: Sequence[str], age: float) -> float:
        before = self._issuer.keys
        self._meter.fetched()
        self._fetched_at = time.time()
        if not self._is_reachable:
            logger.warning("issuer_recovered name=%s", self._name)
        self._is_reachable = True
        if faults != self._faults:
            for fault in faults:
                logger.warning("issuer_key_skipped name=%s %s", self._name, fault)
        self._faults = faults
        if before is None or before.fingerprints != keys.fingerprints:
            log = logger.info if len(keys) else logger.error
            log("issuer_keys_loaded name=%s keys=%d", self._name, len(keys))
        if self._issuer.replace_keys(keys):
            self._on_keys_gone()
        self._keys_end_at = self._loop.time() + self._max_key_age
        self._retry = _FIRST_RETRY
        # Not at the same moment in all workers and replicas.
        return min(age, self._max_key_age) * random.uniform(0.7, 0.8)  # noqa: S311

    def _on_failure(self, why: str, *, defect: Exception | None = None) -> float:
        self._meter.failed()
        if self._is_reachable or defect is not None:
            logger.error("issuer_unavailable name=%s %s", self._name, why, exc_info=defect)
        self._is_reachable = False
        left = self._keys_end_at - self._loop.time()
        pause, self._retry = self._retry, min(2 * self._retry, _LAST_RETRY)
        if self._issuer.keys is None or left > 0:
            return min(pause, left) if left > 0 else pause
        logger.error("issuer_keys_dropped name=%s They are too old to count.", self._name)
        self._issuer.replace_keys(None)
        self._on_keys_gone()
        return pause


async def _read(response: ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise _KeysUnavailable(f"Its answer is larger than {_MAX_BYTES // 1024} KiB.")
    return bytes(body)


def _age(response: ClientResponse) -> float:
    """RFC 9111 §4.2.1 as far as keys need it: the answer may be younger or older than is good for us."""
    said = ", ".join(response.headers.getall(hdrs.CACHE_CONTROL, ()))
    if _NOT_KEPT.search(said):
        return _LEAST_AGE
    match = _MAX_AGE.search(said)
    return _DEFAULT_AGE if match is None else min(max(float(match[1]), _LEAST_AGE), _LONGEST_AGE)
